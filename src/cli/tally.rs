//! How many tokens went how deep.

/// Counts of tokens by depth.
#[derive(Debug, Clone, Default)]
pub struct DepthHistogram {
    counts: Vec<u64>,
}

impl DepthHistogram {
    /// One more token of this depth.
    pub fn add(&mut self, depth: u32) {
        let depth = depth as usize;
        if self.counts.len() <= depth {
            self.counts.resize(depth + 1, 0);
        }
        self.counts[depth] += 1;
    }

    /// Mean depth; 0 without tokens.
    pub fn mean(&self) -> f64 {
        let tokens: u64 = self.counts.iter().sum();
        let rounds: u64 = self.counts.iter().zip(0u64..).map(|(count, depth)| count * depth).sum();
        if tokens == 0 { 0.0 } else { rounds as f64 / tokens as f64 }
    }

    /// One line per depth, the longest bar `width` wide.
    pub fn bars(&self, width: usize) -> Vec<String> {
        let (tokens, most) = (self.counts.iter().sum::<u64>().max(1), self.counts.iter().max().copied().unwrap_or(0));
        let line = |(depth, &count): (usize, &u64)| {
            let length = (count * width as u64).div_ceil(most.max(1)) as usize;
            let share = 100.0 * count as f64 / tokens as f64;
            format!("{depth:>3} {:<width$} {count} ({share:.0} %)", "█".repeat(length))
        };
        self.counts.iter().enumerate().skip(1).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_bars_follow_the_counts() {
        let mut histogram = DepthHistogram::default();
        assert_eq!(histogram.mean(), 0.0);
        for depth in [1, 3, 3, 3] {
            histogram.add(depth);
        }
        assert_eq!(histogram.mean(), 2.5);
        assert_eq!(histogram.bars(3), ["  1 █   1 (25 %)", "  2     0 (0 %)", "  3 ███ 3 (75 %)"]);
    }
}
