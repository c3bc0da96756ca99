//! `kit.json`: what a kit says of itself, and whether that can be.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{BUCKETS, CANDIDATES, Exit, FORMAT, Kit, LEVELS, Readout, VERSION};
use crate::network::config::{LIMITS, ModelConfig};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The model that the kit belongs to.
    pub model: ModelFacts,
    /// Guesses read the first so many rows of the model's head.
    pub head_rows: u32,
    /// What it holds.
    pub parts: Vec<PartAbout>,
}

/// What tells a model from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// See [`fingerprint`](super::fingerprint()).
    pub fingerprint: String,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Rows of the head.
    pub vocab_size: u32,
    /// Unrolled layers.
    pub layers: u32,
    /// Rounds, the greatest depth.
    pub rounds: u32,
}

/// A part as `kit.json` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PartAbout {
    /// [`Jump`](super::Jump).
    Jump {
        /// What was measured.
        #[serde(default)]
        calibration: Calibration,
    },
    /// [`Exit`].
    Exit {
        /// Rounds that have run.
        depth: u32,
        /// What it reads to.
        readout: ExitReadout,
        /// Rows of a head of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<u32>,
        /// What was measured.
        #[serde(default)]
        calibration: Calibration,
    },
    /// [`OwnLayer`](super::OwnLayer).
    OwnLayer {
        /// Its shape.
        shape: LayerShape,
        /// What was measured.
        #[serde(default)]
        calibration: Calibration,
    },
    /// [`Predictor`](super::Predictor).
    Predictor {
        /// Rounds that have run.
        depth: u32,
        /// Numbers that it is given: 12, or the hidden size and 8.
        inputs: u32,
        /// Numbers between its two linears.
        inner: u32,
        /// Asked for every token.
        offline: bool,
        /// Above it, the full head is asked.
        threshold: f32,
        /// What was measured.
        #[serde(default)]
        calibration: Calibration,
    },
    /// [`Meta`](super::Meta).
    Meta {
        /// What was measured.
        #[serde(default)]
        calibration: Calibration,
    },
}

/// What an exit reads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReadout {
    /// The final normed state.
    State,
    /// Logits.
    Logits,
}

/// The shape of a decoder layer; its hidden size is the model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerShape {
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Width of the feed-forward part.
    pub intermediate: u32,
    /// The first linear has a bias.
    pub fc_bias: bool,
    /// Queries, keys and values have biases.
    pub qkv_bias: bool,
    /// There is a norm in front of attention.
    pub input_norm: bool,
    /// There is a norm behind the layer.
    pub final_norm: bool,
}

/// What was measured of a part on text that it was not made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calibration {
    /// Tokens that were judged.
    pub tokens: u64,
    /// Share of them at which the best token was that of the whole model.
    pub agreement: Option<f64>,
    /// The same by confidence, the gap between the two largest probabilities; empty, or [`BUCKETS`] of them.
    pub buckets: Vec<Bucket>,
    /// For each of [`LEVELS`], or empty.
    pub thresholds: Vec<Threshold>,
}

/// Tokens of about the same confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// How many.
    pub tokens: u64,
    /// At how many of them the guess was right.
    pub agreed: u64,
}

/// From where on guesses agree so often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Share of right guesses among those that pass.
    pub agreement: f64,
    /// A guess passes whose entropy, in nats, is below it; none does where it is absent.
    pub entropy: Option<Mark>,
    /// A guess passes whose confidence is above it; none does where it is absent.
    pub confidence: Option<Mark>,
}

/// A threshold and how many guesses passed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The threshold.
    pub at: f32,
    /// Share of guesses that passed, where it was measured.
    pub coverage: Option<f32>,
}

impl ModelFacts {
    /// Those of a model.
    pub fn of(config: &ModelConfig, rounds: u32, fingerprint: &str) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            hidden_size: config.hidden_size,
            vocab_size: config.vocab_size,
            layers: config.n_layers,
            rounds,
        }
    }

    fn check(&self) -> Result<(), String> {
        for (name, value, most) in [
            ("hidden_size", self.hidden_size, LIMITS.hidden_size),
            ("vocab_size", self.vocab_size, LIMITS.vocab_size),
            ("layers", self.layers, LIMITS.layers),
            ("rounds", self.rounds, LIMITS.layers),
        ] {
            if value == 0 || value > most {
                return Err(format!("`model.{name}` is {value}; it must be between 1 and {most}"));
            }
        }
        Ok(())
    }
}

impl About {
    /// What a kit says of itself.
    pub fn of(kit: &Kit) -> Self {
        let mut parts = vec![];
        parts.extend(kit.jump.iter().map(|jump| PartAbout::Jump { calibration: jump.calibration.clone() }));
        parts.extend(kit.exits.iter().map(exit));
        parts.extend(
            kit.own_layer
                .iter()
                .map(|own| PartAbout::OwnLayer { shape: own.shape, calibration: own.calibration.clone() }),
        );
        parts.extend(kit.predictors.iter().map(|predictor| PartAbout::Predictor {
            depth: predictor.depth,
            inputs: predictor.first.shape[1] as u32,
            inner: predictor.first.shape[0] as u32,
            offline: predictor.offline,
            threshold: predictor.threshold,
            calibration: predictor.calibration.clone(),
        }));
        parts.extend(kit.meta.iter().map(|meta| PartAbout::Meta { calibration: meta.calibration.clone() }));
        Self { format: FORMAT.into(), version: VERSION, model: kit.model.clone(), head_rows: kit.head_rows, parts }
    }

    /// Everything that can be told without the tensors.
    pub(super) fn check(&self) -> Result<(), String> {
        self.model.check()?;
        let most = self.model.vocab_size;
        if self.head_rows == 0 || self.head_rows > most {
            return Err(format!("`head_rows` is {}; it must be between 1 and {most}, the vocabulary", self.head_rows));
        }
        let mut seen = HashSet::new();
        for part in &self.parts {
            let name = part.name();
            part.check(&self.model).map_err(|why| format!("part `{name}`: {why}"))?;
            if !seen.insert(name) {
                return Err(format!("part `{}` stands twice", part.name()));
            }
        }
        Ok(())
    }
}

fn exit(exit: &Exit) -> PartAbout {
    let (readout, rows) = match &exit.readout {
        Readout::State { .. } => (ExitReadout::State, None),
        Readout::Logits { head } => (ExitReadout::Logits, Some(head.shape[0] as u32)),
    };
    PartAbout::Exit { depth: exit.depth, readout, rows, calibration: exit.calibration.clone() }
}

impl PartAbout {
    /// What no other part of a kit is called.
    pub fn name(&self) -> String {
        match self {
            Self::Jump { .. } => "jump".into(),
            Self::Exit { depth, .. } => format!("exit.{depth}"),
            Self::OwnLayer { .. } => "own".into(),
            Self::Predictor { depth, .. } => format!("predictor.{depth}"),
            Self::Meta { .. } => "meta".into(),
        }
    }

    fn check(&self, model: &ModelFacts) -> Result<(), String> {
        let within = |name: &str, value: u32, most: u32| {
            let there = (1..=most).contains(&value);
            if there { Ok(()) } else { Err(format!("`{name}` is {value}; it must be between 1 and {most}")) }
        };
        // Behind the last round stands the model's own head.
        let depth = |depth: u32| within("depth", depth, model.rounds.saturating_sub(1));
        match self {
            Self::Jump { calibration } | Self::Meta { calibration } => calibration.check(),
            Self::Exit { depth: after, readout, rows, calibration } => {
                depth(*after)?;
                match (readout, rows) {
                    (ExitReadout::State, None) => {}
                    (ExitReadout::Logits, Some(rows)) => within("rows", *rows, model.vocab_size)?,
                    _ => return Err("`rows` goes with the readout \"logits\", and only with it".into()),
                }
                calibration.check()
            }
            Self::OwnLayer { shape, calibration } => {
                within("heads", shape.heads, LIMITS.heads)?;
                within("kv_heads", shape.kv_heads, LIMITS.heads)?;
                within("head_dim", shape.head_dim, LIMITS.head_dim)?;
                within("intermediate", shape.intermediate, LIMITS.intermediate_size)?;
                if !shape.heads.is_multiple_of(shape.kv_heads) {
                    return Err(format!("`kv_heads` is {}; it must divide {}", shape.kv_heads, shape.heads));
                }
                calibration.check()
            }
            Self::Predictor { depth: after, inputs, inner, threshold, calibration, .. } => {
                calibration.check()?;
                depth(*after)?;
                within("inner", *inner, LIMITS.intermediate_size)?;
                let forms = [3 * CANDIDATES, model.hidden_size + 2 * CANDIDATES];
                if !forms.contains(inputs) {
                    return Err(format!("`inputs` is {inputs}; it must be {} or {}", forms[0], forms[1]));
                }
                share("threshold", f64::from(*threshold))
            }
        }
    }
}

fn share(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(format!("`{name}` is {value}; it must be between 0 and 1")) }
}

impl Calibration {
    fn check(&self) -> Result<(), String> {
        self.agreement.map_or(Ok(()), |agreement| share("agreement", agreement))?;
        if !self.buckets.is_empty() && self.buckets.len() != BUCKETS {
            return Err(format!("it has {} buckets; there must be {BUCKETS} or none", self.buckets.len()));
        }
        let total = self.buckets.iter().try_fold(0u64, |sum, bucket| sum.checked_add(bucket.tokens));
        let counted = self.buckets.is_empty() || total == Some(self.tokens);
        if !counted || self.buckets.iter().any(|bucket| bucket.agreed > bucket.tokens) {
            return Err(format!("its buckets do not add up to its {} tokens", self.tokens));
        }
        let levels: Vec<f64> = self.thresholds.iter().map(|threshold| threshold.agreement).collect();
        if !levels.is_empty() && levels != LEVELS {
            return Err(format!("its thresholds are for agreements {levels:?}; they must be for {LEVELS:?}"));
        }
        for mark in self.thresholds.iter().flat_map(|one| [one.entropy, one.confidence]).flatten() {
            if !mark.at.is_finite() {
                return Err(format!("a threshold is {}; it must be a number", mark.at));
            }
            mark.coverage.map_or(Ok(()), |coverage| share("coverage", f64::from(coverage)))?;
        }
        Ok(())
    }
}
