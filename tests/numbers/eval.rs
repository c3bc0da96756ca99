//! Scoring a text: equal to the twin on the CPU, the same in pieces of any size, and moved by depth and threshold.

use std::fs;
use std::path::Path;
use std::process::Command;

use isobath::engine::request::Request;
use isobath::engine::score::Score;
use isobath::engine::{Engine, EngineOptions};
use isobath::error::{Error, RequestError};
use isobath::eval::{Figures, Way, Windows, agreement};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::judge::{Judge, Sequence};
use isobath::kernels::draw::cross_entropy;
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::step::Depth;
use isobath::text::Tokenizer;
use pollster::block_on;

const TEXT: &str = "the sea and the light of the long night over the hill where nobody comes and the wind is low";

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny")
}

fn config() -> ModelConfig {
    ModelConfig::from_json(&fs::read_to_string(folder().join("config.json")).unwrap()).unwrap()
}

fn load(max_rows: u32, heads: u32) -> Engine {
    let tokenizer = Tokenizer::from_json(&fs::read(folder().join("tokenizer.json")).unwrap()).unwrap();
    let bytes = fs::read(folder().join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let options = EngineOptions { context: Some(128), max_rows, heads, ..EngineOptions::default() };
    block_on(Engine::load(gpu, &config(), &source, tokenizer, options, &mut |_, _| {})).unwrap()
}

fn tokens(engine: &Engine) -> Vec<u32> {
    engine.tokenizer().encode(TEXT, true).unwrap()
}

fn score(engine: &mut Engine, tokens: &[u32], depth: Depth) -> Vec<Score> {
    block_on(engine.score(tokens, depth)).unwrap()
}

#[test]
fn scores_are_those_of_the_twin_on_the_cpu() {
    let mut engine = load(128, 16);
    let tokens = tokens(&engine);
    let (config, bytes) = (config(), fs::read(folder().join("model.safetensors")).unwrap());
    let plan = Plan::of(&config).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let twin = Judge::new(&config, &plan, &source, 128).unwrap();
    for depth in [Depth::Model, Depth::Fixed(1), Depth::Fixed(3), Depth::Together] {
        let want = twin.run(&mut Sequence::default(), &tokens[..tokens.len() - 1], depth);
        let got = score(&mut engine, &tokens, depth);
        assert_eq!(got.len(), tokens.len() - 1);
        for (row, got) in got.iter().enumerate() {
            let judged = cross_entropy::cpu(&want.logits[row], tokens[row + 1] as usize);
            assert_eq!((got.position as usize, got.token), (row + 1, tokens[row + 1]));
            assert_eq!(got.depth, want.granted[row], "{depth:?}, row {row}");
            assert!((got.log_probability - judged.log_probability).abs() < 2e-4, "{depth:?}, row {row}: {got:?}");
            assert!((got.entropy - judged.entropy).abs() < 2e-4, "{depth:?}, row {row}: {got:?}");
            for (round, score) in got.scores.iter().enumerate() {
                assert!((score - want.scores[row][round]).abs() < 2e-4, "{depth:?}, row {row}, round {round}");
            }
        }
    }
}

#[test]
fn pieces_of_any_size_give_the_same_bits_and_so_does_what_was_written_before() {
    let mut whole = load(128, 128);
    let tokens = tokens(&whole);
    let want = score(&mut whole, &tokens, Depth::Model);
    for (max_rows, heads) in [(1, 1), (7, 3), (16, 16)] {
        let mut engine = load(max_rows, heads);
        let request = Request { ignore_end: true, ..Request::new(tokens[..5].to_vec(), 9) };
        block_on(engine.generate(&request, &mut |_| std::ops::ControlFlow::Continue(()))).unwrap();
        assert_eq!(score(&mut engine, &tokens, Depth::Model), want, "{max_rows} rows, {heads} heads");
    }
}

#[test]
fn thresholds_move_the_depth_from_one_end_to_the_other_and_back() {
    let mut engine = load(128, 128);
    let windows = Windows::of(engine.tokenizer(), None, TEXT, 16, None).unwrap();
    assert!(windows.windows.len() > 1);
    let mut judge = |way| {
        let scores = block_on(windows.judge(&mut engine, way, &mut |_| {})).unwrap();
        (Figures::of(way, &scores, engine.tokenizer(), 3), scores)
    };
    let (before, _) = judge(Way::Adaptive);
    let (all, full) = judge(Way::Threshold(-1e9));
    let (none, shallow) = judge(Way::Threshold(f32::INFINITY));
    let least = none.mean_depth;
    assert!((all.mean_depth, least) == (3.0, 1.0), "{all:?} {none:?}");
    let losses = |scores: &[Vec<Score>]| -> Vec<u32> {
        scores.iter().flatten().map(|score| score.log_probability.to_bits()).collect()
    };
    assert_eq!(losses(&full), losses(&judge(Way::Fixed(3)).1));
    assert_eq!(losses(&shallow), losses(&judge(Way::Fixed(1)).1));
    assert!(before.mean_depth > 1.0 && before.mean_depth < 3.0);
    assert_eq!(judge(Way::Adaptive).0, before);
    let (_, top_k) = judge(Way::TopK);
    let agrees = agreement(&engine, &top_k).unwrap();
    assert!((0.0..=1.0).contains(&agrees), "{agrees}");
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let mut engine = load(16, 1);
    let tokens = tokens(&engine);
    let refused = |engine: &mut Engine, tokens: &[u32], depth| match block_on(engine.score(tokens, depth)) {
        Err(Error::Request(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(&mut engine, &tokens[..1], Depth::Model), RequestError::EmptyPrompt));
    assert!(matches!(refused(&mut engine, &[0; 200], Depth::Model), RequestError::PromptTooLong { .. }));
    assert!(matches!(refused(&mut engine, &tokens[..20], Depth::Together), RequestError::PromptTooLong { .. }));
    assert!(matches!(refused(&mut engine, &[0, 1 << 20], Depth::Model), RequestError::TokenOutOfRange { .. }));
    assert!(matches!(refused(&mut engine, &tokens, Depth::Fixed(4)), RequestError::Setting { .. }));
    assert!(engine.set_thresholds(&[0.0]).is_err() && engine.set_thresholds(&[f32::NAN; 3]).is_err());
    engine.submit(Request::new(tokens.clone(), 2)).unwrap();
    assert!(matches!(refused(&mut engine, &tokens, Depth::Model), RequestError::Busy));
}

#[test]
fn the_command_judges_every_depth_and_writes_every_token() {
    let dir = tempfile::tempdir().unwrap();
    let (text, lines) = (dir.path().join("text.txt"), dir.path().join("tokens.jsonl"));
    fs::write(&text, TEXT).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .args(["eval", "--quiet", "--window", "16", "--sweep", "2", "--output", "json", "--tokens"])
        .args([&lines, &folder(), &text])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = told["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 1 + 3 + 1 + 2, "{told}");
    let lines: Vec<serde_json::Value> =
        fs::read_to_string(&lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, told["tokens"].as_u64().unwrap());
    let sum: f64 = lines.iter().map(|line| -line["log_probability"].as_f64().unwrap()).sum();
    assert!((sum / lines.len() as f64 - figures[0]["loss"].as_f64().unwrap()).abs() < 1e-9);
    let third: f64 = lines.iter().map(|line| -line["at_depth"]["3"].as_f64().unwrap()).sum();
    assert!((third / lines.len() as f64 - figures[3]["loss"].as_f64().unwrap()).abs() < 1e-9);
}
