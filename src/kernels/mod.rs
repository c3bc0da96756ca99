//! One module per kernel: arguments, parameters, CPU twin and test of the shader of the same name.
//!
//! Rows are tokens under way. Every kernel works on the rows of a *list* (`[count, row, row, ...]`) and leaves the
//! others alone; `rows` tells each row's lane, position, round and KV index. Buffers are indexed by row, so that
//! nothing moves when the list changes.

pub mod attention;
pub mod deferring;
pub mod drafts;
pub mod draw;
pub mod exits;
pub mod products;
pub mod rows;
pub mod variants;

#[cfg(test)]
mod check;

pub(crate) const REDUCE: &str = include_str!("../../shaders/lib/reduce.wgsl");
pub(crate) const REDUCE_SUBGROUP: &str = include_str!("../../shaders/lib/reduce_subgroup.wgsl");
pub(crate) const KV: &str = include_str!("../../shaders/lib/kv.wgsl");
pub(crate) const DRAW: &str =
    concat!(include_str!("../../shaders/lib/draw.wgsl"), include_str!("../../shaders/lib/hash.wgsl"));
pub(crate) const HASH: &str = include_str!("../../shaders/lib/hash.wgsl");
pub(crate) const FOLD: &str = include_str!("../../shaders/lib/fold.wgsl");
pub(crate) const FOLD_SUBGROUP: &str = concat!(
    include_str!("../../shaders/lib/fold_subgroup.wgsl"),
    include_str!("../../shaders/lib/reduce_subgroup.wgsl")
);
pub(crate) const ENTRIES: &str = include_str!("../../shaders/lib/entries.wgsl");
pub(crate) const HELD_ALL: &str = include_str!("../../shaders/lib/held_all.wgsl");
pub(crate) const HELD_REACHED: &str = include_str!("../../shaders/lib/held_reached.wgsl");
pub(crate) const ERROR_FUNCTION: &str = include_str!("../../shaders/lib/error_function.wgsl");
pub(crate) const ATTENDED_STRETCH: &str = include_str!("../../shaders/lib/attended_stretch.wgsl");
pub(crate) const ATTENDED_WHOLE: &str = include_str!("../../shaders/lib/attended_whole.wgsl");
pub(crate) const SPAN: &str = include_str!("../../shaders/lib/span.wgsl");
pub(crate) const LANE: &str = include_str!("../../shaders/lib/lane.wgsl");
pub(crate) const EVENT: &str = include_str!("../../shaders/lib/event.wgsl");
pub(crate) const DRAWN: &str = include_str!("../../shaders/lib/drawn.wgsl");
pub(crate) const GRANTED: &str = include_str!("../../shaders/lib/granted.wgsl");
pub(crate) const PRODUCT: &str = include_str!("../../shaders/lib/product.wgsl");
pub(crate) const DECIDE: &str =
    concat!(include_str!("../../shaders/lib/decide.wgsl"), include_str!("../../shaders/lib/granted.wgsl"));
pub(crate) const SCAN: &str = include_str!("../../shaders/lib/scan.wgsl");
pub(crate) const SEEN: &str = include_str!("../../shaders/lib/seen.wgsl");
pub(crate) const SERIAL: &str = include_str!("../../shaders/lib/serial.wgsl");
pub(crate) const COLUMN: &str = include_str!("../../shaders/lib/column.wgsl");
pub(crate) const COLUMN_SUBGROUP: &str = include_str!("../../shaders/lib/column_subgroup.wgsl");
pub(crate) const TEXEL: &str = include_str!("../../shaders/lib/texel.wgsl");
pub(crate) const GATHERED: &str = include_str!("../../shaders/lib/gathered.wgsl");
pub(crate) const GATHERED_NOWHERE: &str = include_str!("../../shaders/lib/gathered_nowhere.wgsl");
pub(crate) const WEIGHTS_BUFFER: &str = include_str!("../../shaders/lib/weights_buffer.wgsl");
pub(crate) const WEIGHTS_TEXTURE: &str = include_str!("../../shaders/lib/weights_texture.wgsl");
pub(crate) const BLOCK: &str = include_str!("../../shaders/lib/block.wgsl");

/// Entries per KV page.
pub const PAGE: u32 = 32;
/// Entries per stretch of the context that one workgroup of `attention` takes.
pub const STRETCH: u32 = 256;
/// Threads of a subgroup in the kernels that are written for subgroups.
pub const SUBGROUP: u32 = 8;

/// How a kernel's numbers come about. Within one class, and one recipe, what computes the same has one order of sums however
/// many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumericClass {
    /// Sums of f32 in a fixed order, whatever the type of the weights.
    Exact,
}

/// Whether kernels that are written for subgroups fit: they do without workgroup memory where it is dear.
pub fn by_subgroup(traits: &crate::gpu::Traits) -> bool {
    traits.dear_workgroup_memory && traits.subgroup_size() == Some(SUBGROUP)
}
/// Threads of a workgroup that looks through a vocabulary, without subgroups: `THREADS` in `shaders/lib/fold.wgsl`.
pub const FOLD_THREADS: u32 = 256;
/// Most guesses behind a lane's next token.
pub const MAX_GUESSES: u32 = 8;
/// A token that the GPU takes from the lane's history.
pub const NEXT_TOKEN: u32 = u32::MAX;

/// What the GPU knows of a row.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// The sequence's place in the batch.
    pub lane: u32,
    /// Position in the sequence.
    pub position: u32,
    /// The round that is being run, from 0.
    pub round: u32,
    /// Entry in the cache of that round.
    pub kv_index: u32,
}

/// How many rounds a row runs; see `shaders/lib/granted.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Granted {
    /// Rounds granted so far, or at once.
    pub rounds: u32,
    /// Rounds that the row runs whatever its scores; 0: they decide.
    pub forced: u32,
}

/// What a lane is doing, as the GPU keeps it between ticks; see `shaders/lib/lane.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Control {
    /// [`Control::IDLE`], [`Control::READY`], [`Control::IN_FLIGHT`], [`Control::READING`] or [`Control::WAITING`].
    pub phase: u32,
    /// Tells sequences of the same lane apart.
    pub serial: u32,
    /// Position of the next token to be computed; of the first row that waits, where some do.
    pub position: u32,
    /// Tokens that may still be drawn.
    pub remaining: u32,
    /// Rounds that every token runs; 0: the gate decides.
    pub forced: u32,
    /// 1: rounds are given for each position of the lane.
    pub given: u32,
    /// 1: an end token ends the sequence.
    pub ends: u32,
    /// Rows of its span in use: the next token, and guesses behind it, or rows that wait before it.
    pub rows: u32,
    /// Of those that were computed last: rows that stay, the first ones.
    pub kept: u32,
    /// Guesses that were made, whether they are checked or not.
    pub guesses: u32,
    /// Who made them: an index of the caller's.
    pub source: u32,
    /// Rows of its span that have run the first layers already, to be guessed from.
    pub shallow: u32,
    /// Position of the first token that it wrote: the length of its prompt.
    pub begins: u32,
}

impl Control {
    /// No sequence.
    pub const IDLE: u32 = 0;
    /// Its next token can enter.
    pub const READY: u32 = 1;
    /// Its rows are between two rounds.
    pub const IN_FLIGHT: u32 = 2;
    /// Its prompt is being read.
    pub const READING: u32 = 3;
    /// The token of its newest row was told by the first layers: its rows wait for the others.
    pub const WAITING: u32 = 4;
}

/// A row of numbers as kernels want it: a multiple of 32, the rest zero.
pub fn padded(width: u32) -> u32 {
    width.next_multiple_of(32)
}
