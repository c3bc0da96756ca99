//! Dense models made recursive: as the released code does it, and back again.

use isobath::convert::recursive::{Recipe, Recursive, Start};
use isobath::convert::unrolled::Unrolled;
use isobath::files::random::Random;
use isobath::files::safetensors::Safetensors;
use isobath::files::write::{ExportType, folder};
use isobath::network::config::{ModelConfig, Sharing};
use isobath::network::names::{self, Linear};
use isobath::runtime::step::Depth;
use isobath::tensor::{DataType, TensorSource, values};
use serde_json::json;

use super::{farthest, logits, loose, says, tensors};
use crate::support::case::{Case, all};
use crate::support::golden_dir::golden_dir;

/// The plain model that a case was made from.
fn dense_config(case: &Case) -> ModelConfig {
    let mut config = case.config.clone();
    (config.recursion, config.lora) = (None, None);
    config
}

fn recipe(case: &Case) -> Recipe {
    let recursion = case.config.recursion.unwrap();
    let start = match case.json["recursive"]["initialization"].as_str().unwrap() {
        "stepwise" => Start::Stepwise,
        "average" => Start::Average,
        "lower" => Start::Lower,
        other => panic!("{other}"),
    };
    let rank = if case.name.contains("full_rank") { 9999 } else { 4 };
    Recipe { count: recursion.count, sharing: recursion.sharing, start, share_norms: true, rank }
}

fn numbers(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    values(&source.tensor(name).unwrap().unwrap_or_else(|| panic!("no {name}")))
}

/// B A, `[out, in]`.
fn product(config: &ModelConfig, source: &dyn TensorSource, layer: u32, linear: Linear) -> Vec<f32> {
    let (a, b) = (names::lora_a(layer, linear), names::lora_b(layer, linear));
    let [out, input] = linear.shape(config);
    let (a, b) = (numbers(source, &a), numbers(source, &b));
    let rank = a.len() / input;
    assert_eq!(b.len(), out * rank);
    let dot = |row: usize, column: usize| (0..rank).map(|r| b[row * rank + r] * a[r * input + column]).sum();
    (0..out * input).map(|at| dot(at / input, at % input)).collect()
}

#[test]
fn conversion_equals_the_released_code() {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.config.lora.is_some()).collect();
    let mut seen = 0;
    for case in &cases {
        let path = golden_dir().join(&case.name).join("pretrained_untied.safetensors");
        let dense = loose(tensors(&[&path]));
        let made = Recursive::new(&dense_config(case), &dense, recipe(case)).unwrap();
        assert_eq!(made.config().recursion, case.config.recursion, "{}", case.name);
        for layer in 0..made.config().n_layers {
            for linear in Linear::ALL {
                let what = format!("{} layer {layer} {linear:?}", case.name);
                let shared = names::linear(made.config(), layer, linear);
                assert_eq!(numbers(&made, &shared), numbers(&case.source, &shared), "{what}");
                let (ours, theirs) =
                    (product(made.config(), &made, layer, linear), product(made.config(), &case.source, layer, linear));
                assert!(farthest(&ours, &theirs) < 1e-4, "{what}: off by {}", farthest(&ours, &theirs));
            }
        }
        // Their scale is ours where they did not double the residual.
        if case.config.lora.unwrap().scale == 1.0 {
            let tokens = case.act("input_ids").indices(0);
            let got = logits(made.config(), &made, &tokens, Depth::Model);
            let off = farthest(&got, &case.act("prefill.logits").row(0));
            assert!(off <= 1e-3, "{}: logits off by {off}", case.name);
            seen += 1;
        }
    }
    assert!(cases.len() >= 3 && seen >= 2, "golden cases are missing: {} and {seen}", cases.len());
}

/// A small plain model with random weights, norms among them.
fn plain(layers: u32) -> ModelConfig {
    let json = json!({
        "model_type": "llama", "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": layers,
        "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 50,
    });
    ModelConfig::from_json(&json.to_string()).unwrap()
}

const TOKENS: [u32; 12] = [1, 7, 3, 9, 49, 0, 2, 2, 31, 18, 40, 5];

#[test]
fn full_rank_gives_the_dense_model_back() {
    let config = plain(8);
    let dense = Random::new(&config, 5, true, 0);
    let want = logits(&config, &dense, &TOKENS, Depth::Model);
    for (sharing, count) in
        [(Sharing::Cycle, 2), (Sharing::Sequence, 4), (Sharing::MiddleCycle, 3), (Sharing::MiddleSequence, 2)]
    {
        for start in [Start::Stepwise, Start::Average, Start::Lower, Start::Upper] {
            let what = format!("{sharing:?} {count} {start:?}");
            let recipe = Recipe { count, sharing, start, share_norms: false, rank: 9999 };
            let made = Recursive::new(&config, &dense, recipe).unwrap();
            // As it is written and read again.
            let (json, file) = folder(made.config(), &made, ExportType::As(DataType::F32)).unwrap();
            let bytes = file.to_bytes().unwrap();
            let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
            let made_config = ModelConfig::from_json(&json).unwrap();
            assert_eq!(&made_config, made.config());
            let off = farthest(&logits(&made_config, &file, &TOKENS, Depth::Model), &want);
            assert!(off < 1e-3, "{what}: off by {off}");
            let back = Unrolled::new(&made_config, &file).unwrap();
            assert_eq!(back.config(), &config);
            for name in dense.names() {
                let off = farthest(&numbers(&back, &name), &numbers(&dense, &name));
                assert!(off < 1e-6, "{what} {name}: off by {off}");
            }
            assert!(farthest(&logits(&config, &back, &TOKENS, Depth::Model), &want) < 1e-3, "{what}");
            // Without adapters it is another model.
            let bare = Recursive::new(&config, &dense, Recipe { rank: 0, ..recipe }).unwrap();
            assert!(farthest(&logits(bare.config(), &bare, &TOKENS, Depth::Model), &want) > 0.1, "{what}");
        }
    }
}

#[test]
fn higher_ranks_come_closer() {
    let config = plain(6);
    let dense = Random::new(&config, 6, true, 0);
    let name = "model.layers.4.mlp.up_proj.weight";
    let lost = |rank| {
        let recipe = Recipe { count: 3, sharing: Sharing::Cycle, start: Start::Average, share_norms: true, rank };
        let made = Recursive::new(&config, &dense, recipe).unwrap();
        let back = Unrolled::new(made.config(), &made).unwrap();
        numbers(&back, name).iter().zip(numbers(&dense, name)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    let lost: Vec<f64> = [0, 2, 8, 20].map(lost).to_vec();
    assert!(lost.windows(2).all(|pair| pair[1] < pair[0]), "{lost:?}");
}

#[test]
fn layers_that_do_not_divide_are_picked() {
    let config = plain(9);
    let dense = Random::new(&config, 7, true, 0);
    let recipe = Recipe { count: 3, sharing: Sharing::MiddleCycle, start: Start::Lower, share_norms: true, rank: 0 };
    let made = Recursive::new(&config, &dense, recipe).unwrap();
    assert_eq!(made.picked(), [0, 1, 2, 3, 5, 6, 7, 8], "1..7 at six even places");
    assert_eq!(made.config().n_layers, 8);
    let of = |name: &str| numbers(&made, name);
    assert_eq!(of("model.layers.7.mlp.up_proj.weight"), numbers(&dense, "model.layers.8.mlp.up_proj.weight"));
    assert_eq!(of("model.layers.2.mlp.up_proj.weight"), numbers(&dense, "model.layers.2.mlp.up_proj.weight"));
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let config = plain(6);
    let dense = Random::new(&config, 8, true, 0);
    let recipe = Recipe { count: 3, sharing: Sharing::Cycle, start: Start::Lower, share_norms: true, rank: 0 };
    let made = Recursive::new(&config, &dense, recipe).unwrap();
    says(Recursive::new(made.config(), &made, recipe), &["recursive model", "unroll"]);
    says(Recursive::new(&config, &dense, Recipe { count: 1, ..recipe }), &["recursions is 1", "2 to 64"]);
    says(Recursive::new(&config, &dense, Recipe { count: 7, ..recipe }), &["6 layers", "7 recursions"]);
    says(Unrolled::new(&config, &dense), &["not recursive"]);
    let routed = all().into_iter().find(|case| case.config.router.is_some()).unwrap();
    says(Unrolled::new(&routed.config, &routed.source), &["router"]);
}
