//! Checkpoints under the names of the released code, with all duplicates, made from the golden cases.

use std::path::PathBuf;

use isobath::convert::facts::Facts;
use isobath::convert::import::{Imported, import};
use isobath::convert::training;
use isobath::error::ModelError;
use isobath::network::config::{ModelConfig, RouterKind, Sharing};
use isobath::runtime::step::Depth;
use isobath::tensor::{Tensor, TensorSource};
use serde_json::{Value, json};

use super::{farthest, logits, loose, says, tensors};
use crate::support::case::{Case, all};
use crate::support::golden_dir::golden_dir;

type Tensors = Vec<(String, Tensor<'static>)>;

fn official(case: &Case) -> Tensors {
    let folder: PathBuf = golden_dir().join(&case.name);
    let adapters = folder.join("lora.safetensors");
    let mut files = vec![folder.join("weights.safetensors")];
    files.extend(Some(adapters).filter(|path| path.is_file()));
    tensors(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

/// What the released code saves beside its weights: nothing that makes the model recursive.
fn config_json(case: &Case) -> String {
    let mut config = case.json["model"].clone();
    config["architectures"] = json!(["MoRLlamaForCausalLM"]);
    config["max_position_embeddings"] = json!(64);
    config.to_string()
}

/// The settings of its training; JSON is YAML.
fn training_yaml(case: &Case) -> String {
    let mut parts = json!({});
    for part in ["recursive", "kv_sharing", "relaxation", "mor"] {
        parts[part] = case.json[part].clone();
    }
    parts.to_string()
}

fn facts(yaml: &str, set: &[&str]) -> Facts {
    let mut facts = Facts::default();
    training::read(yaml, "train.yaml", &mut facts).unwrap();
    set.iter().for_each(|words| facts.add_words(words, "--set").unwrap());
    facts
}

fn flags(set: &[&str]) -> Facts {
    let mut facts = Facts::default();
    set.iter().for_each(|words| facts.add_words(words, "--set").unwrap());
    facts
}

/// Cases of the released code, without those that only repeat another's weights.
fn cases() -> Vec<Case> {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.acts.contains_key("prefill.logits")).collect();
    assert!(cases.len() >= 14, "golden cases are missing");
    cases
}

fn named(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

fn check_logits(case: &Case, config: &ModelConfig, source: &dyn TensorSource) {
    let expert = config.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert);
    let depth = if expert { Depth::Together } else { Depth::Model };
    let got = logits(config, source, &case.act("input_ids").indices(0), depth);
    let off = farthest(&got, &case.act("prefill.logits").row(0));
    assert!(off <= 1e-3, "{}: logits off by {off}", case.name);
}

#[test]
fn every_checkpoint_computes_what_it_did() {
    let mut sharings = Vec::new();
    for case in cases() {
        let source = loose(official(&case));
        let yaml = facts(&training_yaml(&case), &[]);
        let imported =
            import(&source, Some(&config_json(&case)), yaml).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(imported.config, case.config, "{}", case.name);
        check_logits(&case, &imported.config, &imported.source);
        let stored = imported.source.names().len();
        assert!(case.config.recursion.is_none() || stored < source.names().len(), "{}: nothing was shared", case.name);
        sharings.extend(case.config.recursion.map(|recursion| recursion.sharing));
    }
    for sharing in [Sharing::Cycle, Sharing::MiddleCycle, Sharing::Sequence] {
        assert!(sharings.contains(&sharing), "no case of {sharing:?}");
    }
}

/// What names and contents tell, without any settings.
#[test]
fn what_tensors_tell_is_inferred_and_said() {
    for case in cases() {
        let source = loose(official(&case));
        let scale = case.config.lora.map(|lora| format!("lora.scale={}", lora.scale));
        let set: Vec<&str> = scale.iter().map(String::as_str).collect();
        let imported = import(&source, Some(&config_json(&case)), flags(&set)).unwrap();
        assert_eq!(imported.config.recursion, case.config.recursion, "{}", case.name);
        assert_eq!(imported.config.n_layers, case.config.n_layers, "{}", case.name);
        let router = |config: &ModelConfig| {
            config.router.as_ref().map(|router| (router.kind, router.network, router.auxiliary, router.bias))
        };
        assert_eq!(router(&imported.config), router(&case.config), "{}", case.name);
        let told = imported.notes.join("\n");
        if case.config.router.is_some() {
            for words in ["recursion.count: ", "by the tensors' names", "by assumption", "; router.gating=VALUE or "] {
                assert!(told.contains(words), "{}: `{words}` is not in: {told}", case.name);
            }
        }
    }
}

/// `middle_sequence`, which no golden case has: contents alone tell it.
#[test]
fn repeated_contents_tell_how_layers_are_shared() {
    let case = named("vanilla");
    let plain = official(&case);
    for (sharing, count) in [
        (Sharing::MiddleSequence, 3),
        (Sharing::MiddleSequence, 2),
        (Sharing::Sequence, 4),
        (Sharing::Cycle, 2),
        (Sharing::MiddleCycle, 2),
    ] {
        let tied = tie(&plain, 8, |layer| sharing.unique(layer, 8, count));
        let source = loose(tied);
        let imported = import(&source, Some(&config_json(&case)), Facts::default()).unwrap();
        let found = imported.config.recursion.unwrap();
        assert_eq!((found.sharing, found.count), (sharing, count));
    }
    let source = loose(tie(&plain, 8, |layer| if layer == 5 { 2 } else { layer }));
    says(import(&source, Some(&config_json(&case)), Facts::default()), &["repeat as", "middle_sequence"]);
}

/// Layers with the tensors of others.
fn tie(plain: &Tensors, layers: u32, unique: impl Fn(u32) -> u32) -> Tensors {
    let mut tied: Tensors = plain.iter().filter(|(name, _)| !name.contains(".layers.")).cloned().collect();
    for layer in 0..layers {
        let from = format!("model.layers.{}.", unique(layer));
        for (name, tensor) in plain.iter().filter(|(name, _)| name.starts_with(&from)) {
            tied.push((name.replace(&from, &format!("model.layers.{layer}.")), tensor.clone()));
        }
    }
    tied
}

/// Between two commits the released code did not share the attention of expert-choice models.
#[test]
fn attention_that_differs_stays_apart() {
    let case = named("mor_expert_mcyc3_cache");
    let mut tensors = official(&case);
    let name = "model.layers.2.block.1.self_attn.q_proj.weight";
    let tensor = tensors.iter_mut().find(|(other, _)| other == name).unwrap();
    tensor.1.data.to_mut()[3] ^= 0x40;
    let changed = tensor.1.data.clone().into_owned();
    let source = loose(tensors);
    let imported = import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])).unwrap();
    let recursion = imported.config.recursion.unwrap();
    assert!(!recursion.share_attention && recursion.share_norms);
    // Layer 4 is recursion 1, place 1; its twins are 2 and 6.
    let of = |layer: u32| {
        let name = format!("model.layers.{layer}.self_attn.q_proj.weight");
        imported.source.tensor(&name).unwrap().unwrap().data.into_owned()
    };
    assert_eq!(of(4), changed);
    assert_ne!(of(2), of(4));
    assert_eq!(of(2), of(6));
    assert!(imported.notes.iter().any(|line| line.starts_with("recursion.share_attention: false")));
}

#[test]
fn names_of_peft() {
    let case = named("var_rrt_cycle_step_lora_r4");
    let theirs = |name: &str| {
        let name = match name.strip_suffix(".weight") {
            Some(stem) if name.contains(".lora_") => format!("{stem}.default.weight"),
            Some(stem) if name.contains("_proj.") => format!("{stem}.base_layer.weight"),
            _ => name.to_owned(),
        };
        format!("base_model.model.{name}")
    };
    let source = loose(official(&case).into_iter().map(|(name, tensor)| (theirs(&name), tensor)).collect());
    let imported = import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])).unwrap();
    assert_eq!(imported.config, case.config);
    check_logits(&case, &imported.config, &imported.source);
    says(
        import(&source, Some(&config_json(&case)), Facts::default()),
        &["adapters", "set lora.scale=X", "the training's settings"],
    );
}

/// A file from which the repeated tensors were left out is the same model, once it is said what repeats.
#[test]
fn repeated_tensors_may_be_left_out() {
    for name in ["rec_sequence", "mor_token_mcyc3_share", "mor_expert_mcyc3_cache"] {
        let case = named(name);
        let mut kept = Vec::<(String, Tensor<'static>)>::new();
        for (name, tensor) in official(&case) {
            let repeats = name.contains("mlp.") && kept.iter().any(|(_, other)| other.data == tensor.data);
            if !repeats {
                kept.push((name, tensor));
            }
        }
        let source = loose(kept);
        let imported = import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])).unwrap();
        check_logits(&case, &imported.config, &imported.source);
    }
    let case = named("rec_sequence");
    let kept = official(&case).into_iter().filter(|(name, _)| !name.starts_with("model.layers.1.mlp"));
    let source = loose(kept.collect());
    says(import(&source, Some(&config_json(&case)), flags(&["recursion=true"])), &["; set recursion.count=N"]);
}

#[test]
fn without_config_json_the_shapes_are_asked() {
    let case = named("mor_expert_mcyc3_cache");
    let source = loose(official(&case));
    let yaml = training_yaml(&case);
    says(import(&source, None, facts(&yaml, &[])), &["no config.json", "or set num_attention_heads=N"]);
    let imported = import(&source, None, facts(&yaml, &["num_attention_heads=4"])).unwrap();
    assert_eq!(imported.config.n_kv_heads, 2);
    check_logits(&case, &imported.config, &imported.source);
    assert!(imported.notes.iter().any(|line| line.contains("rope_theta: 10000.0, by assumption")));
}

#[test]
fn contradictions_name_both_sides() {
    let case = named("mor_expert_mcyc3_cache");
    let source = loose(official(&case));
    let with = |yaml: &str, set: &[&str]| -> Result<Imported<'_>, ModelError> {
        import(&source, Some(&config_json(&case)), facts(yaml, set))
    };
    let yaml = training_yaml(&case);
    let change = |part: &str, key: &str, value: Value| {
        let mut parts: Value = serde_json::from_str(&yaml).unwrap();
        parts[part][key] = value;
        parts.to_string()
    };
    let names = "the tensors' names";
    says(with(&change("recursive", "num_recursion", json!(2)), &[]), &["recursion.count", "2", "train.yaml", names]);
    says(with(&change("mor", "type", json!("token")), &[]), &["router.kind", "token", "expert", names]);
    says(with(&change("mor", "enable", json!(false)), &[]), &["router", "train.yaml (mor.enable)", names]);
    says(with(&change("mor", "router_type", json!("mlp")), &[]), &["router.network", "mlp", "linear"]);
    let mut facts = flags(&["router.alpha=0.5"]);
    says(training::read(&yaml, "train.yaml", &mut facts), &["router.alpha", "0.5 by --set", "0.1 by train.yaml"]);
    let shorter = config_json(&case).replace("\"num_hidden_layers\":8", "\"num_hidden_layers\":7");
    says(
        import(&source, Some(&shorter), flags(&[])),
        &["num_hidden_layers", "7 by config.json", "8 by the tensors' names"],
    );
}

#[test]
fn tensors_without_a_place_are_refused() {
    let case = named("mor_token_mcyc3_share");
    let mut tensors = official(&case);
    let extra = tensors[0].1.clone();
    tensors.push(("model.layers.1.extra.weight".into(), extra.clone()));
    let source = loose(tensors);
    says(
        import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])),
        &["model.layers.1.extra.weight", "no place"],
    );
    let mut tensors = official(&case);
    let damaged = tensors.iter_mut().find(|(name, _)| name.contains("block_list.2.0.mlp.up_proj")).unwrap();
    damaged.1.data.to_mut()[0] ^= 1;
    let source = loose(tensors);
    says(
        import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])),
        &["block_list.0.0.mlp.up_proj", "block_list.2.0.mlp.up_proj", "differ"],
    );
}

/// A head that equals the embedding is not stored twice.
#[test]
fn a_tied_head_is_dropped() {
    let case = named("mor_token_mcyc3_share");
    let mut tensors = official(&case);
    let embedding = tensors.iter().find(|(name, _)| name.contains("embed_tokens")).unwrap().1.clone();
    tensors.push(("lm_head.weight".into(), embedding));
    let source = loose(tensors);
    let imported = import(&source, Some(&config_json(&case)), facts(&training_yaml(&case), &[])).unwrap();
    assert!(!imported.source.names().contains(&"lm_head.weight".to_owned()));
}
