//! Guesses by the first layers, against an oracle that knows nothing of the engine: the same text, and in each round as many
//! guesses that hold (`tests/golden/exits`).

use std::fs;
use std::path::{Path, PathBuf};

use isobath::engine::drafters::{DraftSource, ExitSource, PathOrigin, PathSource, ReadoutSource};
use isobath::engine::event::Event;
use isobath::engine::guessing::Guesses;
use isobath::engine::request::Request;
use isobath::engine::{Engine, EngineOptions};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::tensor::{TensorSource, values};
use isobath::text::Tokenizer;
use pollster::block_on;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exits").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

fn load() -> Engine {
    let config = ModelConfig::from_json(&fs::read_to_string(golden("config.json")).unwrap()).unwrap();
    let bytes = fs::read(golden("weights.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "weights.safetensors").unwrap();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny/tokenizer.json");
    let tokenizer = Tokenizer::from_json(&fs::read(tokenizer).unwrap()).unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let options = EngineOptions { context: Some(96), guesses: 5, ..EngineOptions::default() };
    block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {})).unwrap()
}

/// Tokens, and of each round the guesses that held.
fn write(engine: &mut Engine, prompt: Vec<u32>, count: u32) -> (Vec<u32>, Vec<u32>) {
    engine.submit(Request { ignore_end: true, ..Request::new(prompt, count) }).unwrap();
    let (mut tokens, mut rounds, mut held) = (vec![], vec![], 0);
    while let Some((_, event)) = block_on(engine.next()).unwrap() {
        let Event::Token(token) = event else { continue };
        tokens.push(token.token);
        match token.guess {
            Some(guess) if guess.accepted => held += 1,
            // The prompt's own token is in no round.
            _ if tokens.len() == 1 => {}
            _ => rounds.push(std::mem::take(&mut held)),
        }
    }
    (tokens, rounds)
}

fn texts() -> Vec<(Vec<u32>, u32)> {
    let prompts = json("prompts.json");
    let each = prompts["prompts"].as_array().unwrap().iter().map(numbers);
    each.zip(numbers(&prompts["counts"])).collect()
}

#[test]
fn first_layers_guess_as_the_oracle_of_layer_skip_says() {
    let mut engine = load();
    for case in json("layerskip.json")["cases"].as_array().unwrap() {
        let setting = |name: &str| case["settings"][name].as_u64().unwrap() as u32;
        let (shallow, drafts) = (setting("shallow"), setting("drafts"));
        if drafts == 0 {
            continue;
        }
        let source = DraftSource::Path(PathSource::rounds(shallow));
        block_on(engine.set_drafting(&[source], Guesses::Fixed(drafts))).unwrap();
        for (sequence, (prompt, count)) in case["sequences"].as_array().unwrap().iter().zip(texts()) {
            let (tokens, rounds) = write(&mut engine, prompt, count);
            assert_eq!(tokens, numbers(&sequence["tokens"]), "{}", case["name"]);
            // The last round is cut where the text ends.
            let want = numbers(&sequence["accepted"]);
            let whole = rounds.len().min(want.len() - 1);
            assert_eq!(rounds[..whole], want[..whole], "{}", case["name"]);
            assert!(rounds.len() + 1 >= want.len(), "{rounds:?}, {want:?}");
        }
    }
}

#[test]
fn several_exits_write_the_text_of_the_oracle_of_dssd() {
    let mut engine = load();
    let bytes = fs::read(golden("weights.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "weights.safetensors").unwrap();
    let tensor = |name: String| values(&source.tensor(&name).unwrap().unwrap());
    for case in json("dssd.json")["cases"].as_array().unwrap() {
        let exits = [3u32, 5, 7].into_iter().enumerate().filter_map(|(head, rounds)| {
            let most_entropy = case["settings"]["thresholds"][rounds.to_string()].as_f64()? as f32;
            let (norm, weight) =
                (tensor(format!("heads.{head}.norm.weight")), tensor(format!("heads.{head}.linear.weight")));
            Some(ExitSource { rounds, readout: ReadoutSource::Head { norm, weight }, most_entropy })
        });
        let path = PathSource { from: PathOrigin::Exits(exits.collect()), head_rows: None, least_probability: 0.0 };
        let drafts = case["settings"]["drafts"].as_u64().unwrap() as u32;
        block_on(engine.set_drafting(&[DraftSource::Path(path)], Guesses::Fixed(drafts))).unwrap();
        let mut held = 0;
        for (sequence, (prompt, count)) in case["sequences"].as_array().unwrap().iter().zip(texts()) {
            let first = prompt.len();
            engine.submit(Request { ignore_end: true, ..Request::new(prompt, count) }).unwrap();
            let (mut tokens, mut told) = (vec![], vec![]);
            while let Some((_, event)) = block_on(engine.next()).unwrap() {
                let Event::Token(token) = event else { continue };
                tokens.push(token.token);
                told.extend(token.guess.map(|guess| (token.position as usize - first, guess.token, guess.accepted)));
            }
            let want = numbers(&sequence["tokens"]);
            assert_eq!(tokens, want, "{}", case["name"]);
            // A round of the oracle that no head ends takes the whole model's word for a guess, so its rounds begin elsewhere.
            assert!(told.iter().all(|(place, token, accepted)| *accepted == (want[*place] == *token)), "{told:?}");
            held += told.iter().filter(|guess| guess.2).count();
        }
        assert!(held > 10, "{}: {held} guesses held", case["name"]);
    }
}
