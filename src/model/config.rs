//! The shape of a network, parsed from `config.json` and checked once.
//!
//! **Invariant:** a [`ModelConfig`] that exists is consistent: no zero sizes, heads divide, layers fit the
//! sharing strategy, and no number is larger than [`LIMITS`] allows.

/// Which layers share parameters when a block is applied several times (MoR paper, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Layers `0..D` repeated as a whole.
    Cycle,
    /// Each layer repeated in place.
    Sequence,
    /// As `Cycle`, with an unshared first and last layer.
    MiddleCycle,
    /// As `Sequence`, with an unshared first and last layer.
    MiddleSequence,
}

/// The network's recursion: unrolled layers = `count * D` (+ 2 for the middle strategies).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recursion {
    /// Number of recursions, N.
    pub count: u32,
    /// Sharing of the parameters.
    pub sharing: Sharing,
    /// Norm weights are shared like all others (`false`: each unrolled layer has its own).
    pub share_norms: bool,
    /// Attention weights are shared like all others (`false`: each unrolled layer has its own q, k, v, o).
    pub share_attention: bool,
    /// A learned vector multiplies the output of each block (`sequence`: of each layer).
    pub encoding: bool,
}

/// Which keys and values a deeper recursion attends to (MoR paper, section 2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvMode {
    /// Every unrolled layer has its own ("recursion-wise caching").
    Own,
    /// Those of the first layer of its group, which `count` and `sharing` define; usable without recursion.
    Share {
        /// Number of layers per group.
        count: u32,
        /// How layers are grouped.
        sharing: Sharing,
    },
    /// Those of recursion 0, overlaid with the fresh ones of the tokens that run this recursion.
    Hybrid,
}

/// Who decides on depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterKind {
    /// One router per recursion, decided before each (expert-choice).
    Expert,
    /// One router at the block's input chooses the depth at once (token-choice).
    Token,
}

/// The router's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterNetwork {
    /// `Linear(d -> o)`.
    Linear,
    /// `Linear(d -> 2d)`, exact GELU, `Linear(2d -> o)`; `wide_mlp` is the same.
    Mlp,
}

/// From router logit to gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterFunction {
    /// `alpha * sigmoid(z)`.
    Sigmoid,
    /// `alpha * tanh(z)` (expert only).
    Tanh,
    /// `alpha * softmax(z)` (token only).
    Softmax,
    /// `z` itself; alpha is not applied (expert only).
    Identity,
}

/// Settings of the router.
#[derive(Debug, Clone, PartialEq)]
pub struct Router {
    /// Expert- or token-choice.
    pub kind: RouterKind,
    /// Its network.
    pub network: RouterNetwork,
    /// From logit to gate.
    pub function: RouterFunction,
    /// Factor of the gate.
    pub alpha: f32,
    /// The block's output is multiplied by the gate (`false`: "additive", the gate only selects).
    pub weighted: bool,
    /// The router's input is divided by this.
    pub temperature: f32,
    /// A second router of the same network decides (`sampling: aux_router`); the gate stays the main router's.
    pub auxiliary: bool,
    /// Token-choice with loss-free balancing: a bias of one value per recursion is added before the choice.
    pub bias: bool,
    /// Share of the tokens that top-k routing lets through at each recursion (expert only).
    pub capacity: Vec<f64>,
    /// Recursion 0 is gated as well (expert only; the paper lets every token run it).
    pub gate_first: bool,
}

/// Low-rank adapters on the linears of every unrolled recursive layer (Relaxed Recursive Transformers).
/// Which linears carry one, and its rank, is read from the tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lora {
    /// Factor of the adapter's output.
    pub scale: f32,
}

/// The network.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream, d.
    pub hidden_size: u32,
    /// Width of the feed-forward part.
    pub intermediate_size: u32,
    /// Unrolled layers, L.
    pub n_layers: u32,
    /// Query heads.
    pub n_heads: u32,
    /// Key and value heads.
    pub n_kv_heads: u32,
    /// Width of a head; even.
    pub head_dim: u32,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Longest sequence the model was made for.
    pub context_length: u32,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding.
    pub rope_theta: f32,
    /// First token of a sequence, where the tokenizer wants one.
    pub bos_token: Option<u32>,
    /// Tokens that end a sequence.
    pub end_tokens: Vec<u32>,
    /// Parameter sharing, `None` for a plain stack.
    pub recursion: Option<Recursion>,
    /// KV sharing.
    pub kv: KvMode,
    /// Adapters.
    pub lora: Option<Lora>,
    /// Router, `None` where every token runs all rounds.
    pub router: Option<Router>,
}
