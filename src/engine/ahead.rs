//! How many ticks are handed over before the oldest is read: as many as a readback takes.
//!
//! A readback comes some time after its tick was computed, up to a tenth of a second in browsers. With too few ticks under way the
//! device waits for the host; with too many, ends of sequences are seen late.
//!
//! **Invariant:** plain numbers; without a clock the number stays the least.

/// Most ticks under way: what ended is computed that much longer.
const MOST: usize = 16;

/// Times are in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    least: usize,
    /// From the submission of nothing to its being read.
    latency: Option<u64>,
    /// Between two ticks on the device, smoothed.
    tick: Option<u64>,
    last_read: Option<u64>,
    now: usize,
}

impl Ahead {
    pub fn new(least: usize) -> Self {
        Self { least, latency: None, tick: None, last_read: None, now: least }
    }

    /// Ticks that are to be under way.
    pub fn ticks(&self) -> usize {
        self.now
    }

    /// Whether the latency is still to be measured.
    pub fn is_new(&self) -> bool {
        self.latency.is_none()
    }

    /// An empty readback took so long.
    pub fn measured(&mut self, latency: u64) {
        self.latency = Some(latency);
    }

    /// Nothing is under way: the next readback is not the successor of the last one.
    pub fn pause(&mut self) {
        self.last_read = None;
    }

    /// A tick was submitted and read at these times.
    pub fn read(&mut self, submitted: u64, read: u64) {
        let Some(latency) = self.latency else { return };
        // What the device takes for a tick is at most what passed since the last one came, and where the device waited at most
        // what was more than the latency.
        let own = read.saturating_sub(submitted).saturating_sub(latency);
        let between = self.last_read.map_or(own, |last| read.saturating_sub(last));
        let tick = own.min(between).max(1);
        self.last_read = Some(read);
        // Prompts make single ticks long.
        let smooth = self.tick.map_or(tick, |before| (7 * before + tick) / 8).max(1);
        self.tick = Some(smooth);
        let wanted = latency.div_ceil(smooth) as usize + 1;
        self.now = wanted.clamp(self.least, MOST.max(self.least));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A device that takes `tick` for each and tells of it `latency` later, in microseconds: ticks per second, ticks under way.
    fn simulate(latency: u64, tick: u64, adaptive: bool) -> (f64, usize) {
        let (latency, tick) = (latency * 1000, tick * 1000);
        let mut ahead = Ahead::new(3);
        if adaptive {
            ahead.measured(latency);
        }
        let (mut now, mut free, mut under_way) = (0, 0, VecDeque::new());
        let mut half = 0;
        for count in 0..1000 {
            while under_way.len() < ahead.ticks() {
                free = free.max(now) + tick;
                under_way.push_back((now, free + latency));
            }
            let (submitted, ready) = under_way.pop_front().unwrap();
            now = now.max(ready);
            ahead.read(submitted, now);
            if count == 499 {
                half = now;
            }
        }
        (500.0 * 1e9 / (now - half) as f64, ahead.ticks())
    }

    #[test]
    fn a_slow_readback_does_not_hold_the_device() {
        let (slow, three) = simulate(100_000, 10_000, false);
        assert!(three == 3 && slow < 30.0, "{slow} ticks a second with {three} under way");
        let (fast, many) = simulate(100_000, 10_000, true);
        assert!(fast > 98.0 && (11..=13).contains(&many), "{fast} ticks a second with {many} under way");
    }

    #[test]
    fn never_fewer_than_the_least_nor_many_more() {
        assert_eq!(simulate(50, 20_000, true).1, 3, "a readback that costs nothing");
        assert_eq!(simulate(100_000, 500, true).1, MOST);
        assert_eq!(simulate(0, 1, true).1, 3);
    }

    #[test]
    fn a_pause_is_no_tick() {
        let mut ahead = Ahead::new(3);
        ahead.measured(1_000_000);
        ahead.read(0, 3_000_000);
        ahead.pause();
        ahead.read(9_000_000_000, 9_003_000_000);
        assert_eq!(ahead.tick, Some(2_000_000));
    }
}
