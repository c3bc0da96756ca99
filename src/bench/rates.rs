//! What a run's time stands beside: operations, and bytes that had to be moved.

use super::ledger::Outcome;
use crate::engine::Engine;
use crate::network::flops::TokenFlops;

/// Rates of one run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Tokens written, or read where none was written by decoding.
    pub tokens_per_second: f64,
    /// Bytes that the run cannot do without, in units of 10^9: weights once for each pass over them, keys and values once
    /// for each row that attends to them. Activations and logits are not counted.
    pub gb_per_second: f64,
    /// Operations by formula, in units of 10^9.
    pub gflop_per_second: f64,
}

impl Rates {
    /// Of a run in which a token saw `context` entries on average; `reads` where it is reading that was timed.
    pub fn of(engine: &Engine, outcome: &Outcome, context: f64, reads: bool) -> Self {
        let (done, seconds) = (&outcome.engine, outcome.seconds);
        let flops = TokenFlops::of(engine.config(), engine.plan(), context);
        let (tokens, operations) = if reads {
            // Only the last token of a prompt meets the head.
            let head = TokenFlops::head(engine.config());
            let tokens = done.read as f64;
            (tokens, tokens * (flops.at(outcome.mean_depth) - head) + outcome.tokens as f64 * head)
        } else {
            (outcome.tokens as f64, outcome.tokens as f64 * flops.at(outcome.mean_depth))
        };
        let bytes = weights(engine, outcome) + entries(engine, outcome, context, reads);
        Self {
            tokens_per_second: tokens / seconds,
            gb_per_second: bytes / seconds / 1e9,
            gflop_per_second: operations / seconds / 1e9,
        }
    }
}

fn weights(engine: &Engine, outcome: &Outcome) -> f64 {
    let (memory, done) = (engine.memory(), &outcome.engine);
    memory.outside as f64 * done.outside_passes as f64 + memory.round as f64 * done.round_passes as f64
}

/// Keys and values that rows read.
fn entries(engine: &Engine, outcome: &Outcome, context: f64, reads: bool) -> f64 {
    let (plan, config) = (engine.plan(), engine.config());
    let entry = f64::from(2 * config.n_kv_heads * config.head_dim * 4);
    let outer = (plan.prologue.len() + plan.epilogue.len()) as f64;
    let inner =
        plan.rounds.iter().map(|round| round.layers.len()).sum::<usize>() as f64 / f64::from(plan.n_rounds().max(1));
    if reads {
        // A chunk reads what stands before it once for all its rows.
        let chunks = outcome.engine.outside_passes as f64;
        return chunks * context * entry * (outer + inner * outcome.mean_depth);
    }
    // Where a round's cache holds only tokens that ran it, a row finds as many fewer entries there.
    let compact = plan.rounds.first().is_some_and(|round| plan.layers[round.layers.start].cache.compact);
    let rounds: f64 = outcome.reach.iter().map(|share| if compact { share * share } else { *share }).sum();
    outcome.tokens as f64 * context * entry * (outer + inner * rounds)
}
