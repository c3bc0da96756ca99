//! Where a layer's keys and values lie: pages in one binding, or in several where a device binds less than the layer needs.
//!
//! Each binding holds some of the KV heads of all pages. A head attends to itself alone, so a kernel runs once for each
//! binding and nothing changes in its sums.

use crate::error::GpuError;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::PAGE;
use crate::network::config::ModelConfig;
use crate::network::plan::Plan;

/// Keys and values of the layers that share them; see `shaders/lib/kv.wgsl`.
#[derive(Debug)]
pub struct Cache {
    /// Each with the same number of KV heads, in their order.
    pub bindings: Vec<Buffer>,
    /// KV heads in each.
    pub heads: u32,
}

impl Cache {
    /// Bindings, each with its first KV head.
    pub fn parts(&self) -> impl Iterator<Item = (u32, &Buffer)> {
        (0..).step_by(self.heads as usize).zip(&self.bindings)
    }

    /// Bytes of a page in each binding.
    pub fn page_bytes(&self, config: &ModelConfig) -> u64 {
        page_bytes(config) / self.bindings.len() as u64
    }
}

/// What is set aside for keys and values, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct CacheMemory {
    /// Bytes of all layers.
    pub bytes: u64,
    /// Pages of [`PAGE`] entries: of layers that every token runs, and of all rounds together.
    pub pages: [u32; 2],
    /// Bytes that a page takes in all the layers of its kind.
    pub page_bytes: [u64; 2],
    /// Pages of rounds that `PAGE` tokens take which run all of them.
    pub rounds: u32,
    /// Most bindings that a layer's part lies in.
    pub bindings: u32,
}

impl CacheMemory {
    /// With so many pages for layers that every token runs.
    pub fn of(config: &ModelConfig, plan: &Plan, pages: u32) -> Self {
        let rounds = plan.classes - 1;
        let in_rounds = (0..plan.cache_buffers).filter(|&buffer| is_of_rounds(plan, buffer)).count() as u64;
        let outside = plan.cache_buffers as u64 - in_rounds;
        let page_bytes = [outside, in_rounds].map(|layers| layers * page_bytes(config));
        let pages = [pages, pages * rounds];
        Self {
            bytes: u64::from(pages[0]) * page_bytes[0] + u64::from(pages[1]) * page_bytes[1],
            pages,
            page_bytes,
            rounds,
            bindings: 1,
        }
    }

    /// As it was made.
    pub(super) fn made(config: &ModelConfig, plan: &Plan, pages: u32, caches: &[Cache]) -> Self {
        let bindings = caches.iter().map(|cache| cache.bindings.len() as u32).max().unwrap_or(1);
        Self { bindings, ..Self::of(config, plan, pages) }
    }

    /// Bytes that a sequence of so many tokens takes if all of them run all rounds.
    pub fn sequence_bytes(&self, tokens: u32) -> u64 {
        u64::from(tokens.div_ceil(PAGE)) * (self.page_bytes[0] + u64::from(self.rounds) * self.page_bytes[1])
    }

    /// How many such sequences fit at once.
    pub fn sequences(&self, tokens: u32) -> u32 {
        self.pages[0] / tokens.div_ceil(PAGE).max(1)
    }
}

/// Bytes of the largest binding that kernels can walk through: they count its words in 32 bits.
const LARGEST: u64 = 1 << 34;

/// Bytes of a page of one layer: keys and values of [`PAGE`] entries.
pub fn page_bytes(config: &ModelConfig) -> u64 {
    u64::from(config.n_kv_heads * 2 * PAGE * config.head_dim.div_ceil(4) * 16)
}

/// Whether layers of rounds use the buffer, whose pages come from a pool of their own.
pub fn is_of_rounds(plan: &Plan, buffer: usize) -> bool {
    let user = plan.layers.iter().find(|layer| layer.cache.buffer == buffer);
    user.is_some_and(|layer| layer.cache.class_base > 0)
}

/// Bytes of a layer's cache with so many pages for layers that every token runs.
fn layer_bytes(config: &ModelConfig, plan: &Plan, buffer: usize, pages: u32) -> u64 {
    let classes = if is_of_rounds(plan, buffer) { plan.classes - 1 } else { 1 };
    u64::from(pages) * u64::from(classes) * page_bytes(config)
}

/// Most pages for layers that every token runs which bindings of so many bytes can show.
pub fn most_pages(config: &ModelConfig, plan: &Plan, binding: u64) -> u32 {
    let binding = binding.min(LARGEST);
    let largest = (0..plan.cache_buffers).map(|buffer| layer_bytes(config, plan, buffer, 1)).max().unwrap_or(1);
    let per_head = (largest / u64::from(config.n_kv_heads)).max(1);
    u32::try_from(binding / per_head).unwrap_or(u32::MAX)
}

/// Makes room for so many pages of layers that every token runs, and as many for each round.
pub(super) fn caches(gpu: &Gpu, config: &ModelConfig, plan: &Plan, pages: u32) -> Result<Vec<Cache>, GpuError> {
    let heads = config.n_kv_heads;
    let cache = |buffer: usize| {
        let bytes = layer_bytes(config, plan, buffer, pages);
        let fits = |count: &u32| {
            heads.is_multiple_of(*count) && bytes / u64::from(*count) <= gpu.max_binding_bytes().min(LARGEST)
        };
        let count = (1..=heads).find(fits).unwrap_or(heads);
        let bindings: Result<_, _> = (0..count).map(|_| gpu.buffer("KV cache", bytes / u64::from(count))).collect();
        Ok(Cache { bindings: bindings?, heads: heads / count })
    };
    (0..plan.cache_buffers).map(cache).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sequence_takes_is_what_its_pages_take() {
        let json = include_str!("../../tests/models/tiny/config.json");
        let config = ModelConfig::from_json(json).unwrap();
        let plan = Plan::of(&config).unwrap();
        let memory = CacheMemory::of(&config, &plan, 12);
        assert_eq!(memory.pages, [12, 12 * plan.n_rounds()]);
        assert_eq!(memory.sequence_bytes(12 * PAGE), memory.bytes);
        assert_eq!(memory.sequence_bytes(PAGE + 1), memory.bytes / 6);
        assert_eq!([1, 32, 33, 128, 384, 385].map(|tokens| memory.sequences(tokens)), [12, 12, 6, 3, 1, 0]);
        // Keys and values of two layers outside, and of those of a round.
        let layer = u64::from(config.n_kv_heads * 2 * PAGE * config.head_dim.next_multiple_of(4) * 4);
        assert_eq!(memory.page_bytes, [2 * layer, (plan.cache_buffers as u64 - 2) * layer]);
    }
}
