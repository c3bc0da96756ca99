//! The table of families: what each calls itself, which parts it is made of, and what its files may say.
//!
//! A family whose parts are known is one more entry of [`FAMILIES`]. Files are read by the table ([`ModelConfig`]
//! `::from_json`, GGUF), and what runs is told by the [`Form`](crate::network::form::Form) that entry and file make.
//!
//! **Invariant:** data only. Nothing outside of readers and writers of files asks for a family.
//!
//! [`ModelConfig`]: crate::network::config::ModelConfig

use crate::network::form::{Activation, NormKind};

/// A family of models: an entry of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// Name among `architectures` in `config.json`.
    pub class: &'static str,
    /// How GGUF files hold it.
    pub gguf: GgufNames,
    /// Its norms.
    pub norms: Norms,
    /// Each head's queries and keys are normalised, by a norm of the same kind.
    pub head_norms: bool,
    /// Activation of the feed-forward part.
    pub activation: Activation,
    /// Further names by which `hidden_act` may mean it.
    pub activation_aliases: &'static [&'static str],
    /// Factor of the embedding.
    pub embedding: EmbeddingScale,
    /// Biases of attention.
    pub attention_bias: AttentionBias,
    /// `mlp_bias` may ask for biases of the feed-forward part.
    pub feed_forward_bias: bool,
    /// Which layers may have a window.
    pub windows: Windows,
    /// `head_dim` where the file does not name it; `None`: hidden size over heads.
    pub head_dim: Option<u32>,
    /// `num_key_value_heads` may be left out, for one per query head.
    pub key_heads_optional: bool,
}

/// What llama.cpp makes of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GgufNames {
    /// `general.architecture`; families may share one.
    pub architecture: &'static str,
    /// Rows of q and k stand in the order of neighbouring pairs.
    pub permuted: bool,
}

/// Norms of a family's layers; a place without names has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norms {
    /// Of all of them.
    pub kind: NormKind,
    /// In front of attention and of the feed-forward part: their names within a layer.
    pub before: Option<[&'static str; 2]>,
    /// Behind attention and the feed-forward part, before these are added: their names within a layer.
    pub after: Option<[&'static str; 2]>,
}

/// Factor of the embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingScale {
    /// 1.
    One,
    /// The square root of the width.
    RootOfWidth,
}

/// Biases of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    Never,
    /// On all four linears where `attention_bias` is true.
    Asked,
    /// Always on queries, keys and values, and no field is read about them.
    QueriesKeysValues,
}

/// Which layers may have a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// None.
    Never,
    /// All or none, as `sliding_window` says.
    Everywhere,
    /// Those that `layer_types` or `max_window_layers` name, where `use_sliding_window` is true.
    ByLayer,
}

/// Llama 1 to 3, SmolLM 2 and what shares their shape: the plain case, of which the others say only what differs.
pub const LLAMA: Family = Family {
    model_type: "llama",
    class: "LlamaForCausalLM",
    gguf: GgufNames { architecture: "llama", permuted: true },
    norms: Norms { kind: NormKind::Rms, before: Some(["input_layernorm", "post_attention_layernorm"]), after: None },
    head_norms: false,
    activation: Activation::Silu,
    activation_aliases: &[],
    embedding: EmbeddingScale::One,
    attention_bias: AttentionBias::Asked,
    feed_forward_bias: true,
    windows: Windows::Never,
    head_dim: None,
    key_heads_optional: true,
};

/// All families that can be read.
pub const FAMILIES: &[Family] = &[
    LLAMA,
    // llama.cpp files it under Llama's name.
    Family {
        model_type: "mistral",
        class: "MistralForCausalLM",
        attention_bias: AttentionBias::Never,
        feed_forward_bias: false,
        windows: Windows::Everywhere,
        key_heads_optional: false,
        ..LLAMA
    },
    Family {
        model_type: "qwen2",
        class: "Qwen2ForCausalLM",
        gguf: GgufNames { architecture: "qwen2", permuted: false },
        attention_bias: AttentionBias::QueriesKeysValues,
        feed_forward_bias: false,
        windows: Windows::ByLayer,
        key_heads_optional: false,
        ..LLAMA
    },
    Family {
        model_type: "qwen3",
        class: "Qwen3ForCausalLM",
        gguf: GgufNames { architecture: "qwen3", permuted: false },
        head_norms: true,
        feed_forward_bias: false,
        windows: Windows::ByLayer,
        head_dim: Some(128),
        key_heads_optional: false,
        ..LLAMA
    },
    Family {
        model_type: "gemma",
        class: "GemmaForCausalLM",
        gguf: GgufNames { architecture: "gemma", permuted: false },
        norms: Norms { kind: NormKind::RmsFromOne, ..LLAMA.norms },
        activation: Activation::GeluTanh,
        // Its first files say so and mean the approximation, as transformers knows.
        activation_aliases: &["gelu"],
        embedding: EmbeddingScale::RootOfWidth,
        feed_forward_bias: false,
        head_dim: Some(256),
        key_heads_optional: false,
        ..LLAMA
    },
];

impl Family {
    /// The family of that `model_type`.
    pub fn named(model_type: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.model_type == model_type)
    }

    /// The first family that GGUF files hold under that architecture.
    pub fn of_gguf(architecture: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.gguf.architecture == architecture)
    }

    /// The family that has windows among those of the same architecture in GGUF files.
    pub fn with_windows(&self) -> Option<&'static Self> {
        let mut kin = FAMILIES.iter().filter(|other| other.gguf == self.gguf);
        kin.find(|other| other.windows != Windows::Never)
    }
}

/// All names of these, for messages.
pub fn names(families: &[Family]) -> String {
    let names: Vec<String> =
        families.iter().map(|family| format!("\"{}\" ({})", family.model_type, family.class)).collect();
    format!("model_type {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_transformers() {
        assert!(names(FAMILIES).contains("\"qwen2\" (Qwen2ForCausalLM), \"qwen3\""));
    }

    #[test]
    fn names_tell_families_apart() {
        for family in FAMILIES {
            let same = |name: fn(&Family) -> &str| FAMILIES.iter().filter(|other| name(other) == name(family)).count();
            assert_eq!((same(|family| family.model_type), same(|family| family.class)), (1, 1), "{family:?}");
        }
        assert_eq!(Family::of_gguf("llama").and_then(Family::with_windows), Family::named("mistral"));
        assert_eq!(Family::of_gguf("gemma").and_then(Family::with_windows), None);
    }
}
