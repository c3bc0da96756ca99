//! The tensors of a model: which ones a config asks for, what is wrong with a set of them, and that they survive
//! being written.

use std::borrow::Cow;

use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Safetensors;
use isobath::files::write::{ExportType, export_folder, export_safetensors};
use isobath::network::config::ModelConfig;
use isobath::network::names::check_tensors;
use isobath::tensor::pack::dequantise_row;
use isobath::tensor::quantise::write_row;
use isobath::tensor::{DataType, Tensor, TensorSource};

use crate::support::tiny_model::{self, says};

fn matrix(rows: usize, columns: usize) -> Tensor<'static> {
    let data = Cow::Owned(vec![0; rows * columns * 4]);
    Tensor { data_type: DataType::F32, shape: vec![rows, columns], data }
}

/// The messages of `check_tensors` for the tiny model with some tensors changed, `None` for left out.
fn problems(block: &str, changes: &[(&str, Option<Tensor<'static>>)]) -> Vec<String> {
    let text = tiny_model::CONFIG.replace(r#""eos_token_id":2"#, &format!(r#""eos_token_id":2,"isobath":{block}"#));
    let config = ModelConfig::from_json(&text).unwrap();
    let mut tensors: Vec<(String, Tensor)> = tiny_model::weights()
        .into_iter()
        .map(|(name, shape, numbers)| {
            (name, Tensor { data_type: DataType::F32, shape, data: Cow::Owned(tiny_model::f32_bytes(&numbers)) })
        })
        .collect();
    for (name, tensor) in changes {
        tensors.retain(|(other, _)| other != name);
        tensors.extend(tensor.clone().map(|tensor| (name.to_string(), tensor)));
    }
    let bytes = export_safetensors(tensors, ExportType::Keep).unwrap();
    let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    check_tensors(&config, &file).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_problems(block: &str, changes: &[(&str, Option<Tensor<'static>>)], wanted: &[&[&str]]) {
    let found = problems(block, changes);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (message, parts) in found.iter().zip(wanted) {
        for part in *parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
}

const CYCLE: &str = r#""recursion":{"count":2,"sharing":"cycle"}"#;

#[test]
fn missing_and_misshapen_tensors() {
    check_problems("{}", &[("lm_head.weight", None)], &[]);
    check_problems("{}", &[("model.norm.weight", None)], &[&["model.norm.weight", "missing"]]);
    check_problems(
        "{}",
        &[("model.layers.1.mlp.up_proj.weight", Some(matrix(8, 12)))],
        &[&["layers.1.mlp.up_proj", "[8, 12]", "[12, 8]"]],
    );
    check_problems("{}", &[("lm_head.weight", Some(matrix(1, 8)))], &[&["lm_head", "[1, 8]", "[5, 8]"]]);
    // Shared: the second layer's tensors are not looked for, whatever they are.
    check_problems(&format!("{{{CYCLE}}}"), &[("model.layers.1.mlp.up_proj.weight", None)], &[]);
    check_problems(
        r#"{"recursion":{"count":2,"sharing":"cycle","share_norms":false,"share_attention":false}}"#,
        &[
            ("model.layers.1.mlp.up_proj.weight", None),
            ("model.layers.1.self_attn.q_proj.weight", None),
            ("model.layers.1.input_layernorm.weight", None),
        ],
        &[&["layers.1.self_attn.q_proj", "share_attention"], &["layers.1.input_layernorm", "share_norms"]],
    );
    check_problems(
        r#"{"kv":{"mode":"share","count":2,"sharing":"sequence"}}"#,
        &[("model.layers.1.self_attn.k_proj.weight", None), ("model.layers.1.self_attn.v_proj.weight", None)],
        &[],
    );
    check_problems(
        r#"{"recursion":{"count":1,"sharing":"cycle","encoding":true}}"#,
        &[],
        &[&["model.layers.1.recursion_encoding", "encoding"]],
    );
}

#[test]
fn routers() {
    check_problems(
        &format!(r#"{{{CYCLE},"router":{{"kind":"expert","auxiliary":true}}}}"#),
        &[("model.routers.0.weight", Some(matrix(1, 8))), ("model.auxiliary_routers.1.weight", Some(matrix(2, 8)))],
        &[
            &["model.auxiliary_routers.0.weight", "auxiliary"],
            &["model.routers.1.weight", "one router per recursion"],
            &["model.auxiliary_routers.1.weight", "[2, 8]", "[1, 8]"],
        ],
    );
    check_problems(
        &format!(r#"{{{CYCLE},"router":{{"kind":"token","network":"mlp","bias":true}}}}"#),
        &[("model.router.2.weight", Some(matrix(2, 16)))],
        &[&["model.router.0.weight", "token"], &["model.router.bias", "bias"]],
    );
}

#[test]
fn adapters() {
    let block = format!(r#"{{{CYCLE},"lora":{{}}}}"#);
    let a = "model.layers.1.self_attn.q_proj.lora_A.weight";
    let b = "model.layers.1.self_attn.q_proj.lora_B.weight";
    check_problems(&block, &[], &[&["isobath.lora", "no pair"]]);
    check_problems(&block, &[(a, Some(matrix(3, 8))), (b, Some(matrix(8, 3)))], &[]);
    check_problems(&block, &[(a, Some(matrix(3, 8)))], &[&[b, "missing", a], &["no pair"]]);
    check_problems(&block, &[(b, Some(matrix(8, 3)))], &[&[a, "missing", b], &["no pair"]]);
    check_problems(
        &block,
        &[(a, Some(matrix(3, 8))), (b, Some(matrix(8, 2)))],
        &[&[b, "[8, 2]", "[8, 3]"], &["no pair"]],
    );
    check_problems(&format!("{{{CYCLE}}}"), &[(a, Some(matrix(3, 8)))], &[&[a, "isobath.lora", "not set"]]);
    let far = "model.layers.9.self_attn.q_proj.lora_A.weight";
    check_problems(&block, &[(far, Some(matrix(3, 8)))], &[&[far, "cannot be used"], &["no pair"]]);
}

#[test]
fn problems_are_listed_up_to_a_limit() {
    let text = tiny_model::CONFIG.replace(r#"layers":2"#, r#"layers":4096"#);
    let config = ModelConfig::from_json(&text).unwrap();
    let bytes = export_safetensors([], ExportType::Keep).unwrap();
    let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    assert_eq!(check_tensors(&config, &file).len(), 64);
}

#[test]
fn exported_folder_is_the_same_model() {
    let bytes = tiny_model::gguf().bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    for (export, data_type) in [
        (ExportType::Keep, DataType::F32),
        (ExportType::As(DataType::F16), DataType::F16),
        (ExportType::As(DataType::Bf16), DataType::Bf16),
    ] {
        let (json, file) = export_folder(&tiny_model::config(), &gguf, export).unwrap();
        assert_eq!(ModelConfig::from_json(&json).unwrap(), tiny_model::config());
        let file = Safetensors::parse(&file, "model.safetensors").unwrap();
        for (name, shape, numbers) in tiny_model::weights() {
            let tensor = file.tensor(&name).unwrap().unwrap();
            assert_eq!((tensor.data_type, &tensor.shape), (data_type, &shape));
            let mut got = vec![0.0; numbers.len()];
            dequantise_row(data_type, &tensor.data, numbers.len(), &mut got);
            for (number, got) in numbers.iter().zip(&got) {
                // bf16 keeps 8 bits of a number.
                assert!((number - got).abs() <= number.abs() / 256.0, "{name}: {number} {got}");
            }
        }
    }
    let mut tensors = vec![("a".to_string(), matrix(2, 2))];
    tensors[0].1.data.to_mut()[12..].copy_from_slice(&1e6f32.to_le_bytes());
    says(export_safetensors(tensors, ExportType::As(DataType::F16)), &["`a`", "1000000", "row 1", "bf16"]);
}

#[test]
fn quantised_tensors_are_kept_or_dequantised() {
    let numbers: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
    let mut data = Vec::new();
    write_row(DataType::Q8_0, &numbers, &mut data);
    let tensor =
        || ("w".to_string(), Tensor { data_type: DataType::Q8_0, shape: vec![2, 32], data: Cow::Borrowed(&data) });
    let kept = export_safetensors([tensor(), ("a".to_string(), matrix(1, 1))], ExportType::Keep).unwrap();
    let kept = Safetensors::parse(&kept, "model.safetensors").unwrap();
    let back = kept.tensor("w").unwrap().unwrap();
    assert_eq!((back.data_type, &back.shape, &*back.data), (DataType::Q8_0, &vec![2, 32], &*data));
    let plain = export_safetensors([tensor()], ExportType::As(DataType::F32)).unwrap();
    let plain = Safetensors::parse(&plain, "model.safetensors").unwrap();
    let mut want = vec![0.0; 64];
    dequantise_row(DataType::Q8_0, &data, 64, &mut want);
    assert_eq!(*plain.tensor("w").unwrap().unwrap().data, tiny_model::f32_bytes(&want));
}
