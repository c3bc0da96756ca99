//! GGUF files that are damaged or not supported, and what is said about them.

use isobath::files::gguf::Gguf;
use isobath::network::names::check_tensors;
use isobath::tensor::TensorSource;
use isobath::text::Tokenizer;

use crate::support::gguf::{self, File, Value};
use crate::support::tiny_model::{self, says};

fn gguf_says(file: &File, parts: &[&str]) {
    says(Gguf::parse(&file.bytes(), "tiny.gguf"), &[parts, &["tiny.gguf"]].concat());
}

fn gguf_config_says(file: &File, parts: &[&str]) {
    says(Gguf::parse(&file.bytes(), "tiny.gguf").unwrap().config(), parts);
}

/// The tiny model with one metadata value changed.
fn with(key: &str, value: Value) -> File {
    let mut file = tiny_model::gguf();
    file.set(key, value);
    file
}

#[test]
fn damaged_gguf_headers() {
    let tiny = tiny_model::gguf;
    gguf_says(&File { magic: *b"GGML", ..tiny() }, &["GGUF"]);
    says(Gguf::parse(&File { version: 1, ..tiny() }.bytes(), "x"), &["GGUF version 1", "2 and 3"]);
    says(Gguf::parse(&File { version: 3 << 24, ..tiny() }.bytes(), "x"), &["big-endian"]);
    gguf_says(&File { counts: Some((1 << 60, 1)), ..tiny() }, &["1152921504606846976 tensors"]);
    gguf_says(&File { counts: Some((1, 1 << 60)), ..tiny() }, &["1152921504606846976 metadata keys"]);
}

#[test]
fn damaged_gguf_metadata() {
    gguf_says(&with("x", Value::Raw(8, (1u64 << 60).to_le_bytes().to_vec())), &["`x`", "1152921504606846976", "left"]);
    let array = [4u32.to_le_bytes().to_vec(), (1u64 << 60).to_le_bytes().to_vec()].concat();
    gguf_says(&with("x", Value::Raw(9, array)), &["`x`", "1152921504606846976 elements"]);
    let deep = (0..40).fold(Value::Array(0, Vec::new()), |inner, _| Value::Array(9, vec![inner]));
    gguf_says(&with("x", deep), &["`x`", "nested"]);
    gguf_says(&with("x", Value::Raw(13, Vec::new())), &["`x`", "type 13"]);
    gguf_says(&with("x", Value::Raw(7, vec![2])), &["`x`", "0 or 1"]);
    let not_text = [1u64.to_le_bytes().to_vec(), vec![0xff]].concat();
    gguf_says(&with("x", Value::Raw(8, not_text)), &["`x`", "UTF-8"]);
    gguf_says(&with("general.alignment", Value::U32(0)), &["general.alignment", "is 0"]);
    gguf_says(&with("general.alignment", Value::from("32")), &["general.alignment", "a string"]);
    let mut twice = tiny_model::gguf();
    twice.values.push(("llama.block_count".into(), Value::U32(2)));
    gguf_says(&twice, &["llama.block_count", "twice"]);
}

#[test]
fn damaged_gguf_tensors() {
    let with_last = |change: &dyn Fn(&mut gguf::Tensor)| {
        let mut file = tiny_model::gguf();
        let last = file.tensors.last_mut().unwrap();
        change(last);
        file
    };
    let name = tiny_model::gguf().tensors.last().unwrap().name.clone();
    gguf_says(&with_last(&|tensor| tensor.offset = Some(1 << 60)), &[&name, "1152921504606846976"]);
    gguf_says(&with_last(&|tensor| tensor.offset = Some(u64::MAX - 31)), &[&name]);
    gguf_says(&with_last(&|tensor| tensor.offset = Some(33)), &[&name, "multiple of 32"]);
    gguf_says(&with_last(&|tensor| tensor.offset = Some(0)), &[&name, "overlap"]);
    gguf_says(&with_last(&|tensor| tensor.shape = vec![1 << 40, 1 << 40]), &[&name, "size"]);
    gguf_says(&with_last(&|tensor| tensor.shape = vec![]), &[&name, "0 dimensions"]);
    gguf_says(&with_last(&|tensor| tensor.shape = vec![1; 5]), &[&name, "5 dimensions"]);
    gguf_says(&with_last(&|tensor| tensor.type_number = 8), &[&name, "q8_0", "multiple of 32"]);
    gguf_says(&with_last(&|tensor| tensor.type_number = 12), &[&name, "q4_K", "multiple of 256"]);
    let mut twice = tiny_model::gguf();
    twice.tensor("token_embd.weight", &[1, 1], 0, vec![0; 4]);
    gguf_says(&twice, &["token_embd.weight", "twice"]);
    let mut twice = tiny_model::gguf();
    twice.tensor("model.embed_tokens.weight", &[1, 1], 0, vec![0; 4]);
    gguf_says(&twice, &["model.embed_tokens.weight", "token_embd.weight"]);
}

#[test]
fn gguf_tensors_that_cannot_be_used() {
    let mut file = tiny_model::gguf();
    // An unusable type is an error only when its tensor is asked for.
    file.tensors.last_mut().unwrap().type_number = 16;
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    let norm = "model.layers.1.post_attention_layernorm.weight";
    says(gguf.tensor(norm), &[norm, "iq2_xxs", "supported", "q4_K"]);
    assert_eq!(check_tensors(&tiny_model::config(), &gguf).len(), 1);

    let mut odd = tiny_model::gguf_metadata();
    odd.tensor("blk.0.attn_q.weight", &[6, 1], 0, vec![0; 24]);
    let bytes = odd.bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    says(gguf.tensor("model.layers.0.self_attn.q_proj.weight"), &["blk.0.attn_q.weight", "[6, 1]", "heads"]);
}

#[test]
fn gguf_models_that_are_not_supported() {
    gguf_config_says(&with("general.architecture", "mamba".into()), &["\"mamba\"", "\"llama\""]);
    gguf_config_says(tiny_model::gguf().remove("general.architecture"), &["general.architecture"]);
    gguf_config_says(&with("llama.rope.scaling.type", "yarn".into()), &["yarn"]);
    gguf_config_says(&with("llama.rope.dimension_count", Value::U32(2)), &["dimension_count 2", "4"]);
    gguf_config_says(&with("llama.expert_count", Value::U32(8)), &["expert"]);
    for (name, part) in [("rope_freqs.weight", "factors"), ("blk.0.attn_q.bias", "bias"), ("blk.0.ssm.weight", "ssm")] {
        let mut file = tiny_model::gguf();
        file.tensor(name, &[4], 0, vec![0; 16]);
        gguf_config_says(&file, &[part]);
    }
}

#[test]
fn absurd_gguf_configs() {
    gguf_config_says(
        &with("llama.block_count", Value::U64(1_000_000_000)),
        &["num_hidden_layers", "1000000000", "4096"],
    );
    gguf_config_says(&with("llama.block_count", Value::U64(1 << 60)), &["llama.block_count", "1152921504606846976"]);
    gguf_config_says(&with("llama.block_count", Value::I32(-2)), &["llama.block_count", "-2"]);
    gguf_config_says(&with("llama.block_count", "2".into()), &["llama.block_count", "string"]);
    gguf_config_says(&with("llama.attention.head_count", Value::U32(0)), &["head_count", "0"]);
    gguf_config_says(tiny_model::gguf().remove("llama.embedding_length"), &["llama.embedding_length", "missing"]);
    gguf_config_says(tiny_model::gguf().remove("tokenizer.ggml.tokens"), &["vocab_size", "missing"]);
    gguf_config_says(&with("isobath.config", "{".into()), &["isobath.config", "JSON"]);
    gguf_config_says(&with("isobath.config", r#"{"x":1}"#.into()), &["isobath.x"]);
}

#[test]
fn isobath_block_of_a_gguf_file() {
    let text = r#"{"recursion":{"count":2,"sharing":"cycle"},"kv":{"mode":"share"}}"#;
    let bytes = with("isobath.config", text.into()).bytes();
    let config = Gguf::parse(&bytes, "tiny.gguf").unwrap().config().unwrap();
    assert_eq!((config.n_recursions(), config.block_layers(), config.kv_layer(1)), (2, 1, 0));
}

#[test]
fn special_tokens_of_a_gguf_file() {
    let check = |file: &File, expected: &[(&str, &str)]| {
        let bytes = file.bytes();
        let file = Gguf::parse(&bytes, "tiny.gguf").unwrap();
        let tokenizer = Tokenizer::from_vocabulary(file.vocabulary().unwrap()).unwrap();
        let tokens = file.special_tokens(&tokenizer).unwrap();
        assert_eq!(tokens.iter().collect::<Vec<_>>(), expected);
    };
    let mut file = with("tokenizer.ggml.model", "llama".into());
    file.set("tokenizer.ggml.scores", Value::Array(6, vec![Value::F32(0.0); 5]))
        .set("tokenizer.ggml.token_type", Value::Array(5, [2, 3, 3, 3, 1].map(Value::I32).to_vec()))
        .set("tokenizer.ggml.unknown_token_id", Value::U32(0))
        .set("tokenizer.ggml.padding_token_id", Value::U32(3))
        // Beyond the vocabulary.
        .set("tokenizer.ggml.mask_token_id", Value::U32(99));
    check(&file, &[("bos_token", "b"), ("eos_token", "c"), ("pad_token", "d"), ("unk_token", "a")]);
    file.remove("tokenizer.ggml.eos_token_id").remove("tokenizer.ggml.padding_token_id");
    // As in llama.cpp, a SentencePiece vocabulary without the key ends texts with token 2.
    check(&file, &[("bos_token", "b"), ("eos_token", "c"), ("unk_token", "a")]);
}
