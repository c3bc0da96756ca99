//! Folders whose safetensors or config.json are damaged or absurd, and what is said about them.

use isobath::error::ModelError;
use isobath::files::safetensors::{Folder, Safetensors};
use isobath::network::config::ModelConfig;
use isobath::tensor::{DataType, TensorSource};

use crate::support::tiny_model::{self, says};

/// A safetensors file from the text of its header.
fn raw_safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn safetensors_says(header: &str, data: usize, parts: &[&str]) {
    let parts = [parts, &["model.safetensors"]].concat();
    says(Safetensors::parse(&raw_safetensors(header, data), "model.safetensors"), &parts);
}

#[test]
fn damaged_safetensors() {
    let entry = |dtype: &str, shape: &str, range: &str| {
        format!(r#""a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{range}}}"#)
    };
    let a = entry("F32", "[2]", "[0,8]");
    says(Safetensors::parse(b"GGUF", "model.safetensors"), &["model.safetensors", "4 bytes"]);
    let long = [1000u64.to_le_bytes().to_vec(), b"{}".to_vec()].concat();
    says(Safetensors::parse(&long, "model.safetensors"), &["1000", "10"]);
    says(Safetensors::parse(&[255; 32], "model.safetensors"), &["18446744073709551615"]);
    safetensors_says("{", 0, &["header"]);
    safetensors_says("[1]", 0, &["header"]);
    safetensors_says(&format!("{{{a}}}"), 4, &["truncated"]);
    safetensors_says(&format!("{{{a}}}"), 12, &["tail"]);
    safetensors_says(&format!("{{{}}}", entry("F32", "[2]", "[0,4]")), 4, &["size"]);
    safetensors_says(&format!("{{{}}}", entry("F32", "[2]", "[8,0]")), 8, &["`a`"]);
    safetensors_says(&format!("{{{}}}", entry("F99", "[2]", "[0,8]")), 8, &["F99"]);
    safetensors_says(&format!("{{{}}}", entry("F32", "[-2]", "[0,8]")), 8, &["-2"]);
    safetensors_says(&format!("{{{}}}", entry("F32", "[4611686018427387904,16]", "[0,8]")), 8, &["larger"]);
    let b = r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#;
    safetensors_says(&format!("{{{a},{b}}}"), 12, &["`b`", "overlap"]);
    let nested = "[".repeat(100_000);
    safetensors_says(&nested, 0, &["header"]);
}

#[test]
fn types_of_safetensors() {
    let header = r#"{"__metadata__":{"isobath.q":"q8_0:2x32","isobath.short":"q8_0:2x64","isobath.odd":"q8_0:2x31",
        "isobath.word":"q9:2x32"},
        "i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"q":{"dtype":"U8","shape":[68],"data_offsets":[4,72]},
        "short":{"dtype":"U8","shape":[68],"data_offsets":[72,140]},"odd":{"dtype":"U8","shape":[1],"data_offsets":[140,141]},
        "word":{"dtype":"U8","shape":[1],"data_offsets":[141,142]},"u":{"dtype":"U8","shape":[1],"data_offsets":[142,143]}}"#;
    let bytes = raw_safetensors(header, 143);
    let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let tensor = file.tensor("q").unwrap().unwrap();
    assert_eq!((tensor.data_type, tensor.shape, tensor.data.len()), (DataType::Q8_0, vec![2, 32], 68));
    says(file.tensor("i"), &["`i`", "I32", "supported"]);
    says(file.tensor("u"), &["`u`", "U8"]);
    says(file.tensor("short"), &["`short`", "68 bytes", "136"]);
    says(file.tensor("odd"), &["isobath.odd", "multiple of 32"]);
    says(file.info("word"), &["isobath.word", "q9"]);
    assert!(file.tensor("absent").unwrap().is_none());
    let again = Safetensors::parse(&bytes, "again.safetensors").unwrap();
    says(Folder::new(vec![file, again]), &["again.safetensors", "model.safetensors", "`i`"]);
}

/// The tiny model's config with one piece of its text replaced.
fn with(from: &str, to: &str) -> Result<ModelConfig, ModelError> {
    assert!(tiny_model::CONFIG.contains(from), "{from}");
    ModelConfig::from_json(&tiny_model::CONFIG.replace(from, to))
}

#[test]
fn absurd_sizes_in_configs() {
    says(with(r#"heads":2"#, r#"heads":0"#), &["num_attention_heads", "is 0"]);
    says(with(r#"layers":2"#, r#"layers":1000000000"#), &["num_hidden_layers", "1000000000", "4096"]);
    says(with(r#"layers":2"#, r#"layers":0"#), &["num_hidden_layers", "is 0"]);
    says(with(r#"hidden_size":8"#, r#"hidden_size":-8"#), &["hidden_size", "-8", "whole number"]);
    says(with(r#"hidden_size":8"#, r#"hidden_size":"8""#), &["hidden_size", "\"8\"", "whole number"]);
    says(with(r#"hidden_size":8"#, r#"hidden_size":8.5"#), &["hidden_size", "8.5"]);
    says(with(r#""hidden_size":8,"#, ""), &["hidden_size", "missing"]);
    says(with(r#"key_value_heads":1"#, r#"key_value_heads":3"#), &["num_key_value_heads", "3", "divide", "2"]);
    says(with(r#"head_dim":4"#, r#"head_dim":3"#), &["head_dim", "3", "even"]);
    says(with(r#"vocab_size":5"#, r#"vocab_size":99999999"#), &["vocab_size", "99999999", "16777216"]);
}

#[test]
fn absurd_configs() {
    says(with("1e-5", "0"), &["rms_norm_eps", "0"]);
    says(with("10000.0", "1e300"), &["rope_theta", "1e"]);
    says(with(r#""bos_token_id":1"#, r#""bos_token_id":5"#), &["bos_token_id", "5"]);
    says(with(r#""eos_token_id":2"#, r#""eos_token_id":[2,"x"]"#), &["eos_token_id", "x"]);
    says(with(r#"type":"llama""#, r#"type":"gpt2""#), &["gpt2", "llama", "qwen3"]);
    says(with(r#"type":"llama""#, r#"type":"qwen2""#), &["LlamaForCausalLM", "qwen2", "Qwen2ForCausalLM"]);
    says(with("LlamaForCausalLM", "MambaForCausalLM"), &["MambaForCausalLM", "LlamaForCausalLM"]);
    says(ModelConfig::from_json("{"), &["JSON"]);
    says(ModelConfig::from_json("[]"), &["JSON object"]);
    says(ModelConfig::from_json("{}"), &["model_type", "missing"]);
    says(ModelConfig::from_json(&"[".repeat(100_000)), &["JSON"]);
}
