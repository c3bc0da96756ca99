//! Kits that are damaged, absurd or of a format to come, and what is said about them.

use isobath::disk;
use isobath::error::ModelError;
use isobath::files::kit::{read, write};
use isobath::network::kit::{Kit, Readout};

use crate::reader::feed;
use crate::support::kits;
use crate::support::tiny_model::says;

/// The sample with one piece of its text replaced.
fn with(from: &str, to: &str) -> Result<Kit, ModelError> {
    let (json, tensors) = write(&kits::kit()).unwrap();
    assert!(json.contains(from), "{from} is not in {json}");
    read(&json.replacen(from, to, 1), &tensors, ["kit.json", "kit.safetensors"])
}

#[test]
fn descriptions_that_cannot_be() {
    says(with("\"version\": 1", "\"version\": 2"), &["kit.json", "version 2", "version 1"]);
    says(with("\"version\": 1", "\"version\": \"1\""), &["version \"1\""]);
    says(with("isobath kit", "another kit"), &["isobath kit"]);
    says(with("\"hidden_size\": 4", "\"hidden_size\": 4000000000"), &["hidden_size", "4000000000", "65536"]);
    says(with("\"hidden_size\": 4", "\"hidden_size\": 60000"), &["shape", "60000"]);
    says(with("\"hidden_size\": 4", "\"hidden_size\": -4"), &["-4", "line"]);
    says(with("\"head_rows\": 8", "\"head_rows\": 11"), &["head_rows", "11", "10"]);
    says(with("\"head_rows\": 8", "\"head_rows\": 8, \"head_rows\": 8"), &["duplicate field", "head_rows"]);
    says(with("\"head_rows\": 8", "\"head_rows\": 8, \"colour\": 8"), &["unknown field `colour`"]);
    says(with("\"kind\": \"jump\"", "\"kind\": \"leap\""), &["leap", "jump"]);
    says(with("\"depth\": 4", "\"depth\": 2"), &["`exit.2`", "twice"]);
    says(with("\"depth\": 4", "\"depth\": 6"), &["`exit.6`", "depth", "between 1 and 5"]);
    says(with("\"rows\": 5", "\"rows\": 4000000000"), &["rows", "4000000000"]);
    says(with("\"readout\": \"state\"", "\"readout\": \"logits\""), &["`rows`"]);
    says(with("\"heads\": 2", "\"heads\": 2000000000"), &["heads", "2000000000"]);
    says(with("\"kv_heads\": 1", "\"kv_heads\": 3"), &["kv_heads", "divide"]);
    says(with("\"inputs\": 12", "\"inputs\": 13"), &["inputs", "13", "12 or 12"]);
    says(with("\"threshold\": 0.5", "\"threshold\": 1.5"), &["threshold", "1.5"]);
    says(with("\"agreement\": 0.7,", "\"agreement\": 0.75,"), &["0.75", "0.7"]);
    says(with("\"agreed\": 5", "\"agreed\": 8"), &["buckets", "7 tokens"]);
    says(with("\"at\": 0.1", "\"at\": 1e300"), &["threshold"]);
    says(with("\"coverage\": 0.5", "\"coverage\": 1.5"), &["coverage", "1.5"]);
    says(with("{", "["), &["JSON"]);
    let (_, tensors) = write(&kits::kit()).unwrap();
    says(read(&"[".repeat(100_000), &tensors, ["kit.json", ""]), &["kit.json", "JSON"]);
}

#[test]
fn tensors_that_do_not_belong() {
    let (json, _) = write(&kits::kit()).unwrap();
    let says = |change: &dyn Fn(&mut Kit), parts: &[&str]| {
        let mut kit = kits::kit();
        change(&mut kit);
        let (_, tensors) = write(&kit).unwrap();
        says(read(&json, &tensors, ["kit.json", "kit.safetensors"]), parts);
    };
    says(&|kit| kit.jump = None, &["`jump.weight`", "missing"]);
    says(&|kit| kit.exits[0].depth = 1, &["`exit.2.norm`", "missing"]);
    says(&|kit| kit.predictors[0].first.shape = vec![12, 2], &["`predictor.3.fc1.weight`", "[12, 2]", "[2, 12]"]);
    let extra = |kit: &mut Kit| {
        let mut more = kit.exits[0].clone();
        more.depth = 1;
        kit.exits.push(more);
    };
    says(&extra, &["`exit.1.", "no part"]);
    for number in [f32::NAN, f32::INFINITY] {
        says(&|kit| kit.meta.as_mut().unwrap().bias.values[0] = number, &["`meta.bias`", "not finite", "row 0"]);
    }
    let damage = |kit: &mut Kit| {
        let Readout::State { weight, .. } = &mut kit.exits[0].readout else { panic!("a state") };
        weight.values[9] = f32::NEG_INFINITY;
    };
    says(&damage, &["`exit.2.weight`", "not finite", "row 2"]);
}

#[test]
fn every_prefix_is_an_error() {
    let (json, tensors) = write(&kits::kit()).unwrap();
    for length in 0..tensors.len() {
        says(read(&json, &tensors[..length], ["kit.json", "kit.safetensors"]), &["kit.safetensors", "truncated"]);
    }
    for length in 0..json.trim_end().len() {
        says(read(&json[..length], &tensors, ["kit.json", "kit.safetensors"]), &["draft kit kit.json", "JSON"]);
    }
}

#[test]
fn no_text_takes_more_than_its_size_allows() {
    let (json, tensors) = write(&kits::kit()).unwrap();
    let whole = |json: &str| [json.as_bytes(), &[0], &tensors].concat();
    feed("kit", &whole(&json));
    let part = r#"{"kind":"meta"},"#;
    feed("kit", &whole(&json.replacen("\"parts\": [", &format!("\"parts\": [{}", part.repeat(50_000)), 1)));
    for at in 0..json.len() {
        let mut damaged = whole(&json);
        damaged[at] ^= 1;
        feed("kit", &damaged);
    }
}

#[test]
fn folders_that_are_no_kits() {
    let folder = tempfile::tempdir().unwrap();
    let kit = || disk::kit(folder.path());
    says(kit(), &["kit.json", "no such file", "kit.safetensors"]);
    std::fs::write(folder.path().join("kit.json"), "{}").unwrap();
    says(kit(), &["kit.safetensors", "no such file"]);
    std::fs::write(folder.path().join("kit.safetensors"), "").unwrap();
    says(kit(), &["kit.safetensors", "empty"]);
    std::fs::write(folder.path().join("kit.safetensors"), "\u{2}\0\0\0\0\0\0\0{}").unwrap();
    says(kit(), &["kit.json", "isobath kit"]);
}
