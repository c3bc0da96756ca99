//! The order in which layers run: prologue, rounds, epilogue. One model of depth for every kind of network.
//!
//! Where rounds share their weights (recursive models) they are the same layers again and again, and everything that
//! differs by round is looked up by a row's depth. Where they do not (a plain stack, or layers repeated in place) a
//! round is one slice of the stack, and leaving early is a choice of the caller.
//!
//! **Invariant:** data only; whoever runs a plan asks it no question twice and needs no `if` for a kind of model.

use std::ops::Range;

use crate::error::ModelError;
use crate::network::config::{KvMode, ModelConfig};
use crate::network::form::{Form, LayerForm, NO_WINDOW};

/// Which keys and values a layer reads, and when it writes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Index of the cache buffer.
    pub buffer: usize,
    /// Class of pages at depth 0.
    pub class_base: u32,
    /// Classes from one depth to the next.
    pub class_step: u32,
    /// Entries are counted by token that ran the depth, not by position.
    pub compact: bool,
    /// Entries that did not run this depth are taken from depth 0.
    pub overlay: bool,
    /// When the layer makes keys and values of its own.
    pub writes: Writes,
}

/// When a layer makes keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Each time it runs.
    Always,
    /// At depth 0 only.
    FirstRound,
    /// Never: it reads another layer's.
    Never,
}

/// A layer as it lies in memory: one set of matrices, used at one or several depths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLayer {
    /// Unrolled layer index at each depth; one entry where the layer runs once.
    pub unrolled: Vec<u32>,
    /// Its cache.
    pub cache: CacheUse,
}

/// Prologue, rounds, epilogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The form of the layers.
    pub form: Form,
    /// All layers, each once.
    pub layers: Vec<PlanLayer>,
    /// Layers that every token runs first.
    pub prologue: Range<usize>,
    /// Layers of each round; the same ones where rounds share weights.
    pub rounds: Vec<Range<usize>>,
    /// Layers that every token runs last.
    pub epilogue: Range<usize>,
    /// Rounds share their weights.
    pub shared: bool,
    /// Classes of cache pages: 0 for layers that every token runs, the others for rounds.
    pub classes: u32,
    /// Number of cache buffers.
    pub cache_buffers: usize,
}

impl Plan {
    /// The plan of a network.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for KV sharing that crosses the groups of a recursive block.
    pub fn of(config: &ModelConfig) -> Result<Self, ModelError> {
        let cyclic = config.recursion.filter(|recursion| recursion.sharing.is_cycle());
        let plan = match cyclic {
            Some(recursion) => {
                let outer = u32::from(recursion.sharing.is_middle());
                if let KvMode::Share { count, sharing } = config.kv
                    && (count, sharing) != (recursion.count, recursion.sharing)
                {
                    return Err(ModelError::Unsupported {
                        what: format!(
                            "KV sharing `{}` by {count} in a `{}` by {}",
                            sharing.name(),
                            recursion.sharing.name(),
                            recursion.count
                        ),
                        supported: "KV sharing with the strategy and count of the recursion".into(),
                    });
                }
                Self::recursive(config, outer, recursion.count)
            }
            None => Self::stack(config),
        };
        plan.form.check()?;
        plan.check_windows()?;
        Ok(plan)
    }

    /// The form of a layer: the same wherever its weights are used.
    pub fn form_of(&self, layer: &PlanLayer) -> &LayerForm {
        &self.form.layers[layer.unrolled[0] as usize]
    }

    /// A window counts positions and is a layer's own; where that cannot be followed, the model is refused.
    fn check_windows(&self) -> Result<(), ModelError> {
        let refuse = |what: &str, supported: &str| {
            Err(ModelError::Unsupported { what: what.to_owned(), supported: supported.to_owned() })
        };
        for layer in &self.layers {
            let form = self.form_of(layer);
            let mut others = layer.unrolled.iter().map(|&unrolled| &self.form.layers[unrolled as usize]);
            if others.clone().any(|other| other.attention.sees != form.attention.sees) {
                return refuse(
                    "a sliding window in some rounds of a layer",
                    "the same window for all layers that share weights",
                );
            }
            if others.any(|other| other != form) {
                return refuse("layers of different form that share weights", "layers of one form");
            }
            if layer.cache.compact && form.attention.window() != NO_WINDOW {
                let supported = "`isobath.kv.mode` \"share\" or \"hybrid\", or no window in the block";
                return refuse("a sliding window over entries that not every token leaves", supported);
            }
        }
        Ok(())
    }

    fn recursive(config: &ModelConfig, outer: u32, count: u32) -> Self {
        let depth = config.block_depth();
        let compact = config.router.is_some() && config.kv == KvMode::Own;
        let round_cache = |j: u32| CacheUse {
            buffer: (outer + j) as usize,
            class_base: 1,
            class_step: u32::from(!matches!(config.kv, KvMode::Share { .. })),
            compact,
            overlay: config.kv == KvMode::Hybrid,
            writes: if matches!(config.kv, KvMode::Share { .. }) { Writes::FirstRound } else { Writes::Always },
        };
        let outside = |layer: u32, buffer: usize| PlanLayer { unrolled: vec![layer], cache: own_cache(buffer) };
        let mut layers = Vec::new();
        for layer in 0..outer {
            layers.push(outside(layer, layers.len()));
        }
        for j in 0..depth {
            let unrolled = (0..count).map(|round| outer + round * depth + j).collect();
            layers.push(PlanLayer { unrolled, cache: round_cache(j) });
        }
        for layer in config.n_layers - outer..config.n_layers {
            layers.push(outside(layer, layers.len()));
        }
        let (outer, end) = (outer as usize, layers.len());
        Self {
            form: Form::of(config),
            prologue: 0..outer,
            rounds: vec![outer..end - outer; count as usize],
            epilogue: end - outer..end,
            shared: true,
            classes: 1 + if matches!(config.kv, KvMode::Share { .. }) { 1 } else { count },
            cache_buffers: layers.len(),
            layers,
        }
    }

    fn stack(config: &ModelConfig) -> Self {
        let outer = usize::from(config.recursion.is_some_and(|recursion| recursion.sharing.is_middle()));
        let mut buffers: Vec<u32> = Vec::new();
        let mut layers = Vec::new();
        for layer in 0..config.n_layers {
            let owner = config.kv_layer(layer);
            // Layers come in order and an owner is the smallest of its group, so its buffer is already there.
            let buffer = buffers.iter().position(|&other| other == owner).unwrap_or_else(|| {
                buffers.push(owner);
                buffers.len() - 1
            });
            let writes = if owner == layer { Writes::Always } else { Writes::Never };
            let cache = CacheUse { writes, ..own_cache(buffer) };
            layers.push(PlanLayer { unrolled: vec![layer], cache });
        }
        let end = layers.len();
        Self {
            form: Form::of(config),
            prologue: 0..outer,
            rounds: (outer..end - outer).map(|layer| layer..layer + 1).collect(),
            epilogue: end - outer..end,
            shared: false,
            classes: 1,
            cache_buffers: buffers.len(),
            layers,
        }
    }

    /// Number of rounds, the greatest depth.
    pub fn n_rounds(&self) -> u32 {
        self.rounds.len() as u32
    }
}

fn own_cache(buffer: usize) -> CacheUse {
    CacheUse { buffer, class_base: 0, class_step: 0, compact: false, overlay: false, writes: Writes::Always }
}
