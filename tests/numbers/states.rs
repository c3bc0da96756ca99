//! What the engine tells of the states of a text is what the twin computes, and a kit made from them guesses as well as it says.

use std::fs;
use std::path::Path;

use isobath::draft::calibrate::Guess;
use isobath::draft::{Head, Recipe, make};
use isobath::engine::states::States;
use isobath::engine::{Engine, EngineOptions};
use isobath::error::Error;
use isobath::files::random::Random;
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::judge::{Judge, Sequence};
use isobath::network::config::ModelConfig;
use isobath::network::kit::{Kit, ModelFacts, fingerprint};
use isobath::network::plan::Plan;
use isobath::runtime::step::Depth;
use isobath::tensor::{TensorSource, values};
use isobath::text::Tokenizer;
use pollster::block_on;

const PLAIN: &str = r#"{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":40,"intermediate_size":48,
    "num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"vocab_size":837,
    "max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":false}"#;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny")
}

fn load(config: &ModelConfig, source: &dyn TensorSource, max_rows: u32, heads: u32) -> Engine {
    let tokenizer = Tokenizer::from_json(&fs::read(folder().join("tokenizer.json")).unwrap()).unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let options = EngineOptions { context: Some(64), max_rows, heads, ..EngineOptions::default() };
    block_on(Engine::load(gpu, config, source, tokenizer, options, &mut |_, _| {})).unwrap()
}

fn states(engine: &mut Engine, texts: &[Vec<u32>], depths: &[u32]) -> Vec<States> {
    let mut all = vec![];
    block_on(engine.states(texts, depths, &mut |text, states| {
        assert_eq!(text, all.len());
        all.push(states);
    }))
    .unwrap();
    all
}

fn texts() -> Vec<Vec<u32>> {
    [40, 13, 29].map(|length| (0..length).map(|i| (i * i * 31 + length) % 837).collect()).to_vec()
}

#[test]
fn states_are_those_of_the_twin_on_the_cpu() {
    let config = ModelConfig::from_json(PLAIN).unwrap();
    let (plan, source) = (Plan::of(&config).unwrap(), Random::new(&config, 7, true, 0));
    let twin = Judge::new(&config, &plan, &source, 64).unwrap();
    let (texts, depths) = (texts(), [1, 3]);
    let got = states(&mut load(&config, &source, 16, 11), &texts, &depths);
    let whole = states(&mut load(&config, &source, 64, 64), &texts, &depths);
    assert!(got == whole && got.len() == texts.len(), "pieces of any size give the same bits");
    let table = values(&source.tensor("model.embed_tokens.weight").unwrap().unwrap());
    let head = values(&source.tensor("lm_head.weight").unwrap().unwrap());
    for (text, states) in texts.iter().zip(&got) {
        let want = twin.run(&mut Sequence::default(), text, Depth::Fixed(4));
        for (row, token) in text.iter().enumerate() {
            let part = |numbers: &[f32]| numbers[row * 40..][..40].to_vec();
            let near = |got: &[f32], want: &[f32], what: &str| {
                let off = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
                assert!(off < 1e-3, "{what} of row {row}: off by {off}");
            };
            near(&part(&states.embedded), &table[*token as usize * 40..][..40], "embedding");
            for (depth, stream) in depths.iter().zip(&states.rounds) {
                near(&part(stream), &want.layers[&(depth - 1)].1[row], "stream");
            }
            let normed = part(&states.normed);
            let logits: Vec<f32> =
                head.chunks_exact(40).map(|head| head.iter().zip(&normed).map(|(a, b)| a * b).sum()).collect();
            near(&logits, &want.logits[row], "logits");
            assert!(Guess::of(logits.iter().copied(), states.best[row]).right, "the best token of row {row}");
        }
    }
}

#[test]
fn what_there_is_no_stream_of_is_refused() {
    let config = ModelConfig::from_json(PLAIN).unwrap();
    let mut engine = load(&config, &Random::new(&config, 7, true, 0), 16, 16);
    for depth in [0, 4] {
        let refused = block_on(engine.states(&texts(), &[depth], &mut |_, _| {}));
        assert!(matches!(&refused, Err(Error::Model(error)) if error.to_string().contains("between 1 and 3")));
    }
    let refused = block_on(engine.states(&[vec![1; 65]], &[1], &mut |_, _| {}));
    assert!(matches!(refused, Err(Error::Request(_))), "{refused:?}");
}

/// A kit for the small model that is bundled with the tests.
fn made(text: &str, exits: Vec<u32>) -> (Kit, Engine, Vec<Vec<u32>>) {
    let config = ModelConfig::from_json(&fs::read_to_string(folder().join("config.json")).unwrap()).unwrap();
    let bytes = fs::read(folder().join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let plan = Plan::of(&config).unwrap();
    let mut engine = load(&config, &source, 64, 64);
    let facts = ModelFacts::of(&config, plan.n_rounds(), &block_on(fingerprint(&config, &source)).unwrap());
    let head = block_on(Head::read(&source, 500, &plan.form)).unwrap();
    let tokens = engine.tokenizer().encode(text, true).unwrap();
    let windows: Vec<Vec<u32>> = tokens.chunks(64).filter(|window| window.len() == 64).map(<[u32]>::to_vec).collect();
    let recipe = Recipe { jump: true, exits, ridge: 1e-2 };
    let kit = block_on(make(&mut engine, facts, &head, &windows, &recipe, &mut |_, _| {})).unwrap();
    (kit, engine, windows)
}

#[test]
fn a_kit_says_what_its_parts_are_worth() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md")).unwrap();
    let (kit, mut engine, windows) = made(&text[..20_000], vec![2, 1]);
    assert_eq!(kit.exits.iter().map(|exit| exit.depth).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(kit.head_rows, 500);
    // What was held out, judged once more in plain loops.
    let held: Vec<Vec<u32>> = windows.iter().skip(9).step_by(10).cloned().collect();
    let states = states(&mut engine, &held, &[]);
    let config = engine.config().clone();
    let width = config.hidden_size as usize;
    let bytes = fs::read(folder().join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let head = values(&source.tensor("lm_head.weight").unwrap().unwrap());
    let jump = kit.jump.unwrap();
    let (mut right, mut all) = (0u64, 0u64);
    for states in &states {
        for row in 1..states.best.len() {
            let input =
                [&states.normed[(row - 1) * width..][..width], &states.embedded[row * width..][..width]].concat();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let rows = jump.weight.values.chunks_exact(2 * width).zip(&jump.bias.values);
            let state: Vec<f32> = rows.map(|(weight, bias)| dot(weight, &input) + bias).collect();
            let logits: Vec<f32> = head.chunks_exact(width).take(500).map(|head| dot(head, &state)).collect();
            right += u64::from(Guess::of(logits.into_iter(), states.best[row]).right);
            all += 1;
        }
    }
    let agreement = jump.calibration.agreement.unwrap();
    assert_eq!(jump.calibration.tokens, all);
    assert!((agreement - right as f64 / all as f64).abs() < 0.01, "{agreement}, not {right} of {all}");
    // The deeper, the nearer to the whole model.
    let exits: Vec<f64> = kit.exits.iter().map(|exit| exit.calibration.agreement.unwrap()).collect();
    assert!(exits[0] > 0.05 && exits[1] > exits[0], "{exits:?}");
}
