//! What a loaded model takes of the GPU's memory, by the sizes of its real buffers.
//!
//! **Invariant:** structures of buffers are taken apart field by field, so a buffer that is added and not counted does
//! not compile.

use std::collections::HashSet;

use crate::gpu::{Buffer, Texture};
use crate::kernels::products::matrix::Matrix;
use crate::network::config::ModelConfig;
use crate::network::plan::Plan;
use crate::runtime::cache::CacheMemory;
use crate::runtime::leave::Leave;
use crate::runtime::state::{Lanes, Rows, State};
use crate::runtime::weights::{Bank, LayerWeights, ScorerWeights, Weights};

/// Bytes on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Weights that every token passes over once: prologue, epilogue, final norm and head.
    pub outside: u64,
    /// Weights of one round with its scorers, the mean where rounds differ.
    pub round: u64,
    /// Everything beside weights: rows of a step, lanes, KV cache.
    pub state: u64,
    /// What each lane has of it: its rows, tables, logits, and KV cache.
    pub lane: u64,
    /// KV cache in that; 0 where lanes share one that does not grow with them.
    pub lane_cache: u64,
    /// The KV cache of all lanes: what was set aside, and what sequences take of it.
    pub cache: CacheMemory,
}

/// Buffers that hold so many equal pieces, of which each lane has one.
struct Group<'a> {
    buffers: Vec<&'a Buffer>,
    pieces: u64,
}

impl Memory {
    pub(crate) fn of(config: &ModelConfig, plan: &Plan, weights: &Weights, state: &State) -> Self {
        let layer = |at: usize| layer_bytes(&weights.layers[at], plan.layers[at].unrolled.len());
        let outer: u64 = plan.prologue.clone().chain(plan.epilogue.clone()).map(layer).sum();
        let inner: u64 = plan.rounds.iter().flat_map(|round| round.layers.clone()).map(layer).sum();
        let scorer =
            |scorer: &ScorerWeights| scorer.first.iter().map(Matrix::bytes).sum::<u64>() + scorer.last.buffer.bytes();
        let scorers: u64 = weights.scorers.iter().map(scorer).sum();
        let groups = groups(state);
        let lane = groups.iter().map(Group::piece).sum::<u64>();
        let cache = cache(state);
        let mut seen = HashSet::new();
        let all = groups.iter().flat_map(|group| &group.buffers).filter(|buffer| seen.insert(buffer.id()));
        // Attention leaves its output in the texture of the norms.
        let textures = [&state.rows.normed, &state.rows.activation].map(|made| made.gathered.as_ref());
        let gathered: u64 = textures.into_iter().flatten().map(Texture::bytes).sum();
        let rows = u64::from(state.sizes.room.rows + state.sizes.room.lane_rows()) / u64::from(state.sizes.room.span);
        let beside = [&state.read_depths, &state.page_in_transit].into_iter().chain(&state.rotations);
        let beside = beside.map(Buffer::bytes).sum::<u64>() + weights.gate.state.bytes();
        let beside = beside + state.leave.as_ref().map_or(0, Leave::bytes);
        let fixed = beside + cache.bytes() + gathered;
        Self {
            outside: outer + weights.head.bytes() + weights.final_norm.buffer.bytes(),
            round: (inner + scorers) / u64::from(plan.n_rounds()).max(1),
            state: all.map(|buffer| buffer.bytes()).sum::<u64>() + fixed,
            lane: lane + cache.piece() + gathered / rows,
            lane_cache: cache.piece(),
            cache: CacheMemory::made(config, plan, state.sizes.pages, &state.caches),
        }
    }
}

impl Group<'_> {
    fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.bytes()).sum()
    }

    /// A lane's part; none where the size does not depend on lanes.
    fn piece(&self) -> u64 {
        let mut seen = HashSet::new();
        let own = self.buffers.iter().filter(|buffer| seen.insert(buffer.id()));
        own.filter_map(|buffer| buffer.bytes().checked_div(self.pieces)).sum()
    }
}

/// All that grows with lanes, but for the KV cache.
fn groups(state: &State) -> [Group<'_>; 5] {
    let room = state.sizes.room;
    #[rustfmt::skip]
    let Rows {
        info, tokens, first, granted, before, all, heads: _, rounds: [even, odd], hidden, work, normed, qkv, partial,
        attended, glu, activation, inner, scorer_inner, scores, factors, logits, drawn,
    } = &state.rows;
    #[rustfmt::skip]
    let Lanes {
        history, seen, settings, lengths, reach, given, pages, control, events, entering: _, deeper: _,
        live: _, leaving: _, ends: _,
    } = &state.lanes;
    // A lane has a span of rows.
    let (rows, lanes) = (u64::from((room.rows + room.lane_rows()) / room.span), u64::from(room.lanes));
    let group = |buffers, pieces| Group { buffers, pieces };
    [
        group(
            vec![
                info,
                tokens,
                first,
                granted,
                before,
                hidden,
                work,
                &normed.rows,
                qkv,
                partial,
                &attended.rows,
                glu,
                &activation.rows,
                inner,
                scorer_inner,
                scores,
                factors,
            ],
            rows,
        ),
        group(vec![all, even, odd], rows + 1),
        group(vec![history, seen, settings, lengths, reach, given, pages, control, events], lanes),
        // Four lists of the lanes' rows, and one of all rows: a lane stands in five.
        group(vec![&state.lists], (rows + 4 * lanes).div_ceil(5)),
        // More logits than lanes are for judging texts and do not grow with them.
        group(vec![logits, drawn], if room.heads > room.lanes { 0 } else { lanes }),
    ]
}

fn cache(state: &State) -> Group<'_> {
    let room = state.sizes.room;
    let own = state.sizes.pages == room.lanes * state.sizes.max_pages;
    Group {
        buffers: state.caches.iter().flat_map(|cache| &cache.bindings).collect(),
        pieces: if own { u64::from(room.lanes) } else { 0 },
    }
}

/// Bytes of a layer that one pass reads.
fn layer_bytes(layer: &LayerWeights, depths: usize) -> u64 {
    let LayerWeights { before, after, qkv, output, glu, down, adapters, encoding, head_norms } = layer;
    let mean = |matrices: &[Matrix]| matrices.iter().map(Matrix::bytes).sum::<u64>() / matrices.len().max(1) as u64;
    let bank = |bank: &Bank| bank.buffer.bytes() / if bank.stride == 0 { 1 } else { depths as u64 };
    let adapters: u64 = adapters.values().map(|adapter| bank(&adapter.down) + bank(&adapter.up)).sum();
    let optional = [encoding, head_norms].into_iter().flatten().map(bank).sum::<u64>();
    let norms = [before, after].into_iter().flatten().flatten().map(bank).sum::<u64>() + optional;
    mean(qkv) + mean(output) + glu.bytes() + down.bytes() + adapters + norms
}
