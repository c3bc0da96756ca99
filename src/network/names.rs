//! Canonical tensor names: what a model file must hold for a given config, under which names and in which shapes.
//!
//! Names are Hugging Face's for the Llama family. A tensor that several unrolled layers share stands once, under
//! the smallest of their indices; `docs/models.md` lists all names.
//!
//! **Invariant:** checking a file takes work in proportion to what the file holds, not to what its config
//! claims: it stops after [`MOST_ERRORS`] problems.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::error::ModelError;
use crate::network::config::{ModelConfig, RouterKind, RouterNetwork};
use crate::network::family::Norms;
use crate::tensor::TensorSource;

/// Embedding, `[vocabulary, hidden]`.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// Norm before the head, `[hidden]`.
pub const FINAL_NORM: &str = "model.norm.weight";
/// Head, `[vocabulary, hidden]`; where it is absent the embedding is the head.
pub const LM_HEAD: &str = "lm_head.weight";
/// Bias of a token-choice router with loss-free balancing, `[recursions]`.
pub const ROUTER_BIAS: &str = "model.router.bias";
/// [`check_tensors`] stops after this many problems.
pub const MOST_ERRORS: usize = 64;

/// A weight matrix of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Linear {
    /// Queries, `[heads * head_dim, hidden]`.
    Query,
    /// Keys, `[kv_heads * head_dim, hidden]`.
    Key,
    /// Values, `[kv_heads * head_dim, hidden]`.
    Value,
    /// Output of attention, `[hidden, heads * head_dim]`.
    Output,
    /// Gate of the feed-forward part, `[intermediate, hidden]`.
    Gate,
    /// Up-projection, `[intermediate, hidden]`.
    Up,
    /// Down-projection, `[hidden, intermediate]`.
    Down,
}

impl Linear {
    /// All seven.
    pub const ALL: [Self; 7] = [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Place within a layer's names.
    pub fn path(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::Output => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// Whether it belongs to attention.
    pub fn is_attention(self) -> bool {
        matches!(self, Self::Query | Self::Key | Self::Value | Self::Output)
    }

    /// `[out, in]`.
    pub fn shape(self, config: &ModelConfig) -> [usize; 2] {
        let hidden = config.hidden_size as usize;
        let intermediate = config.intermediate_size as usize;
        let queries = config.n_heads as usize * config.head_dim as usize;
        let keys = config.n_kv_heads as usize * config.head_dim as usize;
        match self {
            Self::Query => [queries, hidden],
            Self::Key | Self::Value => [keys, hidden],
            Self::Output => [hidden, queries],
            Self::Gate | Self::Up => [intermediate, hidden],
            Self::Down => [hidden, intermediate],
        }
    }
}

/// A norm of a layer, `[hidden]`, or of each head, `[head_dim]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Norm {
    /// In front of attention.
    BeforeAttention,
    /// In front of the feed-forward part.
    BeforeFeedForward,
    /// Behind attention.
    AfterAttention,
    /// Behind the feed-forward part.
    AfterFeedForward,
    /// Of each head's queries.
    Query,
    /// Of each head's keys.
    Key,
}

/// Which router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouterRole {
    /// Expert-choice, before this recursion.
    Expert(u32),
    /// Expert-choice, the second router that decides before this recursion.
    Auxiliary(u32),
    /// Token-choice.
    Token,
}

/// Name of a weight matrix of an unrolled layer.
pub fn linear(config: &ModelConfig, layer: u32, linear: Linear) -> String {
    format!("{}.weight", place(config, layer, linear))
}

/// Name of the bias, `[out]`, of a linear of an unrolled layer; `None` where it has none.
pub fn bias(config: &ModelConfig, layer: u32, linear: Linear) -> Option<String> {
    config.biases.has(linear).then(|| format!("{}.bias", place(config, layer, linear)))
}

fn place(config: &ModelConfig, layer: u32, linear: Linear) -> String {
    let own = linear.is_attention() && own_attention(config, layer);
    let owner = if own { layer } else { config.unique(layer) };
    format!("model.layers.{owner}.{}", linear.path())
}

/// Name of a norm of an unrolled layer, where its family has one there. Those of the heads go with the attention's
/// matrices.
pub fn norm(config: &ModelConfig, layer: u32, norm: Norm) -> String {
    let Norms { before, after, .. } = config.family.norms;
    let (own, path) = match norm {
        Norm::BeforeAttention => (own_norms(config), before.map(|[path, _]| path)),
        Norm::BeforeFeedForward => (own_norms(config), before.map(|[_, path]| path)),
        Norm::AfterAttention => (own_norms(config), after.map(|[path, _]| path)),
        Norm::AfterFeedForward => (own_norms(config), after.map(|[_, path]| path)),
        Norm::Query => (own_attention(config, layer), Some("self_attn.q_norm")),
        Norm::Key => (own_attention(config, layer), Some("self_attn.k_norm")),
    };
    let owner = if own { layer } else { config.unique(layer) };
    format!("model.layers.{owner}.{}.weight", path.unwrap_or("no_norm"))
}

/// Name of the first adapter matrix, `[rank, in]`, of an unrolled layer.
pub fn lora_a(layer: u32, linear: Linear) -> String {
    format!("model.layers.{layer}.{}.lora_A.weight", linear.path())
}

/// Name of the second adapter matrix, `[out, rank]`, of an unrolled layer.
pub fn lora_b(layer: u32, linear: Linear) -> String {
    format!("model.layers.{layer}.{}.lora_B.weight", linear.path())
}

/// Name of the vector, `[hidden]`, that multiplies the output of this unrolled layer; `None` where it has none.
pub fn recursion_encoding(config: &ModelConfig, layer: u32) -> Option<String> {
    let recursion = config.recursion.filter(|recursion| recursion.encoding)?;
    config.recursion_of(layer)?;
    let first = u32::from(recursion.sharing.is_middle());
    let ends_block = (layer - first + 1).is_multiple_of(config.block_layers());
    (!recursion.sharing.is_cycle() || ends_block).then(|| format!("model.layers.{layer}.recursion_encoding"))
}

/// Names and shapes of a router's matrices: one for a linear router, two for an MLP.
pub fn router(config: &ModelConfig, network: RouterNetwork, role: RouterRole) -> Vec<(String, [usize; 2])> {
    let hidden = config.hidden_size as usize;
    let (prefix, outputs) = match role {
        RouterRole::Expert(recursion) => (format!("model.routers.{recursion}"), 1),
        RouterRole::Auxiliary(recursion) => (format!("model.auxiliary_routers.{recursion}"), 1),
        RouterRole::Token => ("model.router".to_string(), config.n_recursions() as usize),
    };
    match network {
        RouterNetwork::Linear => vec![(format!("{prefix}.weight"), [outputs, hidden])],
        RouterNetwork::Mlp => vec![
            (format!("{prefix}.0.weight"), [2 * hidden, hidden]),
            (format!("{prefix}.2.weight"), [outputs, 2 * hidden]),
        ],
    }
}

/// A required tensor: canonical name, shape, and the setting that asks for it.
pub type Expected = (String, Vec<usize>, &'static str);

/// Every tensor that the config requires, each once. `has` tells what the file holds, because the head is optional.
pub fn expected(config: &ModelConfig, has: &dyn Fn(&str) -> bool) -> Vec<Expected> {
    let mut list = Vec::new();
    // The visitor never breaks, so the outcome says nothing.
    let _ = visit(config, has, &mut |tensor| {
        list.push(tensor);
        ControlFlow::Continue(())
    });
    list
}

/// Everything that is wrong with the tensors of a file, at most [`MOST_ERRORS`] problems; empty where it can be run.
pub fn check_tensors(config: &ModelConfig, source: &dyn TensorSource) -> Vec<ModelError> {
    let mut errors = Vec::new();
    let has = |name: &str| !matches!(source.info(name), Ok(None));
    let _ = visit(config, &has, &mut |(name, expected, because)| {
        match source.info(&name) {
            Ok(Some((_, found))) if found == expected => {}
            Ok(Some((_, found))) => errors.push(ModelError::Shape { name, found, expected }),
            Ok(None) => errors.push(ModelError::MissingTensor { name, because: because.into() }),
            Err(error) => errors.push(error),
        }
        if errors.len() < MOST_ERRORS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    crate::network::lora::check(config, source, &mut errors);
    errors.truncate(MOST_ERRORS);
    errors
}

type Visitor<'v> = &'v mut dyn FnMut(Expected) -> ControlFlow<()>;

fn visit(config: &ModelConfig, has: &dyn Fn(&str) -> bool, visitor: Visitor) -> ControlFlow<()> {
    let hidden = config.hidden_size as usize;
    let rows = config.vocab_size as usize;
    visitor((EMBEDDING.into(), vec![rows, hidden], "every model has an embedding"))?;
    visitor((FINAL_NORM.into(), vec![hidden], "every model has a norm before its head"))?;
    if has(LM_HEAD) {
        visitor((LM_HEAD.into(), vec![rows, hidden], "the file has a head of its own"))?;
    }
    visit_routers(config, visitor)?;
    let mut seen = HashSet::new();
    for layer in 0..config.n_layers {
        visit_layer(config, layer, &mut |tensor| {
            if seen.insert(tensor.0.clone()) { visitor(tensor) } else { ControlFlow::Continue(()) }
        })?;
    }
    ControlFlow::Continue(())
}

fn visit_layer(config: &ModelConfig, layer: u32, visitor: Visitor) -> ControlFlow<()> {
    let hidden = config.hidden_size as usize;
    let shared = config.unique(layer) == layer;
    for which in Linear::ALL {
        // A layer that attends to another layer's keys and values needs no matrices to make its own.
        if matches!(which, Linear::Key | Linear::Value) && config.kv_layer(layer) != layer {
            continue;
        }
        let because = match which.is_attention() && own_attention(config, layer) && !shared {
            true => "`isobath.recursion.share_attention` is false",
            false => "`num_hidden_layers` counts its layer",
        };
        let shape = which.shape(config);
        visitor((linear(config, layer, which), shape.to_vec(), because))?;
        if let Some(name) = bias(config, layer, which) {
            visitor((name, vec![shape[0]], "this linear has a bias in this family"))?;
        }
    }
    let makes_keys = config.kv_layer(layer) == layer;
    for which in [Norm::Query, Norm::Key] {
        if config.family.head_norms && (which == Norm::Query || makes_keys) {
            let because = "heads are normalised in this family";
            visitor((norm(config, layer, which), vec![config.head_dim as usize], because))?;
        }
    }
    let Norms { before, after, .. } = config.family.norms;
    let before = before.map(|_| [Norm::BeforeAttention, Norm::BeforeFeedForward]);
    let after = after.map(|_| [Norm::AfterAttention, Norm::AfterFeedForward]);
    for which in [before, after].into_iter().flatten().flatten() {
        let because = match own_norms(config) && !shared {
            true => "`isobath.recursion.share_norms` is false",
            false => "`num_hidden_layers` counts its layer",
        };
        visitor((norm(config, layer, which), vec![hidden], because))?;
    }
    match recursion_encoding(config, layer) {
        Some(name) => visitor((name, vec![hidden], "`isobath.recursion.encoding` is true")),
        None => ControlFlow::Continue(()),
    }
}

fn visit_routers(config: &ModelConfig, visitor: Visitor) -> ControlFlow<()> {
    let Some(settings) = &config.router else {
        return ControlFlow::Continue(());
    };
    let mut roles = Vec::new();
    match settings.kind {
        RouterKind::Token => roles.push((RouterRole::Token, "`isobath.router.kind` is \"token\"")),
        RouterKind::Expert => {
            for recursion in 0..config.n_recursions() {
                let because = "`isobath.router.kind` is \"expert\", which has one router per recursion";
                roles.push((RouterRole::Expert(recursion), because));
                if settings.auxiliary {
                    roles.push((RouterRole::Auxiliary(recursion), "`isobath.router.auxiliary` is true"));
                }
            }
        }
    }
    for (role, because) in roles {
        for (name, shape) in router(config, settings.network, role) {
            visitor((name, shape.to_vec(), because))?;
        }
    }
    if settings.bias {
        visitor((ROUTER_BIAS.into(), vec![config.n_recursions() as usize], "`isobath.router.bias` is true"))?;
    }
    ControlFlow::Continue(())
}

fn own_attention(config: &ModelConfig, layer: u32) -> bool {
    config.recursion.is_some_and(|recursion| !recursion.share_attention) && config.recursion_of(layer).is_some()
}

fn own_norms(config: &ModelConfig) -> bool {
    config.recursion.is_some_and(|recursion| !recursion.share_norms)
}
