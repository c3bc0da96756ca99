//! What a stretch of work took: tokens, depth, time.

use crate::engine::Engine;
use crate::engine::event::TokenEvent;
use crate::engine::guessing::Counts;
use crate::network::flops::TokenFlops;

/// Sums since the engine last had nothing to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// When it began, moved on by pauses.
    pub began: f64,
    /// Tokens written.
    pub tokens: u64,
    /// Tokens that decoding predicted; a sequence's first is predicted by its prompt.
    decoded: u64,
    rounds: u64,
    positions: u64,
    /// What came of guesses on devices that are gone.
    guesses: Counts,
    /// What the engine had counted of them before.
    guesses_before: Counts,
}

impl Meter {
    /// Nothing yet; an engine has counted so many guesses before.
    pub fn begin(now: f64, guesses: Counts) -> Self {
        Self { began: now, guesses_before: guesses, ..Self::default() }
    }

    /// What came of guesses, where the engine has counted so many by now.
    pub fn guesses(&self, now: &Counts) -> Counts {
        self.guesses.and(&now.since(&self.guesses_before))
    }

    /// Another engine goes on, which begins to count anew; the last one had counted so many.
    pub fn moves(&mut self, last: &Counts) {
        (self.guesses, self.guesses_before) = (self.guesses(last), Counts::default());
    }

    /// Counts a token; `first` of its sequence?
    pub fn add(&mut self, token: &TokenEvent, first: bool) {
        self.tokens += 1;
        if !first {
            self.decoded += 1;
            self.rounds += u64::from(token.depth);
            self.positions += u64::from(token.position);
        }
    }

    /// Mean depth of what decoding predicted; 0 before the first.
    pub fn mean_depth(&self) -> f64 {
        self.rounds as f64 / self.decoded.max(1) as f64
    }

    /// The speed-up over full depth that no engine can exceed at this mean depth; 1 before the first token.
    pub fn ceiling(&self, engine: &Engine) -> f64 {
        if self.decoded == 0 {
            return 1.0;
        }
        let context = self.positions as f64 / self.decoded as f64;
        TokenFlops::of(engine.config(), engine.plan(), context).ceiling(self.mean_depth())
    }
}
