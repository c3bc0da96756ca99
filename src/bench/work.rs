//! The depth experiment of Mixture-of-Recursions (section 3.3): a queue of requests whose lengths are drawn.

use super::ledger::{Ledger, Outcome};
use crate::engine::Engine;
use crate::engine::measure::DepthSource;
use crate::engine::request::{Request, Sampling};
use crate::error::{Error, RequestError};

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
    /// At random, with these shares of depth 1 to 4.
    Drawn([f32; 4]),
    /// All of them as deep as this.
    Fixed(u32),
}

impl WorkDepth {
    /// Has a request go so deep, as far as requests say it.
    pub(super) fn apply(self, request: &mut Request) {
        if let Self::Fixed(depth) = self {
            request.depth = Some(depth);
        }
    }

    /// Has an engine draw depths, or not.
    ///
    /// # Errors
    /// Shares that do not sum up to 1, or of rounds that the model lacks.
    pub(super) fn decide(self, engine: &mut Engine) -> Result<(), RequestError> {
        let Self::Drawn(shares) = self else {
            engine.set_depths(None);
            return Ok(());
        };
        let rounds = engine.plan().n_rounds();
        let fits = shares[(rounds as usize).min(4)..].iter().all(|share| *share == 0.0);
        if !fits || (shares.iter().sum::<f32>() - 1.0).abs() > 1e-3 || shares.iter().any(|share| *share < 0.0) {
            let range = format!("shares of depth 1 to {rounds} that sum up to 1");
            return Err(RequestError::Setting { name: "depths", value: format!("{shares:?}"), range });
        }
        let hash =
            |hash: u64, share: &f32| (hash ^ u64::from(share.to_bits())).wrapping_mul(0x100_0000_01b3).rotate_left(29);
        let identity = shares.iter().fold(0xcbf2_9ce4_8422_2325, hash);
        let rounds = Box::new(move |seed, position| drawn_depth(&shares, seed, position));
        engine.set_depths(Some(DepthSource { identity, rounds }));
        Ok(())
    }
}

/// Depth at random: the same for the same seed and position, whatever the order and the company. `shares` are those of depth 1 to 4.
fn drawn_depth(shares: &[f32; 4], seed: u64, position: u32) -> u32 {
    let h = (position ^ (((seed as u32 & 0x7fff) << 1 | 1) << 16)).wrapping_mul(0x9e37_79b1);
    let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    let share = (h ^ (h >> 16)) & 0xffff;
    // Of 65536, the share that goes at least so deep.
    let at_least = |depth: usize| ((shares[depth - 1..].iter().sum::<f32>() * 65536.0).round() as u32).min(0xffff);
    (2..=4).fold(1, |depth, next| depth + u32::from(share < at_least(next)))
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
        self.depth.decide(engine)?;
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
    fn depths_have_their_shares() {
        let shares = [0.5, 0.25, 0.25, 0.0];
        let mut counts = [0.0; 4];
        for (seed, position) in (0..40).flat_map(|seed| (0..100).map(move |position| (seed, position))) {
            counts[drawn_depth(&shares, seed, position) as usize - 1] += 1.0 / 4000.0;
        }
        assert!(counts.iter().zip(shares).all(|(count, share)| (count - share).abs() < 0.03), "{counts:?}");
    }

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
