//! A kit: what is added to a model so that tokens can be guessed before all of its layers have run.
//!
//! ```text
//! kit.json + kit.safetensors  ->  Kit::read  ->  Kit::fits (the model's fingerprint)  ->  runtime
//! ```
//!
//! A kit holds parts, each at most once (readouts and predictors once for each depth): a [`Jump`] that guesses from the
//! state of the token before, [`Exit`]s that read the stream after some rounds, an [`OwnLayer`], [`Predictor`]s and a
//! [`Meta`] head that say when a guess is good. Parts made on a text carry what was measured there.
//!
//! **Invariant:** a [`Kit`] that was read is consistent: every tensor that its parts name is there in the right shape and
//! finite, no other is, and nothing was allocated that the file's size does not justify.

mod about;
mod fingerprint;
mod read;

use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::tensor::DataType;

pub use about::{About, Bucket, Calibration, ExitReadout, LayerShape, Mark, ModelFacts, PartAbout, Threshold};
pub use fingerprint::fingerprint;

/// Name of the file that describes a kit.
pub const KIT_JSON: &str = "kit.json";
/// Name of the file that holds its tensors.
pub const KIT_TENSORS: &str = "kit.safetensors";
/// What `format` holds in `kit.json`.
pub const FORMAT: &str = "isobath kit";
/// Version of the format that is written and read.
pub const VERSION: u32 = 1;
/// Agreements for which thresholds are kept.
pub const LEVELS: [f64; 6] = [0.60, 0.70, 0.80, 0.90, 0.95, 0.99];
/// Buckets of the histogram of agreement by confidence; bucket `i` holds confidences from `i / 16` on.
pub const BUCKETS: usize = 16;
/// Rows of the head that guesses read, unless told otherwise.
pub const HEAD_ROWS: u32 = 8192;
/// Candidate tokens of a [`Predictor`].
pub const CANDIDATES: u32 = 4;

/// A kit in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Kit {
    /// The model that it was made for.
    pub model: ModelFacts,
    /// Guesses read the first so many rows of the model's head.
    pub head_rows: u32,
    /// From the token before, without any layer.
    pub jump: Option<Jump>,
    /// Readouts of the stream after some rounds, the shallowest first.
    pub exits: Vec<Exit>,
    /// A decoder layer of the kit's own.
    pub own_layer: Option<OwnLayer>,
    /// Networks that say whether the best candidate is the token, the shallowest first.
    pub predictors: Vec<Predictor>,
    /// One linear that says whether a state is good enough.
    pub meta: Option<Meta>,
}

/// A tensor in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// How it is stored in a file.
    pub data_type: DataType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// `normed' = weight [state; embedding] + bias`: from the final normed state of the token before and the embedding of the
/// newest token, as the model scales it, to the final normed state of the newest token. The model's own head reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Jump {
    /// `[hidden, 2 hidden]`
    pub weight: Array,
    /// `[hidden]`
    pub bias: Array,
    /// What was measured.
    pub calibration: Calibration,
}

/// A readout of the stream after some rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// Rounds that have run: in a plain stack, layers.
    pub depth: u32,
    /// `[hidden]`, factors behind a root-mean-square norm with the model's own epsilon.
    pub norm: Array,
    /// What reads the normed stream.
    pub readout: Readout,
    /// What was measured.
    pub calibration: Calibration,
}

/// What reads a normed stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Readout {
    /// To the final normed state, which the model's own head reads.
    State {
        /// `[hidden, hidden]`
        weight: Array,
        /// `[hidden]`
        bias: Array,
    },
    /// Straight to logits.
    Logits {
        /// `[rows, hidden]`, for tokens `0..rows`.
        head: Array,
    },
}

/// One decoder layer with keys and values of its own, behind `fc [embedding; state]`.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnLayer {
    /// Its shape.
    pub shape: LayerShape,
    /// By name, as in the file: `own.fc.weight`, `own.self_attn.q_proj.weight` and so on.
    pub tensors: Vec<(String, Array)>,
    /// What was measured.
    pub calibration: Calibration,
}

/// Two linears with ReLU between them and a logistic function behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    /// Rounds that have run.
    pub depth: u32,
    /// Asked for every token, not only near the depths at which the last tokens left.
    pub offline: bool,
    /// Above it, the full head is asked.
    pub threshold: f32,
    /// What was measured: how often the best token of all was settled, by what the predictor says of it.
    pub calibration: Calibration,
    /// `[inner, inputs]`: 12 inputs (logits of the candidates, their softmax, its change), or the normed state of `hidden`
    /// numbers before 8 (logits and softmax).
    pub first: Array,
    /// `[inner]`
    pub first_bias: Array,
    /// `[1, inner]`
    pub second: Array,
    /// `[1]`
    pub second_bias: Array,
}

/// One linear on the raw stream, with a logistic function behind it; the same at every depth.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// `[1, hidden]`
    pub weight: Array,
    /// `[1]`
    pub bias: Array,
    /// What was measured; its thresholds are of the head's own value, under `confidence`.
    pub calibration: Calibration,
}

impl Array {
    /// A tensor of f32.
    ///
    /// # Panics
    /// Where there are more or fewer values than the shape has places.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values of a tensor of shape {shape:?}");
        Self { data_type: DataType::F32, shape: shape.to_vec(), values }
    }
}

impl Kit {
    /// A kit without parts.
    pub fn empty(model: ModelFacts, head_rows: u32) -> Self {
        let head_rows = head_rows.min(model.vocab_size);
        Self { model, head_rows, jump: None, exits: vec![], own_layer: None, predictors: vec![], meta: None }
    }

    /// Whether the kit belongs to the model with that config, so many rounds and that [`fingerprint()`].
    ///
    /// # Errors
    /// [`ModelError::Kit`], with what differs.
    pub fn fits(&self, config: &ModelConfig, rounds: u32, fingerprint: &str) -> Result<(), ModelError> {
        let own = ModelFacts::of(config, rounds, fingerprint);
        let fault = |why: String| Err(ModelError::Kit { file: KIT_JSON.into(), why });
        for (name, kit, model) in [
            ("hidden size", self.model.hidden_size, own.hidden_size),
            ("vocabulary", self.model.vocab_size, own.vocab_size),
            ("number of layers", self.model.layers, own.layers),
            ("number of rounds", self.model.rounds, own.rounds),
        ] {
            if kit != model {
                return fault(format!("it was made for another model, whose {name} is {kit}; this one's is {model}"));
            }
        }
        if self.model.fingerprint != own.fingerprint {
            return fault(format!(
                "it was made for other weights of this shape: their fingerprint is {}, this model's is {}",
                self.model.fingerprint, own.fingerprint
            ));
        }
        Ok(())
    }

    /// The tensors of all parts, by the names that they have in the file.
    pub fn tensors(&self) -> Vec<(String, &Array)> {
        let mut all = vec![];
        if let Some(Jump { weight, bias, .. }) = &self.jump {
            all.extend([("jump.weight".into(), weight), ("jump.bias".into(), bias)]);
        }
        for Exit { depth, norm, readout, .. } in &self.exits {
            let name = |what: &str| format!("exit.{depth}.{what}");
            all.push((name("norm"), norm));
            match readout {
                Readout::State { weight, bias } => all.extend([(name("weight"), weight), (name("bias"), bias)]),
                Readout::Logits { head } => all.push((name("head"), head)),
            }
        }
        let own = self.own_layer.iter().flat_map(|own| &own.tensors);
        all.extend(own.map(|(name, array)| (name.clone(), array)));
        for Predictor { depth, first, first_bias, second, second_bias, .. } in &self.predictors {
            let arrays = [first, first_bias, second, second_bias];
            all.extend(read::PREDICTOR.iter().map(|name| format!("predictor.{depth}.{name}")).zip(arrays));
        }
        if let Some(Meta { weight, bias, .. }) = &self.meta {
            all.extend([("meta.weight".into(), weight), ("meta.bias".into(), bias)]);
        }
        all
    }
}
