//! The lists of a tick in one buffer: `enter` writes three of them and `finish` reads two, each by one binding.

use crate::error::GpuError;
use crate::gpu::buffer::PART_BYTES;
use crate::gpu::{Buffer, Gpu};
use crate::runtime::room::Room;

/// Parts of one buffer, each `[count, ...]`. The first three have the same size and stand side by side in this order.
pub(super) struct Lists {
    /// All of them.
    pub all: Buffer,
    pub entering: Buffer,
    pub deeper: Buffer,
    pub live: Buffer,
    pub leaving: Buffer,
    /// Rows of a step whose logits are wanted.
    pub heads: Buffer,
    /// End tokens, written for good.
    pub ends: Buffer,
}

/// Bytes from a list of so many entries to the next.
fn stride(entries: u32) -> u64 {
    (u64::from(entries) * 4 + 4).next_multiple_of(PART_BYTES)
}

/// Words from one of the lists of `enter` to the next.
pub(super) fn list_words(room: &Room) -> u32 {
    (stride(room.lane_rows()) / 4) as u32
}

impl Lists {
    pub fn new(gpu: &Gpu, end_tokens: &[u32], room: Room) -> Result<Self, GpuError> {
        let (of_lanes, of_rows) = (stride(room.lane_rows()), stride(room.rows + room.lane_rows()));
        let ends = stride(end_tokens.len() as u32);
        let all = gpu.buffer("lists", 4 * of_lanes + of_rows + ends)?;
        let of_lane = |place: u64| all.part(place * of_lanes, of_lanes);
        let lists = Self {
            entering: of_lane(0),
            deeper: of_lane(1),
            live: of_lane(2),
            leaving: of_lane(3),
            heads: all.part(4 * of_lanes, of_rows),
            ends: all.part(4 * of_lanes + of_rows, ends),
            all,
        };
        gpu.write(&lists.ends, 0, &[&[end_tokens.len() as u32], end_tokens].concat());
        Ok(lists)
    }
}
