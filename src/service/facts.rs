//! What there is to know of a model that is ready, and of what it runs on.

use serde::{Deserialize, Serialize};

use super::model::Model;
use crate::depth::policy::Rule;
use crate::network::flops::TokenFlops;
use crate::network::gate::Gate;
use crate::network::generation::Suggestion;
use crate::runtime::room::Cut;
use crate::runtime::tick::Order;

/// What there is to know of a model once it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// What the caller calls it.
    pub name: String,
    /// What the model's author wants to be said.
    pub note: Option<String>,
    /// Most rounds of a token.
    pub rounds: u32,
    /// Layers of each round.
    pub layers_per_round: u32,
    /// Layers before the rounds and after them.
    pub layers_outside: u32,
    /// Numbers in the files, those that are shared counted once.
    pub parameters: u64,
    /// Entries of the vocabulary.
    pub vocabulary: u32,
    /// Tokens of the longest sequence.
    pub context: u32,
    /// Sequences side by side.
    pub lanes: u32,
    /// Order of the rounds, `mixed` or `waves`.
    pub order: String,
    /// The gate that decides on depth, unless another is set; `None` where every token runs all rounds.
    #[serde(default)]
    pub gate: Option<String>,
    /// All gates that can be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateFacts>,
    /// Its thresholds can be moved.
    pub thresholds: bool,
    /// Guesses behind each token for which there is room; 0 where the engine cannot guess.
    #[serde(default)]
    pub most_guesses: u32,
    /// Tokens have scores.
    pub scores: bool,
    /// The model was made for conversations.
    pub chat: bool,
    /// How its author would have tokens drawn.
    #[serde(default)]
    pub suggestion: Suggestion,
    /// Where the author says that.
    #[serde(default)]
    pub suggested_by: String,
    /// What a person should know although the model runs.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Operations of a token at half the longest sequence.
    pub flops: TokenFlops,
    /// Bytes of the KV cache.
    pub cache_bytes: u64,
    /// Bytes of it that a sequence of the longest kind takes.
    #[serde(default)]
    pub sequence_bytes: u64,
    /// How many of these fit.
    #[serde(default)]
    pub cache_sequences: u32,
    /// What was asked for and could not be had, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<String>,
    /// Where it runs.
    pub adapter: Adapter,
}

/// A gate that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateFacts {
    /// Its name.
    pub name: String,
    /// What it measures, in words.
    pub says: String,
    /// The threshold of every round, as it comes.
    pub threshold: f32,
    /// Least and greatest threshold that make sense.
    pub range: (f32, f32),
    /// What a score is asked for at the threshold.
    pub rule: Rule,
}

impl GateFacts {
    /// What there is to know of a gate.
    pub fn of(gate: &Gate) -> Self {
        let Gate { name, says, threshold, range, rule, .. } = *gate;
        Self { name: name.to_owned(), says: says.to_owned(), threshold, range, rule }
    }
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The driver's name for it.
    pub name: String,
    /// [`Kind::name`](crate::gpu::traits::Kind::name)
    pub kind: String,
    /// `Vulkan`, `Metal`, `Dx12` or `BrowserWebGpu`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Optional features that Isobath can use.
    pub features: Vec<String>,
}

impl ModelFacts {
    /// Of a model by the name and with the note that its caller gives it.
    pub(super) fn of(model: &Model, name: &str, note: Option<&str>) -> Self {
        let Model { engine, template, generation, warnings, parameters } = model;
        let (config, plan) = (engine.config(), engine.plan());
        let adapter = engine.gpu().summary();
        let cache = engine.memory().cache;
        let middle = f64::from(engine.context()) / 2.0;
        Self {
            name: name.to_owned(),
            note: note.map(str::to_owned),
            rounds: plan.n_rounds(),
            layers_per_round: plan.rounds.first().map_or(0, |round| round.layers.len() as u32),
            layers_outside: (plan.prologue.len() + plan.epilogue.len()) as u32,
            parameters: *parameters,
            vocabulary: config.vocab_size,
            context: engine.context(),
            lanes: engine.lanes(),
            order: if engine.order() == Order::Mixed { "mixed" } else { "waves" }.into(),
            gate: engine.gate().map(|gate| gate.name.to_owned()),
            gates: plan.gates().iter().map(GateFacts::of).collect(),
            thresholds: engine.gate().is_some_and(Gate::has_thresholds),
            most_guesses: engine.most_guesses(),
            scores: engine.gate().is_some(),
            chat: template.is_some(),
            flops: TokenFlops::of(config, plan, middle),
            suggestion: generation.suggestion,
            suggested_by: generation.origin.to_owned(),
            warnings: warnings.clone(),
            cache_bytes: cache.bytes,
            sequence_bytes: cache.sequence_bytes(engine.context()),
            cache_sequences: cache.sequences(engine.context()),
            cuts: engine.cuts().iter().map(Cut::to_string).collect(),
            adapter: Adapter {
                name: adapter.name.clone(),
                kind: adapter.kind.to_owned(),
                backend: adapter.backend.clone(),
                driver: adapter.driver.clone(),
                features: adapter.features.clone(),
            },
        }
    }
}
