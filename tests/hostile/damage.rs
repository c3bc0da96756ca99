//! Damage anywhere in a model file: an error or a model, never a panic.

use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Safetensors;
use isobath::network::names::check_tensors;
use isobath::tensor::TensorSource;
use isobath::tensor::finite::check_finite;
use proptest::prelude::*;

use crate::support::tiny_model::{self, says};

/// Everything that reading a file can run into.
fn read_gguf(bytes: &[u8]) {
    let Ok(gguf) = Gguf::parse(bytes, "tiny.gguf") else {
        return;
    };
    let _ = gguf.strings("tokenizer.ggml.tokens");
    let _ = gguf.integers("tokenizer.ggml.token_type");
    read(&gguf);
    if let Ok(config) = gguf.config() {
        assert!(check_tensors(&config, &gguf).len() <= 64);
    }
}

fn read_safetensors(bytes: &[u8]) {
    let Ok(file) = Safetensors::parse(bytes, "model.safetensors") else {
        return;
    };
    read(&file);
    assert!(check_tensors(&tiny_model::config(), &file).len() <= 64);
}

fn read(source: &dyn TensorSource) {
    for name in source.names() {
        if let Ok(Some(tensor)) = source.tensor(&name) {
            let _ = check_finite(&name, &tensor);
        }
    }
}

#[test]
fn every_prefix_of_a_gguf_file_is_an_error() {
    let bytes = tiny_model::gguf().bytes();
    read_gguf(&bytes);
    for length in 0..bytes.len() {
        says(Gguf::parse(&bytes[..length], "tiny.gguf"), &["tiny.gguf", "byte"]);
    }
}

#[test]
fn every_prefix_of_a_safetensors_file_is_an_error() {
    let bytes = tiny_model::safetensors();
    read_safetensors(&bytes);
    for length in 0..bytes.len() {
        says(Safetensors::parse(&bytes[..length], "model.safetensors"), &["model.safetensors", "truncated"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let change = |mut bytes: Vec<u8>, within: usize| {
            for (at, byte) in &flips {
                let at = at.index(within);
                bytes[at] = *byte;
            }
            bytes
        };
        let gguf = tiny_model::gguf().bytes();
        let safetensors = tiny_model::safetensors();
        // Once anywhere, once in the part that describes the rest.
        read_gguf(&change(gguf.clone(), gguf.len()));
        read_gguf(&change(gguf, 2000));
        read_safetensors(&change(safetensors.clone(), safetensors.len()));
        read_safetensors(&change(safetensors, 2000));
    }
}
