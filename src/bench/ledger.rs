//! What is kept of a run: tokens, depths, time, and a hash of the output.

use crate::engine::event::Event;
use crate::engine::request::Request;
use crate::engine::{Engine, HostTime, Reported, Statistics};
use crate::error::Error;

/// What one run took.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// While the clock ran.
    pub seconds: f64,
    /// Tokens written meanwhile.
    pub tokens: u64,
    /// Mean depth of the tokens that decoding predicted; of a test that only reads, of what it read.
    pub mean_depth: f64,
    /// Share of these tokens that ran round 1, 2, ..
    pub reach: Vec<f64>,
    /// What the engine did meanwhile.
    pub engine: Statistics,
    /// Hash of all tokens and depths in the order of their sequences: the same work gives the same hash on any machine that
    /// is exact.
    pub hash: u64,
}

impl Outcome {
    /// Tokens written per second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }

    /// Tokens read per second.
    pub fn read_per_second(&self) -> f64 {
        self.engine.read as f64 / self.seconds
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Ledger {
    first: Option<u64>,
    sequences: Vec<Written>,
    start: f64,
    before: Statistics,
    tokens: u64,
    /// Tokens predicted by decoding that ran so many rounds.
    depths: Vec<u64>,
}

/// A sequence's output so far.
#[derive(Debug, Clone, Copy)]
struct Written {
    hash: u64,
    begun: bool,
    ended: bool,
}

const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x100_0000_01b3;

impl Ledger {
    /// The clock runs from now on.
    pub fn begin(engine: &Engine, clock: &dyn Fn() -> f64) -> Self {
        let depths = vec![0; engine.plan().n_rounds() as usize + 1];
        let before = engine.statistics();
        Self { first: None, sequences: vec![], start: clock(), before, tokens: 0, depths }
    }

    /// The clock runs anew from now on; what was written before counts for the hash alone.
    pub fn start_clock(&mut self, engine: &Engine, clock: &dyn Fn() -> f64) {
        self.before = engine.statistics();
        self.start = clock();
        self.tokens = 0;
        self.depths.fill(0);
    }

    /// Submits sequences, which are those of this ledger.
    ///
    /// # Errors
    /// A request that cannot be run.
    pub fn submit(&mut self, engine: &mut Engine, requests: Vec<Request>) -> Result<(), Error> {
        for request in requests {
            let id = engine.submit(request)?;
            self.first.get_or_insert(id.0);
            self.sequences.push(Written { hash: EMPTY, begun: false, ended: false });
        }
        Ok(())
    }

    /// Notes what a tick told.
    pub fn take(&mut self, events: Vec<Reported>) {
        for Reported { sequence, event, .. } in events {
            let place = self.first.and_then(|first| sequence.0.checked_sub(first));
            let Some(sequence) = place.and_then(|place| self.sequences.get_mut(place as usize)) else { continue };
            match event {
                Event::Token(token) => {
                    for byte in token.token.to_le_bytes().into_iter().chain([token.depth as u8]) {
                        sequence.hash = (sequence.hash ^ u64::from(byte)).wrapping_mul(PRIME);
                    }
                    // The first token of a sequence is predicted by its prompt.
                    if std::mem::replace(&mut sequence.begun, true) {
                        self.depths[token.depth as usize] += 1;
                    }
                    self.tokens += 1;
                }
                Event::Finished { .. } => sequence.ended = true,
                Event::Prefill { .. } => {}
            }
        }
    }

    /// Runs until nothing is under way.
    ///
    /// # Errors
    /// What the GPU reports.
    pub async fn run_to_the_end(&mut self, engine: &mut Engine) -> Result<(), Error> {
        while !engine.is_idle() {
            self.take(engine.tick().await?);
        }
        Ok(())
    }

    /// Every sequence has a token.
    pub fn all_begun(&self) -> bool {
        self.sequences.iter().all(|sequence| sequence.begun)
    }

    /// A sequence has ended.
    pub fn any_ended(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.ended)
    }

    /// Hash of all that was written.
    pub fn hash(&self) -> u64 {
        self.sequences.iter().fold(EMPTY, |all, sequence| (all ^ sequence.hash).wrapping_mul(PRIME))
    }

    /// Stops the clock.
    pub fn finish(&self, engine: &Engine, clock: &dyn Fn() -> f64) -> Outcome {
        let seconds = clock() - self.start;
        let done = since(&self.before, &engine.statistics());
        let decoded = self.depths.iter().sum::<u64>();
        let deeper = |least: usize| self.depths[least..].iter().sum::<u64>() as f64 / decoded.max(1) as f64;
        let reach: Vec<f64> = (1..self.depths.len()).map(deeper).collect();
        let mean_depth = match decoded {
            0 => done.read_rounds as f64 / done.read.max(1) as f64,
            _ => reach.iter().sum(),
        };
        Outcome { seconds, tokens: self.tokens, mean_depth, reach, engine: done, hash: self.hash() }
    }
}

/// What was done between two moments.
fn since(before: &Statistics, after: &Statistics) -> Statistics {
    Statistics {
        submitted: after.submitted - before.submitted,
        finished: after.finished - before.finished,
        tokens: after.tokens - before.tokens,
        rounds: after.rounds - before.rounds,
        ticks: after.ticks - before.ticks,
        dispatches: after.dispatches - before.dispatches,
        submissions: after.submissions - before.submissions,
        read: after.read - before.read,
        read_rounds: after.read_rounds - before.read_rounds,
        outside_passes: after.outside_passes - before.outside_passes,
        round_passes: after.round_passes - before.round_passes,
        host: HostTime {
            recording: after.host.recording - before.host.recording,
            submitting: after.host.submitting - before.host.submitting,
            waiting: after.host.waiting - before.host.waiting,
            reporting: after.host.reporting - before.host.reporting,
        },
    }
}
