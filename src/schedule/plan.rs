//! What the GPU is to do in one tick.

use super::request::SequenceId;

/// One tick, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TickPlan {
    /// Ticks are numbered from 0 without gaps.
    pub number: u64,
    /// Lanes to be switched off before all else: their sequences were cancelled or preempted.
    pub stops: Vec<u32>,
    /// Pages to be copied before anything is written. No page is the target of two copies, or target and source.
    pub copies: Vec<PageCopy>,
    /// Lanes that get a new sequence.
    pub begins: Vec<Begin>,
    /// Pages that lanes get.
    pub pages: Vec<TableWrite>,
    /// Tokens to read; at most one chunk for each lane.
    pub chunks: Vec<Chunk>,
    /// At most so many lanes decode in this tick. A lane may decode in the very tick of its last chunk, or begin with
    /// the next one: both are covered by its pages and counted here.
    pub decoding: u32,
}

/// A page copied within a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCopy {
    /// 0 for class 0, 1 for the other classes.
    pub pool: u32,
    /// Source.
    pub from: u32,
    /// Target.
    pub to: u32,
}

/// A lane gets a new sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The lane.
    pub lane: u32,
    /// The sequence.
    pub sequence: SequenceId,
    /// Tells this stay in the lane from earlier and later ones; reports bring it back.
    pub serial: u32,
    /// Tokens whose entries are in the cache already, to be marked as seen.
    pub tokens: Vec<u32>,
    /// Their depths.
    pub depths: Vec<u8>,
    /// Their entries in each class; none where the forced depth does not reach the class.
    pub lengths: Vec<u32>,
    /// Tokens to read in all, the cached ones and those written before a preemption included.
    pub reads: u32,
    /// Tokens written before a preemption: the index of the first token that will be drawn.
    pub written: u32,
    /// The token that enters behind those, told before a preemption; none where the last that is read draws one.
    pub enters: Option<u32>,
    /// The lane stops after so many tokens. They fit into the context.
    pub remaining: u32,
}

/// A page of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableWrite {
    /// The lane.
    pub lane: u32,
    /// Class of the KV cache.
    pub class: u32,
    /// Entries from `index` * [`PAGE`](super::PAGE) on.
    pub index: u32,
    /// Page of the class's pool.
    pub page: u32,
}

/// Tokens that a lane reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The lane.
    pub lane: u32,
    /// The sequence.
    pub sequence: SequenceId,
    /// See [`Begin::serial`].
    pub serial: u32,
    /// Position of the first token.
    pub start: u32,
    /// Tokens, at least one.
    pub tokens: Vec<u32>,
    /// The last row draws a token, unless one enters behind it, and the lane decodes from then on.
    pub last: bool,
}
