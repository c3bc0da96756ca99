//! All that a run needs to know: the order of layers, who goes deeper, what becomes of a round's result, and what becomes of
//! the keys and values of rounds that a token leaves out. One model of depth for every kind of network.
//!
//! Where rounds share their weights they are the same layers again and again, and everything that differs by round is
//! looked up by a row's round. Where they do not (a plain stack, or layers repeated in place) a round is one slice of the
//! stack, and leaving early is a choice of the caller.
//!
//! The types hold more than today's files can ask for; what no kernel runs is refused by [`Plan::check`], and nowhere else.
//!
//! **Invariant:** data only; whoever runs a plan asks it no question twice and needs no `if` for a kind of model.

use std::ops::Range;

use crate::error::ModelError;
use crate::network::config::{KvMode, ModelConfig};
use crate::network::form::{Form, LayerForm, NO_WINDOW};
use crate::network::gate::{Gate, Moment, Scorer, ScorerLayers};
use crate::network::{names, trained};

/// Which keys and values a layer reads, and when it writes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Index of the cache buffer.
    pub buffer: usize,
    /// Class of pages of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// Entries are counted by token that ran the round, not by position.
    pub compact: bool,
    /// Entries that did not run this round are taken from round 0.
    pub overlay: bool,
    /// Entries are by position, and those of tokens that did not run this round are not there.
    pub holes: bool,
    /// When the layer makes keys and values of its own.
    pub writes: Writes,
}

/// When a layer makes keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Each time it runs.
    Always,
    /// In round 0 only.
    FirstRound,
    /// Never: it reads another layer's.
    Never,
}

/// A layer as it lies in memory: one set of matrices, used in one or several rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLayer {
    /// Unrolled layer index in each round; one entry where the layer runs once.
    pub unrolled: Vec<u32>,
    /// Its cache.
    pub cache: CacheUse,
}

/// Layers that run one behind the other, and what is done beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Its layers, the same ones as in other rounds where these share weights.
    pub layers: Range<usize>,
    /// Done before the first of them.
    pub entry: Option<Operation>,
    /// Done behind the last of them.
    pub end: Option<Operation>,
}

/// What is done to a row at the border of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Multiplied by a learned vector, which its last layer has for each round.
    Encode,
    /// Normalised.
    Norm,
    /// Mixed with what the prologue left.
    Mix,
}

/// What becomes of a round's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// It is the stream.
    Replace,
    /// It is added to the stream as that was before.
    Add {
        /// The scorer whose value it is multiplied by.
        weight: Option<usize>,
        /// All rounds work on, and the result of the last is added; otherwise each is added.
        once: bool,
    },
}

/// What becomes of the keys and values of rounds that a token does not run. Later tokens may run them and look back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKeys {
    /// Nothing: every token runs all rounds, or all tokens of a sequence equally many.
    Nothing,
    /// Those of the first round, which every token makes, stand in for them.
    FromFirst,
    /// Made from the stream as the token left it.
    Propagated,
    /// Made when a later token runs these rounds.
    Deferred,
    /// They are not there, and later tokens attend to those that are.
    Holes,
    /// Those of the last round that the token ran, copied.
    FromExit,
    /// A layer keeps one for each token: that of the last round which ran.
    LastWrite,
}

/// What a token is that leaves the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commitment {
    /// It stands.
    Final,
    /// More rounds will check it.
    Guess,
}

/// Prologue, rounds, epilogue; and what is decided on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The form of the layers.
    pub form: Form,
    /// All layers, each once.
    pub layers: Vec<PlanLayer>,
    /// Layers that every token runs first.
    pub prologue: Range<usize>,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// Layers that every token runs last.
    pub epilogue: Range<usize>,
    /// Rounds share their weights.
    pub shared: bool,
    /// All that differs by round is looked up by row, so that rows at different rounds can share a pass.
    pub mixable: bool,
    /// Small networks that weigh and decide.
    pub scorers: Vec<Scorer>,
    /// The gate that the model was trained with; `None` where every token runs all rounds.
    pub gate: Option<Gate>,
    /// The gate over all rows of a text at once, where the model was trained so.
    pub together: Option<Gate>,
    /// What becomes of a round's result.
    pub residual: Residual,
    /// What becomes of the keys and values of rounds that a token does not run.
    pub missing: MissingKeys,
    /// What a token is that leaves.
    pub commitment: Commitment,
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
        plan.check()?;
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
        let depth = config.block_layers();
        let (gate, scorers, missing) = (trained::gate(config), trained::scorers(config), trained::missing(config));
        // A row's scorer of one layer is looked up by its round, and so is all of a layer but the attention's matrices.
        let by_row = |scorer: &Scorer| scorer.layers == ScorerLayers::Linear || scorer.tensors.len() == 1;
        let tied = config.recursion.is_some_and(|recursion| recursion.share_attention);
        let enters = gate.as_ref().is_none_or(|gate| gate.first_free || gate.moment == Moment::Once);
        let compact = missing == MissingKeys::Holes;
        let round_cache = |j: u32| CacheUse {
            buffer: (outer + j) as usize,
            class_base: 1,
            class_step: u32::from(!matches!(config.kv, KvMode::Share { .. })),
            compact,
            overlay: config.kv == KvMode::Hybrid,
            holes: false,
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
            rounds: (0..count).map(|round| Round::of(config, &layers, outer..end - outer, round)).collect(),
            epilogue: end - outer..end,
            shared: true,
            mixable: tied && enters && scorers.iter().all(by_row),
            scorers,
            gate,
            together: trained::together(config),
            residual: trained::residual(config),
            missing,
            commitment: Commitment::Final,
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
            rounds: (outer..end - outer).map(|layer| Round::of(config, &layers, layer..layer + 1, 0)).collect(),
            epilogue: end - outer..end,
            shared: false,
            mixable: false,
            scorers: vec![],
            gate: None,
            together: None,
            residual: Residual::Replace,
            missing: MissingKeys::Nothing,
            commitment: Commitment::Final,
            classes: 1,
            cache_buffers: buffers.len(),
            layers,
        }
    }

    /// Number of rounds, the greatest depth.
    pub fn n_rounds(&self) -> u32 {
        self.rounds.len() as u32
    }

    /// Entries of rounds are counted by token that ran them, not by position.
    pub fn compact(&self) -> bool {
        self.rounds.first().is_some_and(|round| self.layers[round.layers.start].cache.compact)
    }

    /// Refuses what the types can say and no kernel runs.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`], naming it.
    pub fn check(&self) -> Result<(), ModelError> {
        let refuse = |what: String, supported: &str| Err(ModelError::Unsupported { what, supported: supported.into() });
        for round in &self.rounds {
            if let Some(entry) = round.entry {
                return refuse(format!("{entry:?} at the entry of a round"), "rounds that begin with a layer");
            }
            if let Some(end @ (Operation::Norm | Operation::Mix)) = round.end {
                return refuse(format!("{end:?} at the end of a round"), "a vector that multiplies a round's result");
            }
        }
        // Keys and values are made from a token's last state where a round has a layer of its own to make them.
        let made = self.missing == MissingKeys::Propagated && self.admits_exit().is_ok();
        if !(made || matches!(self.missing, MissingKeys::Nothing | MissingKeys::FromFirst | MissingKeys::Holes)) {
            let supported = "keys and values that all have, those of the first round, or none";
            return refuse(format!("keys and values of rounds left out: {:?}", self.missing), supported);
        }
        if self.commitment != Commitment::Final {
            return refuse("tokens that more rounds are to check".into(), "tokens that stand once they are drawn");
        }
        for gate in self.gate.iter().chain(&self.together) {
            if let Err(what) = gate.measure.runs() {
                return refuse(
                    format!("a gate by {what}"),
                    "scores of a router, the gap of the two best tokens, cosine",
                );
            }
        }
        Ok(())
    }
}

impl Round {
    /// The layers of a round, with a vector at the end where its last layer has one for this depth.
    fn of(config: &ModelConfig, all: &[PlanLayer], layers: Range<usize>, depth: u32) -> Self {
        let last = layers.end.checked_sub(1).and_then(|last| all[last].unrolled.get(depth as usize));
        let encodes = last.is_some_and(|last| names::recursion_encoding(config, *last).is_some());
        Self { layers, entry: None, end: encodes.then_some(Operation::Encode) }
    }
}

fn own_cache(buffer: usize) -> CacheUse {
    CacheUse {
        buffer,
        class_base: 0,
        class_step: 0,
        compact: false,
        overlay: false,
        holes: false,
        writes: Writes::Always,
    }
}
