//! Who goes deeper: the rule from a gate's score to a further round.
//!
//! A policy is data and, where that is not enough, a line of WGSL. Both are on the GPU before the first token needs
//! them, so that no depth waits for the host.
//!
//! **Invariant:** a policy sees one token at a time, so that a sequence is the same in any company.

/// The rule that compares with the threshold.
pub const AT_LEAST: &str = include_str!("../../shaders/lib/rule.wgsl");

/// What stands in a rule's place where a kernel only measures, and another decides.
pub const NEVER: &str = include_str!("../../shaders/lib/rule_never.wgsl");

/// The rules that need no WGSL of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A token goes on where its score is at least the threshold.
    #[default]
    AtLeast,
    /// A token goes on where its score has risen by at least the threshold since the round before.
    Rising,
    /// A token goes on where its score is at most the threshold: it stops above.
    AtMost,
    /// A token goes on where its score is below the threshold: it stops there and above.
    Below,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::AtLeast, Self::Rising, Self::AtMost, Self::Below];

    /// Whether a text is that of one of these rules, or of none.
    pub fn is_ours(text: &str) -> bool {
        text == NEVER || Self::ALL.iter().any(|rule| rule.text() == text)
    }

    /// Its WGSL.
    pub fn text(self) -> &'static str {
        match self {
            Self::AtLeast => AT_LEAST,
            Self::Rising => include_str!("../../shaders/lib/rule_rising.wgsl"),
            Self::AtMost => include_str!("../../shaders/lib/rule_at_most.wgsl"),
            Self::Below => include_str!("../../shaders/lib/rule_below.wgsl"),
        }
    }

    /// The same on the CPU; `previous` is the score of the round before.
    pub fn goes_on(self, score: f32, previous: f32, threshold: f32, round: u32) -> bool {
        match self {
            Self::AtLeast => score >= threshold,
            Self::Rising => round == 0 || score - previous >= threshold,
            Self::AtMost => score <= threshold,
            Self::Below => score < threshold,
        }
    }
}

/// Says whether a token runs a further round, where a gate asks before each of them.
pub trait ExitPolicy {
    /// The score that a token needs for `round`, the first one being 0. Infinite ones count as very large.
    fn threshold(&self, round: u32) -> f32;

    /// WGSL text that declares
    ///
    /// ```wgsl
    /// fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool
    /// ```
    ///
    /// `score` is what the gate measured before the round, `previous` that of the round before (in the first round `score`
    /// itself), `threshold` is [`ExitPolicy::threshold`] of the round.
    fn rule(&self) -> &'static str {
        AT_LEAST
    }
}

/// As the model was trained: a token goes on where its score is at least 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AsTrained;

impl ExitPolicy for AsTrained {
    fn threshold(&self, _round: u32) -> f32 {
        0.0
    }
}

/// A threshold for each round; rounds behind the last one take the last one's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Thresholds(
    /// First round first.
    pub Vec<f32>,
);

impl ExitPolicy for Thresholds {
    fn threshold(&self, round: u32) -> f32 {
        self.0.get(round as usize).or(self.0.last()).copied().unwrap_or(0.0)
    }
}

#[test]
fn the_last_threshold_holds_for_all_that_follow() {
    let policy = Thresholds(vec![1.0, 2.0]);
    assert_eq!([0, 1, 2, 9].map(|round| policy.threshold(round)), [1.0, 2.0, 2.0, 2.0]);
    assert_eq!(Thresholds::default().threshold(0), AsTrained.threshold(0));
    assert_eq!(AsTrained.rule(), AT_LEAST);
}
