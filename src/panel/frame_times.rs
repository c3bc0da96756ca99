//! How long frames took while text was written: whoever draws must stay smooth beside the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames that are kept.
const MOST: usize = 4096;

/// Times of the latest frames in milliseconds, shared by whoever draws and whoever reports.
#[derive(Debug, Clone, Default)]
pub struct FrameTimes(Arc<Mutex<VecDeque<f32>>>);

impl FrameTimes {
    /// A frame took so long.
    pub fn add(&self, milliseconds: f32) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == MOST {
            times.pop_front();
        }
        times.push_back(milliseconds);
    }

    /// Number, median, 99th percentile and longest.
    fn summary(&self) -> Option<(usize, f32, f32, f32)> {
        let mut times: Vec<f32> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        times.sort_by(f32::total_cmp);
        let at = |share: f32| times[((times.len() - 1) as f32 * share).round() as usize];
        (!times.is_empty()).then(|| (times.len(), at(0.5), at(0.99), at(1.0)))
    }

    /// For the line at the edge; empty before the first frame.
    pub fn line(&self) -> String {
        self.summary()
            .map_or(String::new(), |(_, median, late, _)| format!("frame {median:.1} ms, 99 % in {late:.1} ms"))
    }

    /// In a sentence.
    pub fn report(&self) -> String {
        match self.summary() {
            None => "no frame was drawn while text was written".to_owned(),
            Some((count, median, late, longest)) => format!(
                "{count} frames while text was written: median {median:.1} ms, 99th percentile {late:.1} ms, \
                 longest {longest:.1} ms"
            ),
        }
    }
}

#[test]
fn the_percentile_is_that_of_the_latest_frames() {
    let times = FrameTimes::default();
    assert_eq!(times.line(), "");
    (0..MOST).for_each(|_| times.add(500.0));
    (1..=MOST).for_each(|i| times.add(i as f32 / MOST as f32 * 100.0));
    let (count, median, late, longest) = times.summary().unwrap();
    assert_eq!((count, longest), (MOST, 100.0));
    assert!((median - 50.0).abs() < 0.1 && (late - 99.0).abs() < 0.1, "{median} {late}");
}
