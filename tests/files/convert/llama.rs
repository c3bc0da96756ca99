//! llama.cpp as the judge: what it computes from our file, and what its own quantiser makes of it. The vectors come from
//! tests/oracles/llama.py.

use std::fs;
use std::path::{Path, PathBuf};

use isobath::files::gguf::Gguf;
use isobath::files::gguf::write::{GgufText, gguf};
use isobath::files::safetensors::Safetensors;
use isobath::files::write::{ExportType, folder};
use isobath::runtime::step::Depth;
use isobath::tensor::{DataType, TensorSource};
use isobath::text::{GgufVocabulary, Tokenizer};
use serde_json::Value;

use super::{farthest, logits, says};

const QUANTISED: [DataType; 4] = [DataType::Q8_0, DataType::Q4_0, DataType::Q4_1, DataType::Q6K];

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/llama").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn golden() -> Value {
    serde_json::from_slice(&bytes("golden.json")).unwrap()
}

/// Largest distance of our logits from llama.cpp's over all texts, and their largest size.
fn distance(name: &str) -> (f32, f32) {
    let bytes = bytes(&format!("{name}.gguf"));
    let gguf = Gguf::parse(&bytes, name).unwrap();
    let (config, tokenizer) = (gguf.config().unwrap(), Tokenizer::from_vocabulary(gguf.vocabulary().unwrap()).unwrap());
    let (mut worst, mut largest) = (0.0f32, 0.0f32);
    for (text, want) in golden()[name].as_object().unwrap() {
        let tokens = tokenizer.encode(text, false).unwrap();
        assert_eq!(serde_json::to_value(&tokens).unwrap(), want["tokens"], "{text}");
        let last: Vec<Vec<f32>> = serde_json::from_value(want["logits"].clone()).unwrap();
        let want = last.concat();
        let got = logits(&config, &gguf, &tokens, Depth::Model);
        worst = worst.max(farthest(&got[got.len() - want.len()..], &want));
        largest = want.iter().fold(largest, |largest, logit| largest.max(logit.abs()));
    }
    (worst, largest)
}

#[test]
fn llama_cpp_computes_the_same_from_our_file() {
    let (worst, largest) = distance("f32");
    assert!(largest > 5.0, "logits of {largest} compare little");
    assert!(worst < 1e-3, "off by {worst}");
}

/// llama.cpp rounds what goes into its products of quantised matrices, so it computed these logits from the numbers that
/// its own package makes of its quantised files.
#[test]
fn we_read_what_its_tools_quantised() {
    for data_type in QUANTISED {
        let (worst, _) = distance(data_type.name());
        assert!(worst < 1e-3, "{}: off by {worst}", data_type.name());
    }
}

#[test]
fn our_quantisers_are_its_quantisers() {
    let plain = bytes("f32.gguf");
    let plain = Gguf::parse(&plain, "f32").unwrap();
    let (config, vocabulary) = (plain.config().unwrap(), plain.vocabulary().unwrap());
    for data_type in QUANTISED {
        let theirs = bytes(&format!("{}.gguf", data_type.name()));
        let theirs = Gguf::parse(&theirs, data_type.name()).unwrap();
        let text = GgufText { vocabulary: &vocabulary, template: None, name: "x" };
        let ours = gguf(&config, &plain, text, ExportType::As(data_type)).unwrap().to_bytes().unwrap();
        let ours = Gguf::parse(&ours, "ours").unwrap();
        for name in plain.names() {
            let [ours, theirs] = [&ours, &theirs].map(|source| source.tensor(&name).unwrap().unwrap());
            assert_eq!((ours.data_type, &ours.shape), (theirs.data_type, &theirs.shape), "{name}");
            assert!(ours.data == theirs.data, "{}: {name} differs", data_type.name());
        }
    }
}

#[test]
fn our_writer_still_writes_these_bytes() {
    let want = bytes("f32.gguf");
    let plain = Gguf::parse(&want, "f32").unwrap();
    let (config, vocabulary) = (plain.config().unwrap(), plain.vocabulary().unwrap());
    let text = GgufText { vocabulary: &vocabulary, template: None, name: "f32" };
    let got = gguf(&config, &plain, text, ExportType::Keep).unwrap();
    assert_eq!(got.bytes(), want.len() as u64);
    assert!(got.to_bytes().unwrap() == want);
}

#[test]
fn folder_and_gguf_hold_the_same_bits() {
    let plain = bytes("f32.gguf");
    let plain = Gguf::parse(&plain, "f32").unwrap();
    let (config, vocabulary) = (plain.config().unwrap(), plain.vocabulary().unwrap());
    for export in [DataType::F32, DataType::F16, DataType::Bf16].map(ExportType::As) {
        let first = folder(&config, &plain, export).unwrap().1.to_bytes().unwrap();
        let source = Safetensors::parse(&first, "model.safetensors").unwrap();
        let text = GgufText { vocabulary: &vocabulary, template: Some("{{ x }}"), name: "x" };
        let middle = gguf(&config, &source, text, ExportType::Keep).unwrap().to_bytes().unwrap();
        let middle = Gguf::parse(&middle, "middle").unwrap();
        assert_eq!(middle.config().unwrap(), config);
        assert_eq!(middle.string("tokenizer.chat_template").unwrap(), Some("{{ x }}"));
        // Norms are f32 in a GGUF file, so the type is asked for once more.
        let second = folder(&config, &middle, export).unwrap().1.to_bytes().unwrap();
        assert!(first == second, "{export:?}");
    }
}

#[test]
fn what_is_no_llama_model_is_refused_as_gguf() {
    let vocabulary = GgufVocabulary { tokens: vec!["x".into(); 97], ..GgufVocabulary::default() };
    let text = GgufText { vocabulary: &vocabulary, template: None, name: "x" };
    for case in crate::support::case::all().iter().filter(|case| case.config.block().is_some()) {
        let refused = gguf(&case.config, &case.source, text, ExportType::Keep);
        says(refused.map(|_| ()), &["a GGUF file of a model that", "write a folder instead"]);
    }
    let plain = bytes("f32.gguf");
    let plain = Gguf::parse(&plain, "f32").unwrap();
    let refused = gguf(&plain.config().unwrap(), &plain, text, ExportType::Keep);
    says(refused.map(|_| ()), &["97 tokens", "vocab_size"]);
}
