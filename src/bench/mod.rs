//! Measuring: does a token that stops early save time? The depth experiment of Mixture-of-Recursions (section 3.3), with
//! everything timed.
//!
//! ```text
//! ceiling    = (F0 + N Fr) / (F0 + mean depth Fr)      F0: prologue, epilogue and head; Fr: one round, in FLOPs
//! realised   = tokens/s adaptive / tokens/s at full depth, same weights, lanes and run
//! efficiency = realised / ceiling
//! ```
//!
//! **Invariant:** no clock of its own: the caller hands one in.

pub mod flops;
pub mod shape;

use crate::engine::event::Event;
use crate::engine::request::{Request, Sampling};
use crate::engine::{Engine, Statistics};
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

/// What one run of a queue took.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// From the first submission to the last event.
    pub seconds: f64,
    /// Tokens written.
    pub tokens: u64,
    /// Mean depth of the tokens that decoding predicted.
    pub mean_depth: f64,
    /// Ticks.
    pub ticks: u64,
    /// Dispatches.
    pub dispatches: u64,
    /// Hash of all tokens and depths in the order of their sequences: the same work gives the same hash on any machine that is exact.
    pub hash: u64,
}

impl Outcome {
    /// Tokens written per second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

/// A seeded stream of numbers in [0, 1).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
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
        let mut numbers = Numbers(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        let request = |i: u32| {
            let prompt: Vec<u32> =
                (0..self.prompt.max(1)).map(|_| (numbers.next() * f64::from(vocabulary)) as u32).collect();
            let most = f64::from(context.saturating_sub(self.prompt.max(1))).max(1.0);
            let length = f64::from(self.mean) + f64::from(self.deviation) * numbers.normal();
            let mut request = Request::new(prompt, length.round().clamp(1.0, most) as u32);
            request.ignore_end = true;
            // Drawn from a seed, so that no loop of the most probable token makes one sequence like another.
            request.sampling = Sampling { temperature: 1.0, seed: u64::from(i), ..Sampling::GREEDY };
            match self.depth {
                WorkDepth::Model => {}
                WorkDepth::Drawn(shares) => request.drawn_depths = Some(shares),
                WorkDepth::Fixed(depth) => request.depth = Some(depth),
            }
            request
        };
        (0..self.requests).map(request).collect()
    }

    /// Runs the queue; `clock` gives seconds since any moment.
    ///
    /// # Errors
    /// What the engine reports.
    pub async fn run(&self, engine: &mut Engine, clock: &dyn Fn() -> f64) -> Result<Outcome, Error> {
        let requests = self.requests(engine.config().vocab_size, engine.context());
        let before = engine.statistics();
        let start = clock();
        let mut ids = Vec::with_capacity(requests.len());
        for request in requests {
            ids.push(engine.submit(request)?);
        }
        let first = ids.first().map_or(0, |id| id.0);
        let mut hashes = vec![0xcbf2_9ce4_8422_2325_u64; ids.len()];
        let (mut rounds, mut decoded) = (0u64, 0u64);
        let mut begun = vec![false; ids.len()];
        while let Some((id, event)) = engine.next().await? {
            let Some(at) = (id.0).checked_sub(first).map(|at| at as usize).filter(|at| *at < ids.len()) else {
                continue;
            };
            if let Event::Token(token) = event {
                for byte in token.token.to_le_bytes().into_iter().chain([token.depth as u8]) {
                    hashes[at] = (hashes[at] ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
                // The first token of a sequence is predicted by its prompt.
                if std::mem::replace(&mut begun[at], true) {
                    rounds += u64::from(token.depth);
                    decoded += 1;
                }
            }
        }
        let seconds = clock() - start;
        let Statistics { tokens, ticks, dispatches, .. } = engine.statistics();
        Ok(Outcome {
            seconds,
            tokens: tokens - before.tokens,
            mean_depth: rounds as f64 / decoded.max(1) as f64,
            ticks: ticks - before.ticks,
            dispatches: dispatches - before.dispatches,
            hash: hashes.iter().fold(0xcbf2_9ce4_8422_2325, |all, h| (all ^ h).wrapping_mul(0x100_0000_01b3)),
        })
    }
}

/// Mean and sample standard deviation.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The middle value; less moved than the mean by a machine that is busy elsewhere.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
    }
}
