//! Tokens per second over time.

use std::collections::VecDeque;

/// A rate is a mean over this many seconds.
const WINDOW: f64 = 1.0;
/// Points of the curve that are kept, one for each quarter of a second.
const MOST_POINTS: usize = 240;

/// Counts, and the curve made of them.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Times and totals of the last moments.
    recent: VecDeque<(f64, u64)>,
    /// Times and rates.
    pub curve: VecDeque<(f64, f64)>,
    /// The latest rate.
    pub now: f64,
}

impl Rates {
    /// So many tokens in total, at this time.
    pub fn add(&mut self, at: f64, total: u64) {
        let idle = self.recent.back().is_some_and(|(last, _)| at - last > WINDOW);
        let fewer = self.recent.back().is_some_and(|(_, last)| total < *last);
        if idle || fewer {
            self.recent.clear();
        }
        self.recent.push_back((at, total));
        while self.recent.len() > 2 && self.recent.front().is_some_and(|(first, _)| at - first > WINDOW) {
            self.recent.pop_front();
        }
        let Some((first, before)) = self.recent.front() else { return };
        if at - first < WINDOW / 8.0 {
            return;
        }
        self.now = (total - before) as f64 / (at - first);
        if self.curve.back().is_none_or(|(last, _)| at - last >= WINDOW / 4.0) {
            self.curve.push_back((at, self.now));
        }
        if self.curve.len() > MOST_POINTS {
            self.curve.pop_front();
        }
    }
}

#[test]
fn the_rate_is_that_of_the_last_second() {
    let mut rates = Rates::default();
    (0..100).for_each(|i| rates.add(f64::from(i) * 0.1, i as u64 * 5));
    assert!((rates.now - 50.0).abs() < 1.0, "{}", rates.now);
    (0..100).for_each(|i| rates.add(30.0 + f64::from(i) * 0.1, 495 + i as u64));
    assert!((rates.now - 10.0).abs() < 0.5, "a rest does not count: {}", rates.now);
    (0..4000).for_each(|i| rates.add(100.0 + f64::from(i), 1000));
    assert!(rates.curve.len() <= MOST_POINTS && rates.now == 0.0);
}
