//! How much room to make: what is asked for, then less and less until the device has it.

use std::fmt;

use crate::error::GpuError;
use crate::kernels::PAGE;
use crate::network::config::ModelConfig;
use crate::network::plan::Plan;
use crate::runtime::cache::{self, CacheMemory};

/// How much room to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Sequences side by side.
    pub lanes: u32,
    /// Rows of a lane while it decodes: its next token, and guesses behind it.
    pub span: u32,
    /// Tokens per sequence.
    pub context: u32,
    /// Tokens computed in one step; the lanes' own rows stand behind them.
    pub rows: u32,
    /// Rows of one step whose logits can be asked for.
    pub heads: u32,
    /// Tokens that the KV cache holds for all lanes together; room for all of them is the most, for one the least.
    pub cache_tokens: u32,
    /// Most probable tokens that are told with each one that is drawn.
    pub alternatives: u32,
}

impl Room {
    /// Rows of all lanes.
    pub fn lane_rows(&self) -> u32 {
        self.lanes * self.span
    }
}

/// Bytes of the KV cache where nobody says how many tokens it is to hold and all lanes together could fill more. One sequence
/// of the longest kind always fits.
pub const CACHE_BYTES: u64 = if cfg!(target_arch = "wasm32") { 1 << 29 } else { 1 << 30 };

/// No context is cut to fewer tokens than that.
const LEAST_CONTEXT: u32 = 256;

/// No step is cut to fewer rows than that.
const LEAST_ROWS: u32 = 32;

/// What was asked for and could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Tokens that the KV cache holds.
    Cache {
        /// Asked for, or what is set aside by itself.
        from: u32,
        /// Had.
        to: u32,
    },
    /// Sequences side by side.
    Lanes {
        /// Asked for.
        from: u32,
        /// Had.
        to: u32,
    },
    /// Tokens of a sequence.
    Context {
        /// Asked for.
        from: u32,
        /// Had.
        to: u32,
    },
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache { from, to } => {
                write!(
                    f,
                    "the GPU has no room for more: a KV cache for {to} tokens instead of {from}, so more sequences wait"
                )
            }
            Self::Lanes { from, to } => {
                write!(f, "the GPU has no room for more: {to} of {from} lanes for sequences side by side")
            }
            Self::Context { from, to } => {
                write!(f, "the GPU has no room for more: sequences of at most {to} tokens instead of {from}")
            }
        }
    }
}

/// Room that is tried, and cut where the device says no.
#[derive(Debug, Clone)]
pub struct Fit {
    wanted: Room,
    room: Room,
    /// Most tokens of the KV cache.
    cache_tokens: u32,
    cache_was_cut: bool,
    /// Most pages that bindings can show.
    most_pages: u32,
}

impl Fit {
    /// Begins with what is wanted. Where `wanted.cache_tokens` is `u32::MAX`, the KV cache takes [`CACHE_BYTES`] at most, or
    /// one sequence. `binding` is [`Gpu::max_binding_bytes`](crate::gpu::Gpu::max_binding_bytes).
    pub fn new(config: &ModelConfig, plan: &Plan, wanted: Room, binding: u64) -> Self {
        let page = CacheMemory::of(config, plan, 1).bytes.max(1);
        let by_itself = u32::try_from(CACHE_BYTES / page).unwrap_or(u32::MAX).saturating_mul(PAGE);
        let cache_tokens = if wanted.cache_tokens == u32::MAX { by_itself } else { wanted.cache_tokens };
        let most_pages = cache::most_pages(config, plan, binding);
        let mut fit = Self { wanted, room: wanted, cache_tokens, cache_was_cut: false, most_pages };
        fit.room.context = wanted.context.min(most_pages.saturating_mul(PAGE)).max(1);
        fit.settle();
        let asked = wanted.cache_tokens.min(wanted.lanes.saturating_mul(wanted.context));
        fit.cache_was_cut = wanted.cache_tokens != u32::MAX && fit.room.cache_tokens < asked;
        let cache_tokens = if fit.cache_was_cut { asked } else { fit.room.cache_tokens };
        fit.wanted = Room { cache_tokens, ..wanted };
        fit
    }

    /// What to try.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Sizes that follow from others.
    fn settle(&mut self) {
        let Room { lanes, span, context, .. } = self.room;
        // A chunk holds the prompts of several lanes; together they have no more tokens than that.
        self.room.rows = self.room.rows.clamp(1, context.saturating_mul(lanes));
        let least = lanes.saturating_mul(span);
        self.room.heads = self.wanted.heads.clamp(least, least.max(self.room.rows));
        let one = context.div_ceil(PAGE);
        let pages = self.cache_tokens.div_ceil(PAGE).min(self.most_pages).clamp(one, one.saturating_mul(lanes));
        self.room.cache_tokens = pages.saturating_mul(PAGE);
    }

    /// Asks for less after the device's answer; false where less cannot help or nothing is left to cut. A smaller cache comes
    /// first, then fewer lanes, and last a shorter context. A buffer that is too large for a binding is never the cache: there
    /// prompts are read in smaller pieces first, which nobody asked for and is not told.
    pub fn shrink(&mut self, error: &GpuError) -> bool {
        let Room { lanes, context, rows, cache_tokens, .. } = self.room;
        match error {
            GpuError::OutOfMemory { .. } if cache_tokens > context.next_multiple_of(PAGE) => {
                self.cache_tokens = cache_tokens / 2;
                self.cache_was_cut = true;
            }
            GpuError::TooLarge { .. } if rows > LEAST_ROWS => self.room.rows = (rows / 2).max(LEAST_ROWS),
            GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. } => {
                if lanes > 1 {
                    self.room.lanes = lanes / 2;
                } else if context > LEAST_CONTEXT {
                    self.room.context = (context / 2).max(LEAST_CONTEXT);
                } else {
                    return false;
                }
                // What is left may have room for all of them again.
                self.room.rows = self.wanted.rows;
            }
            _ => return false,
        }
        self.settle();
        true
    }

    /// All that was cut.
    pub fn cuts(&self) -> Vec<Cut> {
        let (from, to) = (&self.wanted, &self.room);
        let mut cuts = vec![];
        if self.cache_was_cut {
            cuts.push(Cut::Cache { from: from.cache_tokens, to: to.cache_tokens });
        }
        if to.lanes < from.lanes {
            cuts.push(Cut::Lanes { from: from.lanes, to: to.lanes });
        }
        if to.context < from.context {
            cuts.push(Cut::Context { from: from.context, to: to.context });
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 layers of 3 KV heads of 64: 46,080 bytes a token.
    fn config() -> ModelConfig {
        let json = r#"{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
            "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5, "rope_theta": 1e5, "hidden_act": "silu", "tie_word_embeddings": true}"#;
        ModelConfig::from_json(json).unwrap()
    }

    fn fit(lanes: u32, context: u32, cache_tokens: u32, binding: u64) -> Fit {
        let config = config();
        let plan = Plan::of(&config).unwrap();
        let wanted = Room { lanes, context, rows: 256, heads: 1, cache_tokens, alternatives: 0, span: 1 };
        Fit::new(&config, &plan, wanted, binding)
    }

    fn no_memory() -> GpuError {
        GpuError::OutOfMemory { label: "KV cache".into(), bytes: 1 }
    }

    const WEBGPU: u64 = 128 << 20;

    #[test]
    fn the_cache_is_sized_by_itself() {
        let tokens = |lanes, context| fit(lanes, context, u32::MAX, WEBGPU).room().cache_tokens;
        assert_eq!(tokens(1, 4096), 4096, "one lane has its whole context");
        assert_eq!(tokens(4, 4096), 4 * 4096, "so have a few");
        let many = tokens(32, 4096);
        assert_eq!(many, tokens(64, 4096));
        assert!(u64::from(many) * 46_080 <= CACHE_BYTES && u64::from(many + PAGE) * 46_080 > CACHE_BYTES, "{many}");
        let long = fit(1, 100_000, u32::MAX, WEBGPU).room();
        assert_eq!((long.cache_tokens, long.context), (100_000, 100_000), "one sequence always fits");
        assert_eq!(fit(32, 4096, 9000, WEBGPU).room().cache_tokens, 9024, "what was asked for, in whole pages");
        assert_eq!(fit(32, 4096, 5, WEBGPU).room().cache_tokens, 4096, "but one sequence");
    }

    #[test]
    fn a_context_that_no_binding_shows_is_cut() {
        let mut fit = fit(2, 8192, u32::MAX, 1 << 20);
        // A KV head of a layer takes 512 bytes a token.
        assert_eq!(fit.room().context, 2048);
        assert_eq!(fit.cuts(), [Cut::Context { from: 8192, to: 2048 }]);
        assert!(fit.shrink(&GpuError::TooLarge { label: "attention stretches".into(), bytes: 1, limit: 1 }));
        assert_eq!(fit.room().rows, 128);
    }

    #[test]
    fn first_the_cache_then_lanes_then_the_context() {
        let mut fit = fit(4, 1024, u32::MAX, WEBGPU);
        let mut seen = vec![];
        while fit.shrink(&no_memory()) {
            let Room { lanes, context, cache_tokens, heads, rows, .. } = fit.room();
            assert_eq!(heads, lanes);
            seen.push((cache_tokens, rows, lanes, context));
        }
        assert_eq!(
            seen,
            [
                (2048, 256, 4, 1024),
                (1024, 256, 4, 1024),
                (1024, 256, 2, 1024),
                (1024, 256, 1, 1024),
                (512, 256, 1, 512),
                (256, 256, 1, 256),
            ]
        );
        let lines: Vec<String> = fit.cuts().iter().map(Cut::to_string).collect();
        assert_eq!(
            lines,
            [
                "the GPU has no room for more: a KV cache for 256 tokens instead of 4096, so more sequences wait",
                "the GPU has no room for more: 1 of 4 lanes for sequences side by side",
                "the GPU has no room for more: sequences of at most 256 tokens instead of 1024",
            ]
        );
    }

    #[test]
    fn a_buffer_too_large_for_a_binding_leaves_the_cache_alone() {
        let mut fit = fit(4, 1024, u32::MAX, WEBGPU);
        let large = GpuError::TooLarge { label: "logits".into(), bytes: 1, limit: 1 };
        let mut rooms = vec![];
        for _ in 0..5 {
            assert!(fit.shrink(&large));
            rooms.push((fit.room().rows, fit.room().lanes));
        }
        assert_eq!(rooms, [(128, 4), (64, 4), (32, 4), (256, 2), (128, 2)]);
        assert!(!fit.cuts().iter().any(|cut| matches!(cut, Cut::Cache { .. })));
    }

    #[test]
    fn a_cache_that_bindings_cannot_show_is_told_where_it_was_asked_for() {
        // A KV head of a layer takes 512 bytes a token.
        let asked = fit(8, 1024, 8192, 1 << 20);
        assert_eq!((asked.room().cache_tokens, asked.cuts()), (2048, vec![Cut::Cache { from: 8192, to: 2048 }]));
        let by_itself = fit(8, 1024, u32::MAX, 1 << 20);
        assert_eq!((by_itself.room().cache_tokens, by_itself.cuts()), (2048, vec![]));
    }

    #[test]
    fn what_is_no_matter_of_room_is_not_tried_again() {
        assert!(!fit(4, 1024, u32::MAX, WEBGPU).shrink(&GpuError::Lost { why: "gone".into() }));
    }
}
