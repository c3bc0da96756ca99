//! Keys of GGUF files that may be said in more than one way: per layer, as ends of a text, and those that are absent.

use isobath::files::gguf::Gguf;
use isobath::tensor::TensorSource;

use crate::support::gguf::{File, Value};
use crate::support::tiny_model::{self, says};

fn list(numbers: &[u32]) -> Value {
    Value::Array(4, numbers.iter().map(|number| Value::U32(*number)).collect())
}

fn texts(texts: &[&str]) -> Value {
    Value::Array(8, texts.iter().map(|text| Value::from(*text)).collect())
}

fn ends(file: &File) -> Vec<u32> {
    Gguf::parse(&file.bytes(), "tiny.gguf").unwrap().config().unwrap().end_tokens
}

#[test]
fn numbers_per_layer_are_read_where_they_are_equal() {
    let mut file = tiny_model::gguf();
    file.set("llama.attention.head_count", list(&[2, 2]))
        .set("llama.attention.head_count_kv", list(&[1, 1]))
        .set("llama.feed_forward_length", list(&[12, 12]));
    let (bytes, plain) = (file.bytes(), tiny_model::gguf().bytes());
    let (file, plain) = (Gguf::parse(&bytes, "a").unwrap(), Gguf::parse(&plain, "b").unwrap());
    assert_eq!(file.config().unwrap(), plain.config().unwrap());
    for name in plain.names() {
        assert_eq!(file.tensor(&name).unwrap().unwrap().data, plain.tensor(&name).unwrap().unwrap().data, "{name}");
    }
}

#[test]
fn numbers_per_layer_that_differ_are_refused() {
    let config_says = |key: &str, value: Value, words: &[&str]| {
        let mut file = tiny_model::gguf();
        says(Gguf::parse(&file.set(key, value).bytes(), "tiny.gguf").unwrap().config(), words);
    };
    let heads = "llama.attention.head_count";
    config_says(heads, list(&[2, 4]), &[heads, "2 in layer 0 and 4 in layer 1", "same number in all layers"]);
    config_says(heads, list(&[2, 2, 2]), &[heads, "3 values", "each of 2 layers"]);
    config_says(heads, list(&[]), &[heads, "0 values"]);
    config_says(heads, texts(&["2", "2"]), &[heads, "whole numbers"]);
    config_says("llama.feed_forward_length", list(&[12, 16]), &["feed_forward_length", "16 in layer 1"]);
    config_says("llama.embedding_length", list(&[8, 8]), &["embedding_length", "an array"]);
}

#[test]
fn ends_are_found_by_keys_and_by_spelling() {
    let mut file = tiny_model::gguf();
    assert_eq!(ends(&file), [2]);
    file.set("tokenizer.ggml.eot_token_id", Value::U32(4)).set("tokenizer.ggml.eom_token_id", Value::U32(3));
    assert_eq!(ends(&file), [2, 4, 3]);
    file.set("tokenizer.ggml.tokens", texts(&["<|im_end|>", "b", "c", "d", "e"]));
    assert_eq!(ends(&file), [2, 4, 3, 0]);
    let mut file = tiny_model::gguf();
    file.set("tokenizer.ggml.tokens", texts(&["a", "b", "c", "<|file_sep|>", "<|eot_id|>"]));
    assert_eq!(ends(&file), [2, 3, 4]);
    assert_eq!(ends(file.set("tokenizer.ggml.fim_sep_token_id", Value::U32(0))), [2, 0, 4]);
    // A file without tokens still has its keys.
    file.remove("tokenizer.ggml.tokens").set("llama.vocab_size", Value::U32(5));
    assert_eq!(ends(&file), [2]);
}

#[test]
fn what_is_absent_is_as_in_llama_cpp() {
    let vocabulary = |file: &File| Gguf::parse(&file.bytes(), "tiny.gguf").unwrap().vocabulary().unwrap();
    let mut file = tiny_model::gguf();
    file.set("tokenizer.ggml.model", "gpt2");
    let begins = |file: &File| vocabulary(file).add_bos;
    assert!(vocabulary(&file).warning().is_some() && !begins(&file));
    assert!(!begins(file.set("tokenizer.ggml.pre", "qwen2")));
    assert!(vocabulary(&file).warning().is_none());
    assert!(begins(file.set("tokenizer.ggml.pre", "llama-bpe")));
    assert!(begins(file.set("tokenizer.ggml.pre", "tekken")));
    assert!(!begins(file.set("tokenizer.ggml.add_bos_token", Value::Bool(false))));
    // Prompts cannot begin with a token that no key names.
    file.remove("tokenizer.ggml.add_bos_token").remove("tokenizer.ggml.bos_token_id");
    assert!(!begins(&file));
    let mut pieces = tiny_model::gguf();
    pieces.set("tokenizer.ggml.model", "llama");
    pieces.remove("tokenizer.ggml.bos_token_id").remove("tokenizer.ggml.eos_token_id");
    let found = vocabulary(&pieces);
    assert_eq!((found.bos_token, found.eos_token, found.add_bos), (Some(1), Some(2), true));
    assert_eq!(ends(&pieces), [2]);
}
