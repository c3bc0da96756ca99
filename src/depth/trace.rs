//! How deep tokens went: one record per token, and the histogram that tables and terminals show.

use serde::{Deserialize, Serialize};

/// How many tokens left at each depth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthHistogram {
    /// Index is the depth; as long as the deepest token needs.
    pub counts: Vec<u64>,
}

/// Deepest depth that is counted apart; deeper tokens are counted there, so that no number can ask for much memory.
const DEEPEST: u32 = 4095;

impl DepthHistogram {
    /// Counts one token.
    pub fn add(&mut self, depth: u32) {
        let index = depth.min(DEEPEST) as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Tokens counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Mean depth; 0 without tokens.
    pub fn mean(&self) -> f64 {
        let sum: f64 = (0u32..).zip(&self.counts).map(|(depth, &count)| f64::from(depth) * count as f64).sum();
        sum / (self.total().max(1) as f64)
    }

    /// Part of the tokens that left at this depth, 0 to 1; 0 without tokens.
    pub fn share(&self, depth: u32) -> f64 {
        let count = self.counts.get(depth as usize).copied().unwrap_or(0);
        count as f64 / self.total().max(1) as f64
    }

    /// One line per depth that occurs or lies between two that do: depth, bar, share and count. The longest bar has
    /// `width` characters.
    pub fn bars(&self, width: usize) -> Vec<String> {
        let Some(first) = self.counts.iter().position(|&count| count > 0) else { return Vec::new() };
        let last = self.counts.iter().rposition(|&count| count > 0).unwrap_or(first);
        let most = self.counts.iter().max().copied().unwrap_or(1).max(1);
        let (depth_width, count_width) = (last.to_string().len(), most.to_string().len());
        (first..=last)
            .map(|depth| {
                let count = self.counts[depth];
                let share = 100.0 * self.share(depth as u32);
                let bar = bar(count as f64 / most as f64 * width as f64);
                let padding = " ".repeat(width.saturating_sub(bar.chars().count()));
                format!("{depth:>depth_width$} {bar}{padding} {share:5.1} % {count:>count_width$}")
            })
            .collect()
    }
}

/// A bar of this length in characters, to an eighth; never empty where there is something to show.
fn bar(length: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (length * 8.0).round().max(if length > 0.0 { 1.0 } else { 0.0 }) as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// One token: where it left, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenTrace {
    /// Rounds that were run.
    pub depth: u32,
    /// Router scores of the rounds that were scored, first round first.
    pub scores: Vec<f32>,
}

/// Depth and scores of the tokens of a run, in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The tokens.
    pub tokens: Vec<TokenTrace>,
}

impl Trace {
    /// Adds a token.
    pub fn add(&mut self, depth: u32, scores: &[f32]) {
        self.tokens.push(TokenTrace { depth, scores: scores.to_vec() });
    }

    /// Tokens by depth.
    pub fn histogram(&self) -> DepthHistogram {
        let mut histogram = DepthHistogram::default();
        for token in &self.tokens {
            histogram.add(token.depth);
        }
        histogram
    }

    /// Mean depth; 0 without tokens.
    pub fn mean_depth(&self) -> f64 {
        self.histogram().mean()
    }

    /// Mean score of a round (0 is the first) over the tokens that were scored there; `None` where none was.
    pub fn mean_score(&self, round: usize) -> Option<f64> {
        let scores = self.tokens.iter().filter_map(|token| token.scores.get(round));
        let (count, sum) = scores.fold((0u64, 0.0), |(count, sum), &score| (count + 1, sum + f64::from(score)));
        (count > 0).then(|| sum / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(depths: &[u32]) -> DepthHistogram {
        let mut histogram = DepthHistogram::default();
        depths.iter().for_each(|&depth| histogram.add(depth));
        histogram
    }

    #[test]
    fn sums() {
        let histogram = histogram(&[1, 3, 3, 1, 3, 3, 1, 1]);
        assert_eq!(histogram.counts, [0, 4, 0, 4]);
        assert_eq!((histogram.total(), histogram.mean()), (8, 2.0));
        assert_eq!([0, 1, 2, 3, 9].map(|depth| histogram.share(depth)), [0.0, 0.5, 0.0, 0.5, 0.0]);
    }

    #[test]
    fn nothing_counted() {
        let empty = DepthHistogram::default();
        assert_eq!((empty.total(), empty.mean(), empty.share(1)), (0, 0.0, 0.0));
        assert!(empty.bars(10).is_empty());
    }

    #[test]
    fn merged_counts_are_those_of_all() {
        let mut one = histogram(&[1, 2]);
        one.merge(&histogram(&[2, 5]));
        assert_eq!(one, histogram(&[1, 2, 2, 5]));
        one.merge(&histogram(&[0]));
        assert_eq!(one, histogram(&[0, 1, 2, 2, 5]));
    }

    #[test]
    fn absurd_depths_take_little_memory() {
        assert_eq!(histogram(&[u32::MAX]).counts.len(), DEEPEST as usize + 1);
    }

    #[test]
    fn bars_for_a_terminal() {
        let histogram = histogram(&[&[1; 3][..], &[3; 16]].concat());
        assert_eq!(histogram.bars(4), ["1 ▊     15.8 %  3", "2        0.0 %  0", "3 ████  84.2 % 16"]);
        let rare = DepthHistogram { counts: vec![1, 100_000] };
        assert!(rare.bars(4)[0].contains('▏'));
        assert_eq!(rare.bars(0).len(), 2);
    }

    #[test]
    fn a_trace_keeps_order_and_scores() {
        let mut trace = Trace::default();
        trace.add(1, &[0.25]);
        trace.add(2, &[0.75, 1.0]);
        assert_eq!((trace.mean_depth(), trace.histogram().counts), (1.5, vec![0, 1, 1]));
        assert_eq!([0, 1, 2].map(|round| trace.mean_score(round)), [Some(0.5), Some(1.0), None]);
        let json = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
    }
}
