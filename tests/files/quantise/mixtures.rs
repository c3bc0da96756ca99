//! Our mixtures against llama.cpp's own `llama_model_quantize`; tests/oracles/mixtures.py makes the tables.

use std::collections::HashMap;

use isobath::files::gguf::Gguf;
use isobath::files::gguf::write::{GgufText, gguf};
use isobath::files::mixture::Mixture;
use isobath::files::random::Random;
use isobath::files::write::{Entry, ExportType};
use isobath::network::config::ModelConfig;
use isobath::network::names::{EMBEDDING, LM_HEAD, Linear};
use isobath::tensor::DataType;
use isobath::text::GgufVocabulary;
use serde_json::json;

use super::hash;
use crate::support::smollm2_mixture::{smollm2_as, with_smollm2};

/// GGUF's paths in the order of [`Linear::ALL`].
const PATHS: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// What llama.cpp calls the canonical name of a matrix.
fn theirs(name: &str) -> String {
    match name {
        EMBEDDING => "token_embd.weight".into(),
        LM_HEAD => "output.weight".into(),
        _ => {
            let (layer, path) = name.strip_prefix("model.layers.").unwrap().split_once('.').unwrap();
            let which = Linear::ALL.iter().position(|linear| path == format!("{}.weight", linear.path())).unwrap();
            format!("blk.{layer}.{}.weight", PATHS[which])
        }
    }
}

/// Its file holds these types and these bytes.
#[track_caller]
fn check_smollm2(mixture: Mixture, file_type: i64) {
    let table = include_str!("smollm2.txt");
    let which = Mixture::ALL.iter().position(|other| *other == mixture).unwrap();
    assert_eq!(table.split_whitespace().nth(1 + 2 * which), Some(mixture.name()));
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let want: HashMap<&str, [&str; 2]> = rows.map(|row| (row[0], [row[1 + 2 * which], row[2 + 2 * which]])).collect();
    assert_eq!(want.len(), 211);

    let bytes = smollm2_as(mixture);
    let made = Gguf::parse(&bytes, mixture.name()).unwrap();
    assert_eq!(made.integer("general.file_type").unwrap(), Some(file_type));
    assert_eq!(made.integer("general.quantization_version").unwrap(), Some(2));
    let entries = with_smollm2(mixture, |export| export.entries().to_vec());
    let padded = |entry: &Entry| entry.bytes.next_multiple_of(32);
    let mut at = bytes.len() - entries.iter().map(padded).sum::<usize>();
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in &entries {
        let data = &bytes[at..at + entry.bytes];
        at += padded(entry);
        if entry.shape.len() == 1 {
            assert_eq!(entry.data_type, DataType::F32, "{}", entry.name);
            continue;
        }
        seen += 1;
        let (found, want) = ([entry.data_type.name().to_ascii_uppercase(), hash(data)], want[&*theirs(&entry.name)]);
        if found != want {
            wrong.push(format!("{}: {found:?}, llama.cpp has {want:?}", entry.name));
        }
    }
    assert_eq!(seen, want.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn smollm2_as_q4_k_m() {
    check_smollm2(Mixture::Q4KM, 15);
}

#[test]
fn smollm2_as_q5_k_m() {
    check_smollm2(Mixture::Q5KM, 17);
}

#[test]
fn smollm2_as_q6_k() {
    check_smollm2(Mixture::Q6K, 18);
}

#[test]
fn smollm2_as_q8_0() {
    check_smollm2(Mixture::Q8_0, 7);
}

/// The letter that the table has for a type.
fn letter(data_type: DataType) -> char {
    match data_type {
        DataType::Q4K => '4',
        DataType::Q5K => '5',
        DataType::Q6K => '6',
        DataType::Q8_0 => '8',
        DataType::Q5_0 => 'a',
        DataType::Q5_1 => 'b',
        DataType::F16 => 'h',
        other => panic!("{other:?}"),
    }
}

/// A line of the table for a model of layers, tied or not, heads, heads of keys, hidden and intermediate size.
fn line(mixture: Mixture, shape: &[u32]) -> String {
    let [layers, tied, heads, key_heads, hidden, intermediate] = shape[..] else { panic!("{shape:?}") };
    let config = ModelConfig::from_json(
        &json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
            "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": key_heads, "head_dim": 32, "vocab_size": 8, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5,
        })
        .to_string(),
    )
    .unwrap();
    let source = Random::new(&config, 1, tied == 0, 0);
    let vocabulary = GgufVocabulary { tokens: vec!["x".into(); 8], ..GgufVocabulary::default() };
    let text = GgufText { vocabulary: &vocabulary, template: None, name: "x" };
    let export = gguf(&config, &source, text, ExportType::Mixture(mixture)).unwrap();
    let found: HashMap<String, char> = export
        .entries()
        .iter()
        .filter(|entry| entry.shape.len() > 1)
        .map(|entry| (theirs(&entry.name), letter(entry.data_type)))
        .collect();
    let mut line = format!("{} {}", mixture.name(), found["token_embd.weight"]);
    line.push(found.get("output.weight").copied().unwrap_or('-'));
    for layer in 0..layers {
        line.push(' ');
        line.extend(PATHS.map(|path| found[&format!("blk.{layer}.{path}.weight")]));
    }
    line
}

#[test]
fn types_are_those_that_llama_cpp_chooses() {
    let (mut shape, mut lines) = (Vec::new(), 0);
    for want in include_str!("shapes.txt").lines() {
        match want.strip_prefix("model ") {
            Some(numbers) => shape = numbers.split(' ').map(|number| number.parse().unwrap()).collect(),
            None => {
                let name = want.split(' ').next().unwrap();
                let mixture = Mixture::ALL.into_iter().find(|mixture| mixture.name() == name).unwrap();
                assert_eq!(line(mixture, &shape), want, "{shape:?}");
                lines += 1;
            }
        }
    }
    assert_eq!(lines, 4 * 16);
}
