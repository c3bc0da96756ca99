//! The depth experiment of Mixture-of-Recursions (section 3.3): a queue of requests whose lengths are drawn.

use super::ledger::{Ledger, Outcome};
use crate::engine::Engine;
use crate::engine::request::{Request, Sampling};
use crate::error::Error;

/// A queue of requests.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Work {
    /// Number of requests.
    pub requests: u32,
    /// Tokens of each prompt.
    pub prompt: u32,
    /// Mean of the normal distribution that output lengths are drawn from.
    pub mean: f32,
    /// Its standard deviation.
    pub deviation: f32,
    /// Seed of lengths, prompts and depths.
    pub seed: u64,
    /// How deep tokens go.
    pub depth: WorkDepth,
}

/// How deep the tokens of a queue go.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub enum WorkDepth {
    /// As the model decides.
    Model,
    /// By lot, with these shares of depth 1 to 4.
    Drawn([f32; 4]),
    /// All of them as deep as this.
    Fixed(u32),
}

impl WorkDepth {
    /// Has a request go so deep.
    pub fn apply(self, request: &mut Request) {
        match self {
            Self::Model => {}
            Self::Drawn(shares) => request.drawn_depths = Some(shares),
            Self::Fixed(depth) => request.depth = Some(depth),
        }
    }
}

/// A seeded stream of numbers in [0, 1).
pub(super) struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next()).cos()
    }
}

impl Work {
    /// The requests, the same for the same seed whatever the depth.
    pub fn requests(&self, vocabulary: u32, context: u32) -> Vec<Request> {
        let mut numbers = Numbers::new(self.seed);
        let request = |i: u32| {
            let prompt: Vec<u32> =
                (0..self.prompt.max(1)).map(|_| (numbers.next() * f64::from(vocabulary)) as u32).collect();
            let most = f64::from(context.saturating_sub(self.prompt.max(1))).max(1.0);
            let length = f64::from(self.mean) + f64::from(self.deviation) * numbers.normal();
            let mut request = Request::new(prompt, length.round().clamp(1.0, most) as u32);
            request.ignore_end = true;
            // Drawn from a seed, so that no loop of the most probable token makes one sequence like another.
            request.sampling = Sampling { temperature: 1.0, seed: u64::from(i), ..Sampling::GREEDY };
            self.depth.apply(&mut request);
            request
        };
        (0..self.requests).map(request).collect()
    }

    /// Entries that a token sees on average.
    pub fn mean_context(&self) -> f64 {
        f64::from(self.prompt) + f64::from(self.mean) / 2.0
    }

    /// Runs the queue, from the first submission to the last event; `clock` gives seconds since any moment.
    ///
    /// # Errors
    /// What the engine reports.
    pub async fn run(&self, engine: &mut Engine, clock: &dyn Fn() -> f64) -> Result<Outcome, Error> {
        let requests = self.requests(engine.config().vocab_size, engine.context());
        // Nothing that a run before it has read makes this one faster.
        engine.forget_prefixes();
        let mut ledger = Ledger::begin(engine, clock);
        ledger.submit(engine, requests)?;
        ledger.run_to_the_end(engine).await?;
        Ok(ledger.finish(engine, clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::statistics::spread;

    #[test]
    fn the_queue_is_the_same_whatever_the_depth() {
        let work = Work { requests: 400, prompt: 2, mean: 40.0, deviation: 10.0, seed: 3, depth: WorkDepth::Model };
        let (adaptive, full) = (work.requests(61, 128), Work { depth: WorkDepth::Fixed(3), ..work }.requests(61, 128));
        for (a, b) in adaptive.iter().zip(&full) {
            assert_eq!((&a.prompt, a.max_tokens, a.sampling), (&b.prompt, b.max_tokens, b.sampling));
        }
        let lengths: Vec<f64> = adaptive.iter().map(|request| f64::from(request.max_tokens)).collect();
        let (mean, deviation) = spread(&lengths);
        assert!((mean - 40.0).abs() < 2.0 && (deviation - 10.0).abs() < 1.5, "{mean} {deviation}");
    }
}
