//! A tiny Llama model, the same as GGUF and as safetensors, with every number different.
//!
//! **Invariant:** the q and k of the GGUF file are permuted here by llama.cpp's published rule (reshape, swap),
//! not by the inverse of the reader under test.

use std::borrow::Cow;

use isobath::error::ModelError;
use isobath::files::write::{ExportType, export_safetensors};
use isobath::network::config::ModelConfig;
use isobath::network::names::expected;
use isobath::tensor::{DataType, Tensor};

use super::gguf::{File, Value};

/// Two layers, two query heads, one key head of width 4.
pub const CONFIG: &str = r#"{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":8,
    "intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,
    "vocab_size":5,"max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000.0,
    "bos_token_id":1,"eos_token_id":2}"#;

/// The error's text holds every part.
#[track_caller]
pub fn says<T>(result: Result<T, ModelError>, parts: &[&str]) {
    let Err(error) = result else { panic!("no error, wanted {parts:?}") };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}

/// The parsed config.
pub fn config() -> ModelConfig {
    ModelConfig::from_json(CONFIG).unwrap()
}

/// Canonical names, shapes and numbers of all tensors.
pub fn weights() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut next = 0.0;
    expected(&config(), &|_| true)
        .into_iter()
        .map(|(name, shape, _)| {
            let numbers = (0..shape.iter().product::<usize>())
                .map(|_| {
                    next += 0.25;
                    next
                })
                .collect();
            (name, shape, numbers)
        })
        .collect()
}

pub fn f32_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The bytes of `model.safetensors`.
pub fn safetensors() -> Vec<u8> {
    let tensors = weights().into_iter().map(|(name, shape, numbers)| {
        let data = Cow::Owned(f32_bytes(&numbers));
        (name, Tensor { data_type: DataType::F32, shape, data })
    });
    export_safetensors(tensors, ExportType::Keep).unwrap()
}

/// The metadata of the GGUF file, without tensors.
pub fn gguf_metadata() -> File {
    let mut file = File::default();
    file.set("general.architecture", "llama")
        .set("llama.block_count", Value::U32(2))
        .set("llama.embedding_length", Value::U32(8))
        .set("llama.feed_forward_length", Value::U32(12))
        .set("llama.attention.head_count", Value::U32(2))
        .set("llama.attention.head_count_kv", Value::U32(1))
        .set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5))
        .set("llama.rope.freq_base", Value::F32(10000.0))
        .set("llama.rope.dimension_count", Value::U32(4))
        .set("llama.context_length", Value::U32(64))
        .set("tokenizer.ggml.tokens", Value::Array(8, ["a", "b", "c", "d", "e"].map(Value::from).to_vec()))
        .set("tokenizer.ggml.token_type", Value::Array(5, vec![Value::I32(1), Value::I32(3)]))
        .set("tokenizer.ggml.bos_token_id", Value::U32(1))
        .set("tokenizer.ggml.eos_token_id", Value::U32(2));
    file
}

/// The GGUF file.
pub fn gguf() -> File {
    let mut file = gguf_metadata();
    for (name, shape, numbers) in weights() {
        let columns = *shape.last().unwrap();
        let numbers = match name {
            _ if name.contains("q_proj") => permute(&numbers, 2, columns),
            _ if name.contains("k_proj") => permute(&numbers, 1, columns),
            _ => numbers,
        };
        let shape: Vec<u64> = shape.iter().map(|size| *size as u64).collect();
        file.tensor(&gguf_name(&name), &shape, 0, f32_bytes(&numbers));
    }
    file
}

/// `weights.reshape(heads, 2, rows / heads / 2, columns).swapaxes(1, 2)`, as the converter of llama.cpp has it.
pub fn permute(numbers: &[f32], heads: usize, columns: usize) -> Vec<f32> {
    let half = numbers.len() / columns / heads / 2;
    let mut out = Vec::new();
    for head in 0..heads {
        for i in 0..half {
            for j in 0..2 {
                let row = head * 2 * half + j * half + i;
                out.extend(&numbers[row * columns..(row + 1) * columns]);
            }
        }
    }
    out
}

/// llama.cpp's name for a canonical one.
pub fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".into(),
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    [
        ("model.layers.", "blk."),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
    ]
    .into_iter()
    .fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}
