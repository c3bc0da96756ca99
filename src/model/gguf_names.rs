//! GGUF's names for the tensors of the Llama family, and ggml's numbers for data types.
//!
//! **Invariant:** a name that is not known is not guessed: it is an error once the config is asked for.

use super::names::{EMBEDDING, FINAL_NORM, LM_HEAD};
use super::tensor::DataType;

/// What each frequency of the rotary embedding is divided by, `[head_dim / 2]`.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Whose heads' rows llama.cpp has permuted in this tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permuted {
    /// `llama.attention.head_count` heads.
    Queries,
    /// `llama.attention.head_count_kv` heads.
    Keys,
}

/// Canonical name and permutation; `None` for a name that no member of the family has. Tensors that only a recursive
/// model has stand under their canonical names.
pub(super) fn canonical(name: &str) -> Option<(String, Option<Permuted>)> {
    let plain = |name: &str| Some((name.to_string(), None));
    match name {
        "token_embd.weight" => return plain(EMBEDDING),
        "output_norm.weight" => return plain(FINAL_NORM),
        "output.weight" => return plain(LM_HEAD),
        ROPE_FACTORS => return plain(ROPE_FACTORS),
        _ => {}
    }
    let Some(rest) = name.strip_prefix("blk.") else {
        return if name.starts_with("model.") { plain(name) } else { None };
    };
    let (layer, part) = rest.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    let (path, permuted) = match part {
        "attn_q" => ("self_attn.q_proj", Some(Permuted::Queries)),
        "attn_k" => ("self_attn.k_proj", Some(Permuted::Keys)),
        "attn_v" => ("self_attn.v_proj", None),
        "attn_output" => ("self_attn.o_proj", None),
        "ffn_gate" => ("mlp.gate_proj", None),
        "ffn_up" => ("mlp.up_proj", None),
        "ffn_down" => ("mlp.down_proj", None),
        "attn_norm" if kind == "weight" => ("input_layernorm", None),
        "ffn_norm" if kind == "weight" => ("post_attention_layernorm", None),
        "attn_q_norm" if kind == "weight" => ("self_attn.q_norm", None),
        "attn_k_norm" if kind == "weight" => ("self_attn.k_norm", None),
        _ => return None,
    };
    Some((format!("model.layers.{layer}.{path}.{kind}"), permuted))
}

/// The type of that number, `None` where it cannot be used.
pub(super) fn data_type(number: u32) -> Option<DataType> {
    Some(match number {
        0 => DataType::F32,
        1 => DataType::F16,
        2 => DataType::Q4_0,
        3 => DataType::Q4_1,
        8 => DataType::Q8_0,
        14 => DataType::Q6K,
        30 => DataType::Bf16,
        _ => return None,
    })
}

/// ggml's name for the type of that number.
pub(super) fn type_name(number: u32) -> String {
    let name = match number {
        0 => "f32",
        1 => "f16",
        2 => "q4_0",
        3 => "q4_1",
        6 => "q5_0",
        7 => "q5_1",
        8 => "q8_0",
        9 => "q8_1",
        10 => "q2_K",
        11 => "q3_K",
        12 => "q4_K",
        13 => "q5_K",
        14 => "q6_K",
        15 => "q8_K",
        16 => "iq2_xxs",
        17 => "iq2_xs",
        18 => "iq3_xxs",
        19 => "iq1_s",
        20 => "iq4_nl",
        21 => "iq3_s",
        22 => "iq2_s",
        23 => "iq4_xs",
        24 => "i8",
        25 => "i16",
        26 => "i32",
        27 => "i64",
        28 => "f64",
        29 => "iq1_m",
        30 => "bf16",
        34 => "tq1_0",
        35 => "tq2_0",
        39 => "mxfp4",
        other => return format!("number {other} of ggml"),
    };
    name.to_string()
}
