//! The form of a network's layers: what differs between families, as data beside the plan.
//!
//! ```text
//! config.json, GGUF  ->  ModelConfig  ->  Form::of  ->  Plan  ->  runtime, weights, judge, inspect
//!                          family (a table)
//! ```
//!
//! Readers of files fill a config; [`Form::of`] makes a form of it and of its family's entry in the table; whoever
//! loads, runs, judges or draws a network reads the form. It has places for more than can be run today: what cannot
//! is refused by [`Form::check`], which names the part.
//!
//! **Invariant:** data only, without a GPU, and complete: no number of a layer's formula is left to whoever runs it.

mod check;
pub mod differences;
pub mod rotary;

use crate::network::config::ModelConfig;
use crate::network::family::EmbeddingScale;
use crate::network::form::rotary::{Pairs, Rotary};
use crate::network::names::Linear;

/// A network's form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Width of a head.
    pub head_dim: u32,
    /// What becomes of a token before the first layer.
    pub embedding: Embedding,
    /// One per unrolled layer.
    pub layers: Vec<LayerForm>,
    /// The rotary embeddings that layers name by index.
    pub rotaries: Vec<Rotary>,
    /// Before the head.
    pub final_norm: Norm,
    /// What becomes of logits.
    pub logits: Scores,
}

/// What becomes of a token before the first layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Embedding {
    /// Factor of the table's numbers.
    pub scale: f32,
    /// What is added for the position.
    pub positions: EmbeddedPositions,
    /// Norm behind it.
    pub norm: Option<Norm>,
}

/// What is added to the embedding for a token's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedPositions {
    /// Nothing.
    None,
    /// A row of a table.
    Learned,
    /// Sines and cosines.
    Sinusoidal,
}

/// The form of one unrolled layer.
///
/// ```text
/// x += residual . after(attention(before(x)))      x += residual . after(feed_forward(before(x)))
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerForm {
    /// Norm in front of attention and of the feed-forward part.
    pub before: Option<Norm>,
    /// Norm behind them.
    pub after: Option<After>,
    /// The feed-forward part reads what attention reads, not what it leaves.
    pub parallel: bool,
    /// Factor of what is added to the residual stream.
    pub residual: f32,
    /// Attention.
    pub attention: Attention,
    /// Feed-forward part.
    pub feed_forward: FeedForward,
    /// Linears that have a bias.
    pub biases: Biases,
}

/// A norm behind attention or the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct After {
    /// The norm.
    pub norm: Norm,
    /// Of the sum with the residual stream (`x = norm(x + f)`), not of what is added (`x += norm(f)`).
    pub of_sum: bool,
}

/// A norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Kind.
    pub kind: NormKind,
    /// What keeps it from dividing by zero.
    pub epsilon: f32,
}

/// Kinds of norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Divided by the root of the mean square, times a weight.
    Rms,
    /// The same with weights that count from 1.
    RmsFromOne,
    /// The same without weights.
    RmsUnweighted,
    /// The mean taken off, divided by the standard deviation, times a weight.
    Layer,
    /// The same, plus a bias.
    LayerWithBias,
}

/// Attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// What a row sees.
    pub sees: Sees,
    /// Factor and cap of its scores.
    pub scores: Scores,
    /// Norms of queries and keys.
    pub head_norms: HeadNorms,
    /// How scores depend on positions.
    pub positions: Positions,
}

/// What a row sees of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Itself and all before it.
    Past,
    /// The last of these, itself included.
    Window(u32),
    /// All rows, those behind it included.
    All,
}

/// What becomes of scores or of logits: `cap . tanh(scale . s / cap)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Factor.
    pub scale: f32,
    /// Soft limit.
    pub cap: Option<f32>,
}

/// Norms of queries and keys, before they turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadNorms {
    /// None.
    None,
    /// Each head by itself, weights `[head_dim]`.
    Each(Norm),
    /// All heads as one vector, weights `[heads * head_dim]`.
    All(Norm),
}

/// How scores depend on positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// They do not.
    None,
    /// Queries and keys turn by this entry of [`Form::rotaries`].
    Rotary(usize),
    /// A bias per head and bucket of distances is added (T5).
    RelativeBias {
        /// Buckets of the table.
        buckets: u32,
        /// Distance from which all share the last bucket.
        furthest: u32,
    },
}

/// The feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedForward {
    /// `down(act(gate) * up)` instead of `down(act(up))`.
    pub glu: bool,
    /// `act`.
    pub activation: Activation,
}

/// Activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2`.
    ReluSquared,
}

/// Which linears have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Output of attention.
    pub output: bool,
    /// Gate, up- and down-projection.
    pub feed_forward: bool,
}

/// The window of a layer that sees everything.
pub const NO_WINDOW: u32 = u32::MAX;

impl Form {
    /// The form of a network that was checked.
    pub fn of(config: &ModelConfig) -> Self {
        let family = config.family;
        let norm = Norm { kind: family.norms.kind, epsilon: config.rms_norm_eps };
        let layer = |layer: u32| LayerForm {
            before: family.norms.before.map(|_| norm),
            after: family.norms.after.map(|_| After { norm, of_sum: false }),
            parallel: false,
            residual: 1.0,
            attention: Attention {
                sees: config.window_of(layer).map_or(Sees::Past, Sees::Window),
                scores: Scores { scale: 1.0 / (config.head_dim as f32).sqrt(), cap: None },
                head_norms: if family.head_norms { HeadNorms::Each(norm) } else { HeadNorms::None },
                positions: Positions::Rotary(0),
            },
            feed_forward: FeedForward { glu: true, activation: family.activation },
            biases: config.biases,
        };
        let rotary = Rotary {
            base: config.rope_theta,
            scaling: config.rope_scaling.clone(),
            turned: config.head_dim,
            pairs: Pairs::Halves,
        };
        let scale = match family.embedding {
            EmbeddingScale::One => 1.0,
            EmbeddingScale::RootOfWidth => f64::from(config.hidden_size).sqrt() as f32,
        };
        Self {
            head_dim: config.head_dim,
            embedding: Embedding { scale, positions: EmbeddedPositions::None, norm: None },
            layers: (0..config.n_layers).map(layer).collect(),
            rotaries: vec![rotary],
            final_norm: norm,
            logits: Scores { scale: 1.0, cap: None },
        }
    }
}

impl Form {
    /// Radians per position of each pair of a head, `[head_dim / 2]` each: of every rotary embedding, and behind these
    /// one that turns nothing where some layer wants that.
    pub fn frequencies(&self) -> Vec<Vec<f32>> {
        let still = self.layers.iter().any(|layer| self.table_of(layer) == self.rotaries.len());
        let still = still.then(|| vec![0.0; self.head_dim as usize / 2]);
        self.rotaries.iter().map(Rotary::frequencies).chain(still).collect()
    }

    /// Which of [`Form::frequencies`] a layer turns by.
    pub fn table_of(&self, layer: &LayerForm) -> usize {
        if let Positions::Rotary(index) = layer.attention.positions { index } else { self.rotaries.len() }
    }
}

impl NormKind {
    /// What is added to its weights.
    pub fn offset(self) -> f32 {
        if self == Self::RmsFromOne { 1.0 } else { 0.0 }
    }
}

impl Attention {
    /// Positions that a token sees, its own included; [`NO_WINDOW`] where it sees all before it.
    pub fn window(&self) -> u32 {
        if let Sees::Window(entries) = self.sees { entries } else { NO_WINDOW }
    }
}

impl Activation {
    /// Name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
            Self::ReluSquared => "relu2",
        }
    }
}

impl Biases {
    /// Whether that linear has one.
    pub fn has(self, linear: Linear) -> bool {
        match linear {
            Linear::Query | Linear::Key | Linear::Value => self.qkv,
            Linear::Output => self.output,
            Linear::Gate | Linear::Up | Linear::Down => self.feed_forward,
        }
    }
}
