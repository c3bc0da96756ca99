//! GGUF's names for the tensors of the Llama family, and ggml's numbers for data types.
//!
//! **Invariant:** a name that is not known is not guessed: it is an error once the config is asked for.

use crate::network::names::{EMBEDDING, FINAL_NORM, LM_HEAD};
use crate::tensor::DataType;

/// What each frequency of the rotary embedding is divided by, `[head_dim / 2]`.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Whose heads' rows llama.cpp has permuted in this tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permuted {
    /// `A.attention.head_count` heads, of architecture `A`.
    Queries,
    /// `A.attention.head_count_kv` heads.
    Keys,
}

/// GGUF's name and canonical name of tensors outside of layers.
const OUTER: [(&str, &str); 4] = [
    ("token_embd.weight", EMBEDDING),
    ("output_norm.weight", FINAL_NORM),
    ("output.weight", LM_HEAD),
    (ROPE_FACTORS, ROPE_FACTORS),
];

/// GGUF's path, canonical path and permutation of tensors of a layer.
const INNER: [(&str, &str, Option<Permuted>); 11] = [
    ("attn_q", "self_attn.q_proj", Some(Permuted::Queries)),
    ("attn_k", "self_attn.k_proj", Some(Permuted::Keys)),
    ("attn_v", "self_attn.v_proj", None),
    ("attn_output", "self_attn.o_proj", None),
    ("ffn_gate", "mlp.gate_proj", None),
    ("ffn_up", "mlp.up_proj", None),
    ("ffn_down", "mlp.down_proj", None),
    ("attn_norm", "input_layernorm", None),
    ("ffn_norm", "post_attention_layernorm", None),
    ("attn_q_norm", "self_attn.q_norm", None),
    ("attn_k_norm", "self_attn.k_norm", None),
];

/// ggml's numbers of the types that can be used.
const TYPES: [(u32, DataType); DataType::ALL.len()] = [
    (0, DataType::F32),
    (1, DataType::F16),
    (2, DataType::Q4_0),
    (3, DataType::Q4_1),
    (6, DataType::Q5_0),
    (7, DataType::Q5_1),
    (8, DataType::Q8_0),
    (10, DataType::Q2K),
    (11, DataType::Q3K),
    (12, DataType::Q4K),
    (13, DataType::Q5K),
    (14, DataType::Q6K),
    (20, DataType::Iq4Nl),
    (23, DataType::Iq4Xs),
    (30, DataType::Bf16),
];

/// Canonical name and permutation; `None` for a name that no member of the family has. Tensors that only a recursive
/// model has stand under their canonical names.
pub(crate) fn canonical(name: &str) -> Option<(String, Option<Permuted>)> {
    if let Some((_, name)) = OUTER.iter().find(|(theirs, _)| *theirs == name) {
        return Some((name.to_string(), None));
    }
    let Some(rest) = name.strip_prefix("blk.") else {
        return name.starts_with("model.").then(|| (name.to_string(), None));
    };
    let (layer, part) = rest.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.')?;
    let (_, path, permuted) = INNER.iter().find(|(theirs, ..)| *theirs == part)?;
    let fits = kind == "weight" || kind == "bias" && !part.ends_with("norm");
    fits.then(|| (format!("model.layers.{layer}.{path}.{kind}"), *permuted))
}

/// GGUF's path, canonical path and permutation.
type Inner = (&'static str, &'static str, Option<Permuted>);

/// The path within a layer, and the layer, of a canonical name.
fn inner(name: &str) -> Option<(&str, &'static Inner)> {
    let (layer, path) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let path = path.strip_suffix(".weight")?;
    Some((layer, INNER.iter().find(|(_, ours, _)| *ours == path)?))
}

/// GGUF's name for the tensor of a plain Llama model, `None` for any other.
pub(crate) fn ggml_name(canonical: &str) -> Option<String> {
    if let Some((theirs, _)) = OUTER.iter().find(|(_, ours)| *ours == canonical) {
        return Some(theirs.to_string());
    }
    inner(canonical).map(|(layer, (theirs, ..))| format!("blk.{layer}.{theirs}.weight"))
}

/// Whose rows llama.cpp permutes in the tensor of that canonical name.
pub(crate) fn permuted(canonical: &str) -> Option<Permuted> {
    inner(canonical).and_then(|(_, (.., permuted))| *permuted)
}

/// Rows in llama.cpp's order: of a head's rows, `i + j * half` comes to `2 * i + j`, with half = head_dim / 2.
pub(crate) fn permute(data: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row_bytes, head_dim) = (data.len() / rows, rows / heads);
    let mut out = Vec::with_capacity(data.len());
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let from = head * head_dim + within % 2 * (head_dim / 2) + within / 2;
        out.extend_from_slice(&data[from * row_bytes..(from + 1) * row_bytes]);
    }
    out
}

/// The type of that number, `None` where it cannot be used.
pub(crate) fn data_type(number: u32) -> Option<DataType> {
    TYPES.iter().find(|(other, _)| *other == number).map(|(_, data_type)| *data_type)
}

/// ggml's number of the type.
pub(crate) fn type_number(data_type: DataType) -> u32 {
    TYPES.iter().find(|(_, other)| *other == data_type).map_or(0, |(number, _)| *number)
}

/// ggml's name for the type of that number, which cannot be used.
pub(crate) fn type_name(number: u32) -> String {
    let name = match number {
        9 => "q8_1",
        15 => "q8_K",
        16 => "iq2_xxs",
        17 => "iq2_xs",
        18 => "iq3_xxs",
        19 => "iq1_s",
        21 => "iq3_s",
        22 => "iq2_s",
        24 => "i8",
        25 => "i16",
        26 => "i32",
        27 => "i64",
        28 => "f64",
        29 => "iq1_m",
        34 => "tq1_0",
        35 => "tq2_0",
        39 => "mxfp4",
        other => return format!("number {other} of ggml"),
    };
    name.to_string()
}
