//! The shape of a network, parsed from `config.json` and checked once.
//!
//! **Invariant:** a [`ModelConfig`] that exists is consistent: no zero sizes, heads divide, layers fit the
//! sharing strategy, and no number is larger than [`LIMITS`] allows. Whoever builds one by hand calls
//! [`ModelConfig::check`].

mod block;
mod check;
mod family;
pub(crate) mod json;

use crate::network::family::Family;
use crate::network::form::Biases;
use crate::network::form::rotary::RopeScaling;

/// Largest numbers that a config may hold, so that a damaged file cannot ask for absurd work or memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unrolled layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Width of the feed-forward part.
    pub intermediate_size: u32,
    /// Query heads; also key and value heads.
    pub heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Positions.
    pub context: u32,
    /// Recursions, N.
    pub recursions: u32,
}

/// The limits that [`ModelConfig::check`] holds.
pub const LIMITS: Limits = Limits {
    layers: 4096,
    hidden_size: 65536,
    intermediate_size: 1 << 20,
    heads: 1024,
    head_dim: 512,
    vocab_size: 1 << 24,
    context: 1 << 24,
    recursions: 64,
};

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

/// How far back some of the layers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Positions that a token sees, its own included.
    pub entries: u32,
    /// Which unrolled layers have the window, one per layer; the others see everything.
    pub layers: Vec<bool>,
}

/// The network, as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Its entry in the table of families.
    pub family: &'static Family,
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
    /// What becomes of its frequencies.
    pub rope_scaling: RopeScaling,
    /// Linears with a bias.
    pub biases: Biases,
    /// Window of some layers, `None` where all see everything.
    pub window: Option<Window>,
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

impl Sharing {
    /// Name in the `isobath` block.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Sequence => "sequence",
            Self::MiddleCycle => "middle_cycle",
            Self::MiddleSequence => "middle_sequence",
        }
    }

    /// Whether the first and the last layer stand outside the sharing.
    pub fn is_middle(self) -> bool {
        matches!(self, Self::MiddleCycle | Self::MiddleSequence)
    }

    /// Whether whole blocks repeat (`false`: each layer repeats in place).
    pub fn is_cycle(self) -> bool {
        matches!(self, Self::Cycle | Self::MiddleCycle)
    }

    /// Layers that each recursion applies, D; `None` unless `n_layers` = `count` * D (+ 2 for the middle
    /// strategies) with D >= 1.
    pub fn block_layers(self, n_layers: u32, count: u32) -> Option<u32> {
        let repeated = if self.is_middle() { n_layers.checked_sub(2)? } else { n_layers };
        (count > 0 && repeated > 0 && repeated % count == 0).then(|| repeated / count)
    }

    /// Smallest unrolled layer index whose parameters `layer` uses.
    ///
    /// Expects `layer < n_layers` and layers that fit (see [`Sharing::block_layers`]); otherwise nothing is shared.
    pub fn unique(self, layer: u32, n_layers: u32, count: u32) -> u32 {
        let Some((inside, first, depth)) = self.place(layer, n_layers, count) else {
            return layer;
        };
        first + if self.is_cycle() { inside % depth } else { inside / count * count }
    }

    /// The recursion, from 0, that applies `layer`; `None` for the unshared first and last layer.
    pub fn recursion(self, layer: u32, n_layers: u32, count: u32) -> Option<u32> {
        let (inside, _, depth) = self.place(layer, n_layers, count)?;
        Some(if self.is_cycle() { inside / depth } else { inside % count })
    }

    /// (Index inside the repeated layers, first repeated layer, D), `None` outside the repeated layers.
    fn place(self, layer: u32, n_layers: u32, count: u32) -> Option<(u32, u32, u32)> {
        let depth = self.block_layers(n_layers, count)?;
        let first = u32::from(self.is_middle());
        let inside = layer.checked_sub(first)?;
        (inside < depth * count).then_some((inside, first, depth))
    }
}

impl ModelConfig {
    /// Something in the model decides how deep a token goes.
    pub fn has_gates(&self) -> bool {
        self.router.is_some()
    }

    /// The same layers without whatever decides on depth, so that every token runs all of them; what it writes is another
    /// text. For those who measure what gates cost.
    pub fn leave_gates_out(&mut self) {
        self.router = None;
    }

    /// Recursions that a token can run: N, or 1 for a plain stack.
    pub fn n_recursions(&self) -> u32 {
        self.recursion.map_or(1, |recursion| recursion.count)
    }

    /// Layers in the repeated block: D, or all layers of a plain stack.
    pub fn block_layers(&self) -> u32 {
        self.recursion
            .and_then(|recursion| recursion.sharing.block_layers(self.n_layers, recursion.count))
            .unwrap_or(self.n_layers)
    }

    /// Smallest unrolled layer index that shares its parameters with `layer`.
    pub fn unique(&self, layer: u32) -> u32 {
        self.recursion.map_or(layer, |recursion| recursion.sharing.unique(layer, self.n_layers, recursion.count))
    }

    /// The recursion that applies `layer`; `None` in a plain stack and for unshared layers.
    pub fn recursion_of(&self, layer: u32) -> Option<u32> {
        self.recursion.and_then(|recursion| recursion.sharing.recursion(layer, self.n_layers, recursion.count))
    }

    /// Positions that a token sees in this unrolled layer, its own included; `None` where it sees all.
    pub fn window_of(&self, layer: u32) -> Option<u32> {
        let window = self.window.as_ref()?;
        (window.layers.get(layer as usize) == Some(&true)).then_some(window.entries)
    }

    /// The unrolled layer whose keys and values `layer` attends to. [`KvMode::Hybrid`] keeps each layer's own
    /// beside those of recursion 0, so there it is `layer` itself.
    pub fn kv_layer(&self, layer: u32) -> u32 {
        match self.kv {
            KvMode::Share { count, sharing } => sharing.unique(layer, self.n_layers, count),
            KvMode::Own | KvMode::Hybrid => layer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sharing::{self, Cycle, MiddleCycle, MiddleSequence, Sequence};

    /// `|` in the notation only groups; `-` stands for no recursion.
    fn check(sharing: Sharing, n_layers: u32, count: u32, unique: &str, recursion: &str) {
        let found: Vec<String> =
            (0..n_layers).map(|layer| sharing.unique(layer, n_layers, count).to_string()).collect();
        assert_eq!(found.join(" "), unique.replace("| ", ""), "unique of {sharing:?}");
        let found: Vec<String> = (0..n_layers)
            .map(|layer| sharing.recursion(layer, n_layers, count).map_or("-".to_string(), |r| r.to_string()))
            .collect();
        assert_eq!(found.join(" "), recursion.replace("| ", ""), "recursion of {sharing:?}");
    }

    #[test]
    fn worked_examples() {
        check(Cycle, 9, 3, "0 1 2 | 0 1 2 | 0 1 2", "0 0 0 | 1 1 1 | 2 2 2");
        check(Sequence, 9, 3, "0 0 0 | 3 3 3 | 6 6 6", "0 1 2 | 0 1 2 | 0 1 2");
        check(MiddleCycle, 8, 3, "0 | 1 2 | 1 2 | 1 2 | 7", "- | 0 0 | 1 1 | 2 2 | -");
        check(MiddleSequence, 8, 3, "0 | 1 1 1 | 4 4 4 | 7", "- | 0 1 2 | 0 1 2 | -");
        check(Cycle, 3, 1, "0 1 2", "0 0 0");
    }

    #[test]
    fn real_model_of_32_layers() {
        assert_eq!(MiddleCycle.block_layers(32, 3), Some(10));
        assert_eq!(MiddleCycle.block_layers(32, 2), Some(15));
        assert_eq!(MiddleCycle.block_layers(34, 4), Some(8));
        assert_eq!(MiddleCycle.unique(30, 32, 3), 10);
        assert_eq!(MiddleCycle.recursion(30, 32, 3), Some(2));
        assert_eq!(MiddleCycle.recursion(31, 32, 3), None);
    }

    #[test]
    fn layers_that_do_not_fit() {
        for (sharing, n_layers, count) in
            [(Cycle, 10, 3), (MiddleCycle, 2, 1), (MiddleCycle, 1, 1), (Cycle, 0, 1), (Cycle, 4, 0)]
        {
            assert_eq!(sharing.block_layers(n_layers, count), None, "{sharing:?} {n_layers} {count}");
        }
    }
}
