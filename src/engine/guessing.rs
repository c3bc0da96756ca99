//! Who guesses, and how many guesses are checked behind each token.
//!
//! A check of `k` guesses costs a pass over `1 + k` rows of each lane, and is worth the guesses that are right. Whether one pays is
//! estimated in `estimate`.
//!
//! **Invariant:** this decides how many guesses are checked, never what is written.

use super::Engine;
use super::drafters::DraftSource;
use super::estimate::Estimates;
use super::event::Guesser;
use crate::error::{Error, RequestError};
use crate::kernels::MAX_GUESSES;

/// How many guesses are checked behind each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guesses {
    /// Always so many, where there are as many.
    Fixed(u32),
    /// As many as pay, as far as is known; none where none do.
    Auto,
}

/// What came of guesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Passes of the whole network that wrote a lane's tokens.
    pub checks: u64,
    /// Those of them that checked guesses.
    pub guessed_checks: u64,
    /// Guesses that were checked.
    pub checked: u64,
    /// Those that were right, so that each saved a pass.
    pub accepted: u64,
}

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

impl Engine {
    /// What came of guesses so far.
    pub fn guesses(&self) -> Counts {
        self.guessing.counts
    }

    /// Who guesses, the first one first.
    pub fn guessers(&self) -> &[Guesser] {
        self.guessing.by()
    }

    /// Guesses behind a token for which there is room.
    pub fn most_guesses(&self) -> u32 {
        (self.state.sizes.room.span - 1).min(MAX_GUESSES)
    }

    /// Chooses who guesses, the first one first, and how many guesses are checked behind each token; nobody ends it. Texts do not
    /// change. Holds from the next tick on.
    ///
    /// # Errors
    /// More guesses than there is room for ([`EngineOptions::guesses`](super::EngineOptions::guesses)), an order of rounds in which
    /// lanes stand at different ones, or no room on the GPU.
    pub async fn set_drafting(&mut self, sources: &[DraftSource], guesses: Guesses) -> Result<(), Error> {
        let most = self.most_guesses();
        let refuse = |name, value: String, range: String| Err(RequestError::Setting { name, value, range }.into());
        if let Guesses::Fixed(guesses) = guesses
            && guesses > most
        {
            return refuse("guesses", guesses.to_string(), format!("at most {most}, for which room was made"));
        }
        if !sources.is_empty() && self.order == crate::runtime::tick::Order::Mixed {
            return refuse(
                "draft",
                "guesses".into(),
                "off where lanes of different rounds share a pass; or order waves".into(),
            );
        }
        if !sources.is_empty() && self.deferring.is_on() {
            return refuse("draft", "guesses".into(), "off while layers are put off".into());
        }
        if let Some(exit) = self.exit_mode().filter(|_| !sources.is_empty()) {
            return refuse("draft", "guesses".into(), format!("off while tokens leave early by {}", exit.mode.name()));
        }
        let mut drafters = vec![];
        for source in sources {
            drafters.push(self.drafter(source)?);
        }
        self.gpu.check().await?;
        // Bind groups of drafters before would keep what they guessed with.
        self.gpu.forget_bind_groups();
        self.state.drafters = drafters;
        let by = sources.iter().map(DraftSource::by).collect();
        self.guessing = Estimates::new(by, guesses, most, self.guessing.counts);
        Ok(())
    }
}

#[test]
fn a_guess_that_was_right_saves_a_pass() {
    let counts = Counts { checks: 128, guessed_checks: 40, checked: 128, accepted: 96 };
    assert_eq!((counts.tokens_a_pass(), counts.right()), (Some(1.75), Some(0.75)));
    assert_eq!((Counts::default().tokens_a_pass(), Counts::default().right()), (None, None));
    assert_eq!(counts.and(&counts).since(&counts), counts);
}
