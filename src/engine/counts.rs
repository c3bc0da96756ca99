//! What counts of guesses say.

use super::guessing::Counts;

impl Counts {
    /// Tokens that a pass wrote, where any was counted.
    pub fn tokens_a_pass(&self) -> Option<f64> {
        (self.checks > 0).then(|| 1.0 + self.accepted as f64 / self.checks as f64)
    }

    /// Share of guesses that were right, where any was checked.
    pub fn right(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.accepted as f64 / self.checked as f64)
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.pairs(other, |one, other| one + other)
    }

    /// Those behind an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.pairs(before, u64::saturating_sub)
    }

    fn pairs(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            checks: of(self.checks, other.checks),
            guessed_checks: of(self.guessed_checks, other.guessed_checks),
            checked: of(self.checked, other.checked),
            accepted: of(self.accepted, other.accepted),
        }
    }
}

#[test]
fn a_guess_that_was_right_saves_a_pass() {
    let counts = Counts { checks: 100, guessed_checks: 40, checked: 120, accepted: 84 };
    assert_eq!((counts.tokens_a_pass(), counts.right()), (Some(1.84), Some(0.7)));
    assert_eq!((Counts::default().tokens_a_pass(), Counts::default().right()), (None, None));
    assert_eq!(counts.and(&counts).since(&counts), counts);
}
