//! One module per kernel: arguments, parameters, CPU twin and test of the shader of the same name.
//!
//! Rows are tokens under way. Every kernel works on the rows of a *list* (`[count, row, row, ...]`) and leaves the
//! others alone; `rows` tells each row's lane, position, depth and KV index. Buffers are indexed by row, so that
//! nothing moves when the list changes.

pub mod attention;
pub mod attention_merge;
pub mod bucket;
pub mod combine;
pub mod embed;
pub mod encode;
pub mod gate;
pub mod lora_down;
pub mod lora_up;
pub mod matmul;
pub mod matrix;
pub mod matvec;
pub mod matvec_serial;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod select_top_k;
pub mod swiglu;
pub mod variants;

#[cfg(test)]
mod check;

pub(crate) const REDUCE: &str = include_str!("../../shaders/lib/reduce.wgsl");
pub(crate) const KV: &str = include_str!("../../shaders/lib/kv.wgsl");
pub(crate) const DRAW: &str = include_str!("../../shaders/lib/draw.wgsl");
pub(crate) const ENTRIES: &str = include_str!("../../shaders/lib/entries.wgsl");
pub(crate) const PRODUCT: &str = include_str!("../../shaders/lib/product.wgsl");
pub(crate) const BLOCK: &str = include_str!("../../shaders/lib/block.wgsl");

/// Entries per KV page.
pub const PAGE: u32 = 32;
/// Entries per stretch of the context that one workgroup of `attention` takes.
pub const STRETCH: u32 = 256;
/// A token that the GPU takes from the lane's last draw.
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
    pub depth: u32,
    /// Entry in the cache of that round.
    pub kv_index: u32,
}

/// A row of numbers as kernels want it: a multiple of 32, the rest zero.
pub fn padded(width: u32) -> u32 {
    width.next_multiple_of(32)
}
