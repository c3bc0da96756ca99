//! Gates of one's own: thresholds by a type, rules in WGSL; depths are those that the rule says, in any company.

use std::fs;
use std::path::Path;

use isobath::depth::policy::{AsTrained, ExitPolicy, Thresholds};
use isobath::engine::event::{Event, TokenEvent};
use isobath::engine::{Engine, EngineOptions, request::Request};
use isobath::error::{Error, GpuError, RequestError};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::{Gpu, SharedDevice};
use isobath::network::config::ModelConfig;
use isobath::runtime::tick::Order;
use isobath::text::Tokenizer;
use pollster::block_on;

const TOKENS: u32 = 24;

/// Goes on while the score rises by at least this from round to round; the second round is free.
struct Rising(f32);

impl ExitPolicy for Rising {
    fn threshold(&self, _round: u32) -> f32 {
        self.0
    }

    fn rule(&self) -> &'static str {
        "fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool {
            return round == 1u || score - previous >= threshold;
        }"
    }
}

/// Writes where it has no business.
struct Reaching;

impl ExitPolicy for Reaching {
    fn threshold(&self, _round: u32) -> f32 {
        0.0
    }

    fn rule(&self) -> &'static str {
        "fn goes_on(score: f32, previous: f32, threshold: f32, round: u32) -> bool {
             granted[0].rounds = 4000000000u;
             return true;
         }"
    }
}

/// No WGSL.
struct Broken;

impl ExitPolicy for Broken {
    fn threshold(&self, _round: u32) -> f32 {
        0.0
    }

    fn rule(&self) -> &'static str {
        "fn goes_on(score: f32) -> bool { return maybe; }"
    }
}

fn engine(device: &SharedDevice, lanes: u32, order: Option<Order>) -> Engine {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let config = ModelConfig::from_json(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let options = EngineOptions { context: Some(64), lanes, order, ..EngineOptions::default() };
    let gpu = Gpu::on(device.clone());
    block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {})).unwrap()
}

fn device() -> SharedDevice {
    block_on(SharedDevice::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs an adapter")
}

/// What a sequence that begins with `first` writes, alone or beside others.
fn write(engine: &mut Engine, firsts: &[u32]) -> Vec<Vec<TokenEvent>> {
    let request = |first: u32| Request { ignore_end: true, ..Request::new(vec![first, first + 1], TOKENS) };
    let ids: Vec<_> = firsts.iter().map(|first| engine.submit(request(*first)).unwrap()).collect();
    let mut written = vec![vec![]; firsts.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            written[ids.iter().position(|other| *other == id).unwrap()].push(token);
        }
    }
    written
}

/// The rounds that a rule grants by the scores that were told.
fn granted(scores: &[f32], rounds: u32, goes_on: impl Fn(f32, f32, u32) -> bool) -> u32 {
    let mut depth = 1;
    while depth < rounds && goes_on(scores[depth as usize], scores[depth as usize - 1], depth) {
        depth += 1;
    }
    depth
}

#[test]
fn depths_are_those_that_the_rule_says() {
    let mut engine = engine(&device(), 1, None);
    let rounds = engine.plan().n_rounds();
    block_on(engine.set_policy(&AsTrained)).unwrap();
    let trained = write(&mut engine, &[5]).remove(0);
    assert!(trained.iter().all(|token| token.depth == granted(&token.scores, rounds, |score, _, _| score >= 0.0)));
    let middle = trained[TOKENS as usize / 2].scores[1];

    block_on(engine.set_policy(&Thresholds(vec![0.0, middle]))).unwrap();
    let moved = write(&mut engine, &[5]).remove(0);
    assert!(moved.iter().all(|token| token.depth == granted(&token.scores, rounds, |score, _, _| score >= middle)));
    assert_ne!(moved, trained);

    let mut seen = vec![];
    for least in [-1e9, 0.0, 1e9] {
        block_on(engine.set_policy(&Rising(least))).unwrap();
        for token in write(&mut engine, &[5]).remove(0) {
            let rule = |score: f32, previous: f32, round: u32| round == 1 || score - previous >= least;
            assert_eq!(token.depth, granted(&token.scores, rounds, rule), "{least}: {token:?}");
            seen.push(token.depth);
        }
    }
    assert!((2..=rounds).all(|depth| seen.contains(&depth)), "{seen:?}");
    block_on(engine.set_policy(&AsTrained)).unwrap();
    assert_eq!(write(&mut engine, &[5]).remove(0), trained, "the model's own comes back");
}

#[test]
fn company_changes_nothing_under_a_rule_of_ones_own() {
    let device = device();
    let firsts: Vec<u32> = (3..14).collect();
    let mut alone = engine(&device, 1, None);
    block_on(alone.set_policy(&Rising(0.0))).unwrap();
    let want: Vec<Vec<TokenEvent>> = firsts.iter().map(|first| write(&mut alone, &[*first]).remove(0)).collect();
    for order in [Order::Waves, Order::Mixed] {
        let mut together = engine(&device, 4, Some(order));
        block_on(together.set_policy(&Rising(0.0))).unwrap();
        assert_eq!(write(&mut together, &firsts), want, "{order:?}");
    }
}

#[test]
fn a_rule_that_is_no_wgsl_is_refused_and_the_one_before_it_stays() {
    let mut engine = engine(&device(), 1, None);
    block_on(engine.set_policy(&Rising(0.0))).unwrap();
    let before = write(&mut engine, &[7]);
    match block_on(engine.set_policy(&Broken)) {
        Err(Error::Gpu(GpuError::Pipeline { kernel, why })) => {
            assert!(kernel == "scorer" && why.contains("maybe"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    // Nor one that reaches for what is the kernel's.
    match block_on(engine.set_policy(&Reaching)) {
        Err(Error::Gpu(GpuError::Pipeline { kernel, why })) => {
            assert!(kernel == "rule_alone" && why.contains("granted"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(write(&mut engine, &[7]), before);
    let outcome = block_on(engine.set_policy(&Thresholds(vec![f32::NAN])));
    assert!(matches!(outcome, Err(Error::Request(RequestError::Setting { name: "threshold", .. }))), "{outcome:?}");
    assert_eq!(write(&mut engine, &[7]), before);
}

#[test]
fn a_policy_that_moves_while_a_sequence_is_written_leaves_nothing_to_later_prompts() {
    let device = device();
    let rest = |engine: &mut Engine| {
        let mut written = vec![];
        while let Some((_, event)) = block_on(engine.next()).unwrap() {
            if let Event::Token(token) = event {
                written.push(token);
            }
        }
        written
    };
    let write = |engine: &mut Engine, prompt: &[u32], tokens: u32| {
        engine.submit(Request { ignore_end: true, ..Request::new(prompt.to_vec(), tokens) }).unwrap();
    };
    let shallow = Thresholds(vec![0.0, 1e9]);
    let begin: Vec<u32> = (3..23).collect();

    // The first block of the prefix cache is full, 32 tokens, only after the policy has moved.
    // With pages for two, so that one that is shared can be copied.
    let mut moved = engine(&device, 2, None);
    write(&mut moved, &begin, 24);
    let mut told = vec![];
    while told.len() < 3 {
        if let (_, Event::Token(token)) = block_on(moved.next()).unwrap().unwrap() {
            told.push(token);
        }
    }
    block_on(moved.set_policy(&shallow)).unwrap();
    told.extend(rest(&mut moved));
    let later: Vec<u32> = begin.iter().copied().chain(told.iter().map(|token| token.token)).collect();

    let mut fresh = engine(&device, 1, None);
    write(&mut fresh, &later, 20);
    let trained = rest(&mut fresh);
    block_on(fresh.set_policy(&shallow)).unwrap();
    write(&mut fresh, &later, 20);
    let want = rest(&mut fresh);
    assert_ne!(want, trained, "the policies differ in what they compute");
    let mut fresh = engine(&device, 1, None);
    block_on(fresh.set_policy(&shallow)).unwrap();
    write(&mut fresh, &later, 20);
    assert_eq!(rest(&mut fresh), want, "what was kept under the policy before is not read");

    write(&mut moved, &later, 20);
    assert_eq!(rest(&mut moved), want, "nothing is read of a sequence that both policies wrote");
    let before = moved.schedule().prefix_hit_tokens;
    write(&mut moved, &later, 20);
    assert_eq!(rest(&mut moved), want);
    assert_eq!(moved.schedule().prefix_hit_tokens, before + 32, "what the new policy alone computed is shared");
}
