//! What a stretch of work took: tokens, depth, time.

use crate::engine::Engine;
use crate::engine::event::TokenEvent;
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
}

impl Meter {
    /// Nothing yet.
    pub fn begin(now: f64) -> Self {
        Self { began: now, ..Self::default() }
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
