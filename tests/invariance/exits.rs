//! Tokens that leave early: what a sequence writes, how deep, and with which probabilities is the same to the bit alone and in company,
//! with its prompt in pieces, after pages ran out, and whether or not prompts share what was computed.

use std::fs;
use std::path::Path;

use isobath::engine::event::{Event, TokenEvent};
use isobath::engine::guessing::{DraftSource, Guesses};
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions};
use isobath::error::{Error, RequestError};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::gpu::device::SharedDevice;
use isobath::network::config::ModelConfig;
use isobath::network::exit::{ExitChoice, ExitMode, ExitProbe, Learnt};
use isobath::network::plan::MissingKeys;
use isobath::text::tokenizer::Tokenizer;
use pollster::block_on;

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)).unwrap()
}

fn device() -> SharedDevice {
    block_on(SharedDevice::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs an adapter")
}

fn load(device: &SharedDevice, folder: &str, weights: &str, options: EngineOptions) -> Engine {
    let config = String::from_utf8(file(&format!("{folder}/config.json"))).unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let bytes = file(&format!("{folder}/{weights}"));
    let source = Safetensors::parse(&bytes, weights).unwrap();
    let tokenizer = Tokenizer::from_json(&file("models/tiny/tokenizer.json")).unwrap();
    let options = EngineOptions { context: Some(128), ..options };
    block_on(Engine::load(Gpu::on(device.clone()), &config, &source, tokenizer, options, &mut |_, _| {})).unwrap()
}

fn plain(device: &SharedDevice, options: EngineOptions) -> Engine {
    load(device, "golden/exits", "weights.safetensors", options)
}

fn probes(threshold: f32) -> Option<Vec<ExitProbe>> {
    Some([1, 3, 4, 7].map(|depth| ExitProbe { depth, threshold }).to_vec())
}

/// Modes with keys made from the last state and without any, by each kind of measure.
fn modes() -> Vec<ExitChoice> {
    let choice = |mode, threshold, missing| ExitChoice {
        probes: probes(threshold),
        missing: Some(missing),
        ..ExitChoice::new(mode)
    };
    let weight = (0..64).map(|i| ((i * 37) % 64) as f32 / 64.0 - 0.5).collect();
    vec![
        choice(ExitMode::CalmGap, 0.5, MissingKeys::Propagated),
        choice(ExitMode::CalmMax, 0.6, MissingKeys::Holes),
        choice(ExitMode::CalmState, 0.9, MissingKeys::Holes),
        ExitChoice {
            learnt: Learnt::Meta { weight, bias: -0.2 },
            ..choice(ExitMode::CalmMeta, 0.6, MissingKeys::Propagated)
        },
    ]
}

/// Seven requests, longer and shorter than a page, every other one drawn by chance; one runs three layers for all its tokens.
fn requests() -> Vec<Request> {
    let request = |i: u32| {
        let prompt = (0..[40, 3, 70, 33, 1, 12, 25][i as usize]).map(|place| (place * 31 + i * 7 + 11) % 300).collect();
        let chance = Sampling { temperature: 0.9, top_p: 0.95, seed: u64::from(i), ..Sampling::GREEDY };
        Request {
            ignore_end: true,
            depth: (i == 5).then_some(3),
            sampling: if i % 2 == 1 { chance } else { Sampling::GREEDY },
            ..Request::new(prompt, 30 + i)
        }
    };
    (0..7).map(request).collect()
}

fn write(engine: &mut Engine, requests: &[Request]) -> Vec<Vec<TokenEvent>> {
    let ids: Vec<_> = requests.iter().map(|request| engine.submit(request.clone()).unwrap()).collect();
    let mut written = vec![vec![]; requests.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            written[ids.iter().position(|other| *other == id).unwrap()].push(token);
        }
    }
    written
}

#[test]
fn company_pieces_preemption_and_shared_prompts_change_nothing() {
    let (device, requests) = (device(), requests());
    let mut alone = plain(&device, EngineOptions { prefix_cache: false, ..EngineOptions::default() });
    let mut wanted = vec![];
    for mode in modes() {
        block_on(alone.set_exit(Some(&mode))).unwrap();
        let want: Vec<_> = requests.iter().map(|request| write(&mut alone, &[request.clone()]).remove(0)).collect();
        let mut depths: Vec<u32> = want[2].iter().map(|token| token.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        assert!(depths.len() > 1, "{:?}: all tokens leave alike, {depths:?}", mode.mode);
        assert!(want[5].iter().all(|token| token.depth == 3), "a depth that is asked for holds");
        wanted.push(want);
    }
    for (max_rows, lanes, cache_tokens) in [(1, 1, None), (16, 7, None), (64, 7, None), (24, 4, Some(128))] {
        let mut engine = plain(&device, EngineOptions { max_rows, lanes, cache_tokens, ..EngineOptions::default() });
        for (mode, want) in modes().iter().zip(&wanted) {
            block_on(engine.set_exit(Some(mode))).unwrap();
            let case = format!("{:?}, {lanes} lanes, {max_rows} rows, {cache_tokens:?}", mode.mode);
            assert_eq!(&write(&mut engine, &requests), want, "{case}");
            assert_eq!(&write(&mut engine, &requests), want, "again: {case}");
        }
        let schedule = engine.schedule();
        assert!(schedule.prefix_hit_tokens > 0, "prompts share what was computed");
        assert_eq!(schedule.preemptions > 0, cache_tokens.is_some());
    }
}

/// A prompt that goes on with what was written before runs all layers where that did not.
#[test]
fn what_was_written_is_no_prompt() {
    let device = device();
    let first = Request { ignore_end: true, ..Request::new((0..20).map(|i| (i * 13 + 5) % 300).collect(), 60) };
    let mode = &modes()[1];
    let mut engines = [true, false].map(|prefix_cache| {
        let mut engine = plain(&device, EngineOptions { prefix_cache, ..EngineOptions::default() });
        block_on(engine.set_exit(Some(mode))).unwrap();
        engine
    });
    let texts = engines.each_mut().map(|engine| {
        let written = write(engine, std::slice::from_ref(&first)).remove(0);
        let both = first.prompt.iter().copied().chain(written.iter().map(|token| token.token)).collect();
        write(engine, &[Request { ignore_end: true, ..Request::new(both, 20) }]).remove(0)
    });
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn where_nothing_leaves_the_text_is_the_plain_one() {
    let device = device();
    let mut engine = plain(&device, EngineOptions { lanes: 7, ..EngineOptions::default() });
    let requests = requests();
    let facts = |written: Vec<Vec<TokenEvent>>| -> Vec<Vec<(u32, u32, u32)>> {
        let fact = |token: &TokenEvent| (token.token, token.depth, token.log_probability.to_bits());
        written.iter().map(|tokens| tokens.iter().map(fact).collect()).collect()
    };
    let want = facts(write(&mut engine, &requests));
    let bytes = engine.memory().state;
    for missing in [MissingKeys::Propagated, MissingKeys::Holes] {
        let choice = ExitChoice { probes: probes(2.0), missing: Some(missing), ..ExitChoice::new(ExitMode::CalmGap) };
        block_on(engine.set_exit(Some(&choice))).unwrap();
        assert!(engine.memory().state > bytes, "what a mode keeps is counted");
        assert_eq!(facts(write(&mut engine, &requests)), want, "{missing:?}");
    }
    block_on(engine.set_exit(None)).unwrap();
    assert_eq!((facts(write(&mut engine, &requests)), engine.memory().state), (want, bytes), "nothing is left behind");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let device = device();
    let refused = |engine: &mut Engine, choice: &ExitChoice| match block_on(engine.set_exit(Some(choice))) {
        Err(Error::Request(RequestError::Setting { name: "exit", range, .. })) => range,
        other => panic!("{:?}: {other:?}", choice.mode),
    };
    let mut recursive = load(&device, "models/tiny", "model.safetensors", EngineOptions::default());
    let why = refused(&mut recursive, &ExitChoice::new(ExitMode::CalmGap));
    assert!(why.contains("runs the same layers again"), "{why}");

    let mut engine = plain(&device, EngineOptions { guesses: 2, ..EngineOptions::default() });
    for mode in [ExitMode::Specee, ExitMode::Valade, ExitMode::CalmMeta] {
        let why = refused(&mut engine, &ExitChoice::new(mode));
        assert!(why.contains("not built") || why.contains("trained for it"), "{why}");
    }
    let gap = ExitChoice::new(ExitMode::CalmGap);
    for (depths, named) in [(vec![], "layers 1 to 7"), (vec![0, 3], "[0, 3]"), (vec![4, 2], "[4, 2]"), (vec![8], "[8]")]
    {
        let probes = depths.iter().map(|depth| ExitProbe { depth: *depth, threshold: 0.5 }).collect();
        let why = refused(&mut engine, &ExitChoice { probes: Some(probes), ..gap.clone() });
        assert!(why.contains(named), "{why}");
    }
    let why = refused(&mut engine, &ExitChoice { missing: Some(MissingKeys::Deferred), ..gap.clone() });
    assert!(why.contains("Deferred"), "{why}");
    let meta =
        |weight, bias| ExitChoice { learnt: Learnt::Meta { weight, bias }, ..ExitChoice::new(ExitMode::CalmMeta) };
    let why = refused(&mut engine, &meta(vec![0.0; 63], 0.0));
    assert!(why.contains("64 numbers"), "{why}");
    let why = refused(&mut engine, &meta(vec![0.0; 64], f32::NAN));
    assert!(why.contains("finite"), "{why}");

    block_on(engine.set_drafting(&[DraftSource::LOOKUP], Guesses::Fixed(2))).unwrap();
    let why = refused(&mut engine, &gap);
    assert!(why.contains("nobody guesses"), "{why}");
    block_on(engine.set_drafting(&[], Guesses::Fixed(0))).unwrap();
    block_on(engine.set_exit(Some(&gap))).unwrap();
    let error = block_on(engine.set_drafting(&[DraftSource::LOOKUP], Guesses::Fixed(2))).unwrap_err().to_string();
    assert!(error.contains("calm-gap"), "{error}");
    let error = block_on(engine.set_gate("cosine")).unwrap_err().to_string();
    assert!(error.contains("calm-gap"), "{error}");
    engine.submit(Request::new(vec![1], 5)).unwrap();
    assert!(matches!(block_on(engine.set_exit(None)), Err(Error::Request(RequestError::Busy))));
}
