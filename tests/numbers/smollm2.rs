//! SmolLM2-135M-Instruct as GGUF Q4_1 against Hugging Face transformers (see the golden vectors' README for tolerances).

use std::fs;
use std::ops::ControlFlow;

use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::{Request, Routing, Sampling};
use isobath::engine::{Engine, EngineOptions};
use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Safetensors;
use isobath::files::write::{ExportType, export_folder};
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Probe, Step};
use isobath::runtime::weights::{Loader, Weights};
use isobath::tensor::{DataType, TensorSource};
use isobath::text::Tokenizer;
use pollster::block_on;
use serde_json::Value;

use crate::support::{golden_dir, smollm2};

/// The oracle's weights were rounded once to f16.
const TOLERANCE: f32 = 0.05;

struct Golden {
    json: Value,
    bytes: Vec<u8>,
}

impl Golden {
    fn read() -> Self {
        let folder = golden_dir::golden_dir().join("smollm2");
        let read =
            |name: &str| fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{folder:?}/{name}: {error}"));
        Self { json: serde_json::from_slice(&read("golden.json")).unwrap(), bytes: read("golden.safetensors") }
    }

    /// The set that is checked in leaves out what is large.
    fn has(&self, name: &str) -> bool {
        safetensors::SafeTensors::deserialize(&self.bytes).unwrap().names().contains(&name)
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn ids(&self, prompt: usize, key: &str) -> Vec<u32> {
        self.json["prompts"][prompt][key].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }

    fn prompts(&self) -> usize {
        self.json["prompts"].as_array().unwrap().len()
    }
}

fn open() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs a GPU adapter")
}

struct Loaded {
    gpu: Gpu,
    config: ModelConfig,
    plan: Plan,
    weights: Weights,
    state: State,
}

impl Loaded {
    fn new(config: ModelConfig, source: &dyn TensorSource) -> Self {
        let gpu = open();
        let plan = Plan::of(&config).unwrap();
        let weights = block_on(Loader::new(&gpu, &config, source, &mut |_, _| {}).unwrap().load(&plan)).unwrap();
        let room =
            Room { lanes: 1, context: 128, rows: 64, heads: 5, cache_tokens: u32::MAX, alternatives: 0, span: 1 };
        let state = block_on(State::new(&gpu, &config, &plan, &weights, room)).unwrap();
        Self { gpu, config, plan, weights, state }
    }

    /// Logits of the last `heads` rows of a prompt.
    fn logits(&self, ids: &[u32], heads: u32, depth: Depth, probe: Option<&mut Probe>) -> Vec<f32> {
        let input = |(i, &token): (usize, &u32)| Input { lane: 0, position: i as u32, token, written: false };
        let inputs: Vec<Input> = ids.iter().enumerate().map(input).collect();
        let heads: Vec<u32> = (inputs.len() as u32 - heads..inputs.len() as u32).collect();
        let Self { gpu, config, plan, weights, state } = self;
        let network = Network { gpu, config, plan, weights, state, recipe: &state.recipe };
        network.step(&Step { inputs: &inputs, heads: &heads, depth, sample: false }, probe).unwrap();
        let n = heads.len() as u64 * u64::from(config.vocab_size);
        block_on(gpu.read(&state.rows.logits, 0..n)).unwrap()
    }
}

fn close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst =
        got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, |a: f32, b| if b.is_nan() { b } else { a.max(b) });
    eprintln!("{what}: off by {worst}");
    assert!(worst <= tolerance, "{what}: off by {worst}, allowed {tolerance}");
}

#[test]
fn logits_and_hidden_states() {
    let golden = Golden::read();
    let bytes = fs::read(smollm2::gguf()).unwrap();
    let gguf = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let loaded = Loaded::new(gguf.config().unwrap(), &gguf);
    for prompt in 0..golden.prompts() {
        let got = loaded.logits(&golden.ids(prompt, "ids"), 1, Depth::Model, None);
        close(&format!("prompt {prompt}"), &got, &golden.floats(&format!("p{prompt}.logits_last")), TOLERANCE);
    }
    let ids = golden.ids(1, "ids");
    let mut probe = Probe::default();
    let all = loaded.logits(&ids, ids.len() as u32, Depth::Model, Some(&mut probe));
    if golden.has("p1.logits_all") {
        close("all logits of prompt 1", &all, &golden.floats("p1.logits_all"), TOLERANCE);
    }
    let (width, layers) = (loaded.config.hidden_size as usize, loaded.config.n_layers as usize);
    let hidden = golden.floats("p1.hidden_residual");
    let exits = golden.has("p1.exit_logits_last").then(|| golden.floats("p1.exit_logits_last"));
    let vocabulary = loaded.config.vocab_size as usize;
    for depth in 0..=layers {
        let name = if depth == 0 { "embed".to_owned() } else { format!("layer{}", depth - 1) };
        let (_, copy, _) = probe.copies.iter().find(|(known, ..)| *known == name).unwrap();
        let n = ids.len() * width;
        let got: Vec<f32> = block_on(loaded.gpu.read(copy, 0..n as u64)).unwrap();
        let want = &hidden[depth * n..][..n];
        let norm =
            |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let off = norm(&mut got.iter().zip(want).map(|(g, w)| g - w)) / norm(&mut want.iter().copied());
        assert!(off <= 0.01, "hidden state behind {depth} layers: off by {off} of its norm");
        // A plain stack left early: the head behind every depth.
        let Some(exits) = &exits else { continue };
        let got = loaded.logits(&ids, 1, Depth::Fixed(depth as u32), None);
        close(&format!("exit at depth {depth}"), &got, &exits[depth * vocabulary..][..vocabulary], TOLERANCE);
    }
}

/// Greedy tokens of a prompt, end-of-sequence ignored.
fn greedy(engine: &mut Engine, prompt: Vec<u32>, max_tokens: u32) -> (Vec<u32>, String) {
    let request = Request {
        prompt,
        max_tokens,
        sampling: Sampling::GREEDY,
        stop: vec![],
        ignore_end: true,
        depth: None,
        routing: Routing::Threshold,
        priority: 0,
    };
    let (mut tokens, mut text) = (vec![], String::new());
    let mut sink = |event: &Event| {
        match event {
            Event::Token(token) => {
                tokens.push(token.token);
                text.push_str(&token.text);
                assert_eq!(token.depth, 30);
            }
            Event::Finished { text: rest, .. } => text.push_str(rest),
            Event::Prefill { .. } => {}
        }
        ControlFlow::Continue(())
    };
    let reason = block_on(engine.generate(&request, &mut sink)).unwrap();
    assert_eq!(reason, FinishReason::Length);
    (tokens, text)
}

/// Compares with the oracle's continuation; where two tokens were too close to call, goes on from the oracle's.
fn check_greedy(engine: &mut Engine, golden: &Golden, prompt: usize, tokens: usize) {
    let (ids, want) = (golden.ids(prompt, "ids"), golden.ids(prompt, "greedy32"));
    let margins = golden.floats(&format!("p{prompt}.greedy_margin"));
    let mut done = 0;
    while done < tokens {
        let start: Vec<u32> = ids.iter().chain(&want[..done]).copied().collect();
        let (got, text) = greedy(engine, start, (tokens - done) as u32);
        match got.iter().zip(&want[done..]).position(|(got, want)| got != want) {
            None if done == 0 && tokens == want.len() => {
                return assert_eq!(text, golden.json["prompts"][prompt]["greedy_text"].as_str().unwrap());
            }
            None => return,
            Some(at) => {
                let margin = margins[done + at];
                assert!(margin < TOLERANCE, "prompt {prompt} token {}: margin {margin}", done + at);
                eprintln!("prompt {prompt} token {}: decided by {margin}, taken from the oracle", done + at);
                done += at + 1;
            }
        }
    }
}

#[test]
fn tokenizer_and_greedy_continuations() {
    let golden = Golden::read();
    let bytes = fs::read(smollm2::gguf()).unwrap();
    let gguf = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let tokenizer = Tokenizer::from_vocabulary(gguf.vocabulary().unwrap()).unwrap();
    for prompt in 0..golden.prompts() {
        let text = golden.json["prompts"][prompt]["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode_prompt(text, true).unwrap(), golden.ids(prompt, "ids"));
    }
    let options = EngineOptions { context: Some(128), ..EngineOptions::default() };
    let config = gguf.config().unwrap();
    let mut engine = block_on(Engine::load(open(), &config, &gguf, tokenizer, options, &mut |_, _| {})).unwrap();
    for prompt in 0..golden.prompts() {
        check_greedy(&mut engine, &golden, prompt, 32);
    }
}

/// What 32 lanes could fill is more than a binding shows and more than anybody wants set aside.
#[test]
fn any_number_of_lanes_opens_with_default_settings_and_writes_the_same() {
    let bytes = fs::read(smollm2::gguf()).unwrap();
    let gguf = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let config = gguf.config().unwrap();
    let prompts = ["The sea is", "Water boils at", "My name is"];
    let written = |lanes: u32| {
        let tokenizer = Tokenizer::from_vocabulary(gguf.vocabulary().unwrap()).unwrap();
        let gpu = open().limited(128 << 20, u64::MAX);
        let options = EngineOptions { lanes, ..EngineOptions::default() };
        let mut engine = block_on(Engine::load(gpu, &config, &gguf, tokenizer, options, &mut |_, _| {})).unwrap();
        assert_eq!((engine.lanes(), engine.cuts().len()), (lanes, 0));
        let cache = engine.memory().cache;
        assert!(cache.bytes <= 1 << 30 && cache.sequences(engine.context()) >= lanes.min(5), "{cache:?}");
        let mut texts = std::collections::BTreeMap::new();
        for prompt in prompts {
            let prompt = engine.tokenizer().encode_prompt(prompt, true).unwrap();
            texts
                .insert(engine.submit(Request { ignore_end: true, ..Request::new(prompt, 5) }).unwrap(), String::new());
        }
        while let Some((id, event)) = block_on(engine.next()).unwrap() {
            if let Event::Token(token) = event {
                texts.get_mut(&id).unwrap().push_str(&token.text);
            }
        }
        texts.into_values().collect::<Vec<_>>()
    };
    let one = written(1);
    for lanes in [8, 32, 64] {
        assert_eq!(written(lanes), one, "{lanes} lanes");
    }
}

#[test]
fn exported_folder_gives_the_same() {
    let golden = Golden::read();
    let bytes = fs::read(smollm2::gguf()).unwrap();
    let gguf = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let tokenizer = Tokenizer::from_vocabulary(gguf.vocabulary().unwrap()).unwrap();
    let tokenizer = Tokenizer::from_json(tokenizer.to_json().unwrap().as_bytes()).unwrap();
    let (config, tensors) = export_folder(&gguf.config().unwrap(), &gguf, ExportType::As(DataType::F16)).unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let folder = Safetensors::parse(&tensors, "model.safetensors").unwrap();
    let loaded = Loaded::new(config.clone(), &folder);
    for prompt in [1, 4] {
        // These are the oracle's own weights, so only the order of sums differs.
        let got = loaded.logits(&golden.ids(prompt, "ids"), 1, Depth::Model, None);
        close(&format!("prompt {prompt} from f16"), &got, &golden.floats(&format!("p{prompt}.logits_last")), 1e-3);
    }
    let options = EngineOptions { context: Some(128), ..EngineOptions::default() };
    let mut engine = block_on(Engine::load(open(), &config, &folder, tokenizer, options, &mut |_, _| {})).unwrap();
    check_greedy(&mut engine, &golden, 0, 8);
}
