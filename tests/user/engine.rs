//! The engine as a library user meets it: the model that ships, whole requests, and everything that can be refused.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use isobath::engine::event::{Event, FinishReason, TokenEvent};
use isobath::engine::request::{Request, Routing, Sampling};
use isobath::engine::{Engine, EngineOptions};
use isobath::error::{Error, GpuError, RequestError};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::{Gpu, Traits};
use isobath::network::config::ModelConfig;
use isobath::text::Tokenizer;
use pollster::block_on;

fn options(context: Option<u32>, max_rows: u32) -> EngineOptions {
    EngineOptions { context, max_rows, ..EngineOptions::default() }
}

fn try_load(options: EngineOptions) -> Result<Engine, Error> {
    load_on(block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref()))?, options)
}

fn load_on(gpu: Gpu, options: EngineOptions) -> Result<Engine, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let config = ModelConfig::from_json(&fs::read_to_string(folder.join("config.json")).unwrap())?;
    let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap())?;
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors")?;
    block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}))
}

fn load(max_rows: u32) -> Engine {
    try_load(options(None, max_rows)).unwrap()
}

fn request(engine: &Engine, prompt: &str, max_tokens: u32) -> Request {
    Request::new(engine.tokenizer().encode_prompt(prompt, true).unwrap(), max_tokens)
}

struct Written {
    tokens: Vec<TokenEvent>,
    text: String,
    reason: FinishReason,
}

fn write(engine: &mut Engine, request: &Request) -> Written {
    let (mut tokens, mut text, mut finished) = (vec![], String::new(), 0);
    let mut sink = |event: &Event| {
        match event {
            Event::Token(token) => {
                text.push_str(&token.text);
                tokens.push(token.clone());
            }
            Event::Finished { text: rest, tokens, .. } => {
                text.push_str(rest);
                finished = *tokens;
            }
            Event::Prefill { .. } => {}
        }
        ControlFlow::Continue(())
    };
    let reason = block_on(engine.generate(request, &mut sink)).unwrap();
    assert_eq!(finished as usize, tokens.len());
    Written { tokens, text, reason }
}

#[test]
fn alternatives_come_with_each_token_and_change_none() {
    let plain = {
        let mut engine = load(256);
        let request = request(&engine, PROMPT, 12);
        write(&mut engine, &request)
    };
    for lanes in [1, 2] {
        let mut engine = try_load(EngineOptions { alternatives: 3, lanes, ..options(None, 7) }).unwrap();
        let request = request(&engine, PROMPT, 12);
        let written = write(&mut engine, &request);
        assert_eq!(written.text, plain.text);
        for (token, before) in written.tokens.iter().zip(&plain.tokens) {
            assert_eq!(TokenEvent { alternatives: vec![], ..token.clone() }, *before);
            let [best, second, third] = &token.alternatives[..] else { panic!("{token:?}") };
            // The text is greedy.
            assert_eq!(best.token, token.token);
            assert!((best.log_probability - token.log_probability).abs() < 1e-4, "{token:?}");
            assert!(best.log_probability >= second.log_probability && second.log_probability >= third.log_probability);
            assert!(best.token != second.token && second.token != third.token && third.token != best.token);
            assert_eq!(Some(&second.text), engine.tokenizer().token_text(second.token).as_ref());
        }
    }
}

const PROMPT: &str = " the old captain follows the lantern under the bridge and the tide falls again";

#[test]
fn chunks_of_any_size_write_the_same() {
    let sampling = Sampling { temperature: 0.9, top_k: 50, top_p: 0.95, min_p: 0.01, repeat_penalty: 1.1, seed: 7 };
    let mut expected: Option<Written> = None;
    for max_rows in [256, 1, 3, 7] {
        let mut engine = load(max_rows);
        let request = Request { sampling, ..request(&engine, PROMPT, 40) };
        let written = write(&mut engine, &request);
        assert_eq!(written.reason, FinishReason::Length);
        match &expected {
            None => expected = Some(written),
            // Tokens, depths, scores and log-probabilities, to the bit.
            Some(expected) => assert_eq!(written.tokens, expected.tokens, "{max_rows} rows at once"),
        }
    }
}

/// Contexts of up to 256 entries are attended to in one go where all rows have such, longer ones in stretches.
#[test]
fn a_long_neighbour_changes_nothing() {
    let long = Request::new((0..290).map(|i| 3 + i * 7 % 50).collect(), 20);
    let mut engine = try_load(EngineOptions { lanes: 2, ..options(None, 256) }).unwrap();
    let short = Request { ignore_end: true, ..request(&engine, PROMPT, 30) };
    let alone = write(&mut engine, &short);
    assert!(short.prompt.len() + 30 < 256);
    let ids = [long, short].map(|request| engine.submit(request).unwrap());
    let mut together = vec![];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let (true, Event::Token(token)) = (id == ids[1], event) {
            together.push(token);
        }
    }
    // Tokens, depths, scores and log-probabilities, to the bit.
    assert_eq!(together, alone.tokens);
}

#[test]
fn seeds_decide_the_text_and_an_engine_forgets() {
    let mut engine = load(256);
    let sampling = |seed| Sampling { temperature: 1.0, seed, ..Sampling::GREEDY };
    let plain = request(&engine, PROMPT, 24);
    let mut with = |seed| write(&mut engine, &Request { sampling: sampling(seed), ..plain.clone() });
    let (first, other, again) = (with(1), with(2), with(1));
    assert_eq!(first.tokens, again.tokens, "what was written before must not matter");
    assert_ne!(first.text, other.text);
    let depths: Vec<u32> = first.tokens.iter().chain(&other.tokens).map(|token| token.depth).collect();
    assert!((1..=3).all(|depth| depths.contains(&depth)), "all depths are in use: {depths:?}");
    for token in first.tokens.iter().chain(&other.tokens) {
        assert!(token.log_probability < 0.0 && token.log_probability.is_finite());
        // Each round that was entered or refused has been scored, and the score is the reason.
        assert_eq!(token.scores.len(), (token.depth as usize + 1).min(3));
        assert!(token.scores[1..].iter().enumerate().all(|(i, &z)| (z >= 0.0) == (token.depth as usize > i + 1)));
    }
}

#[test]
fn depth_can_be_forced() {
    let mut engine = load(256);
    for depth in 1..=3 {
        let request = Request { depth: Some(depth), ..request(&engine, PROMPT, 8) };
        assert!(write(&mut engine, &request).tokens.iter().all(|token| token.depth == depth));
    }
    let request = Request { routing: Routing::TopK, ..request(&engine, PROMPT, 8) };
    // One token at a time, top-k keeps every round; only the prompt's last token stands among others.
    assert!(write(&mut engine, &request).tokens[1..].iter().all(|token| token.depth == 3));
}

#[test]
fn a_model_from_a_path_has_a_clock() {
    let mut model = isobath::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny")).unwrap();
    model.generate("the", &isobath::Settings::of(2)).unwrap().text().unwrap();
    let host = model.engine.statistics().host;
    assert!(host.recording > 0 && host.waiting > 0, "{host:?}");
}

#[test]
fn a_resumed_sequence_goes_on_as_it_would_have() {
    const TOLD: usize = 8;
    let prompt = load(8).tokenizer().encode_prompt(PROMPT, true).unwrap();
    // The prompt fits into one chunk, with what was written it does not.
    let mut engine = load(prompt.len() as u32 + 2);
    for routing in [Routing::Threshold, Routing::TopK] {
        let request = Request { routing, ignore_end: true, ..Request::new(prompt.clone(), 24) };
        let whole = write(&mut engine, &request).tokens;
        let told: Vec<u32> = whole[..TOLD].iter().map(|token| token.token).collect();
        engine.forget_prefixes();
        let id = engine.resume(request, &told).unwrap();
        let mut rest = vec![];
        loop {
            match block_on(engine.next_of(id)).unwrap() {
                Event::Prefill { .. } => {}
                Event::Token(token) => rest.push(token),
                Event::Finished { .. } => break,
            }
        }
        // Tokens, depths, scores and log-probabilities, to the bit.
        assert_eq!(rest, whole[TOLD..], "{routing:?}");
    }
}

#[test]
fn sequences_end_with_a_reason() {
    let mut engine = load(256);
    let plain = request(&engine, PROMPT, 30);
    let whole = write(&mut engine, &plain);
    assert_eq!(whole.reason, FinishReason::Length);
    // A stop text over the border of two tokens is cut off wherever it begins.
    let words: Vec<&str> = whole.text.split(' ').filter(|word| !word.is_empty()).collect();
    let stop = format!("{} {}", words[3], words[4]);
    let stopped = write(&mut engine, &Request { stop: vec![stop.clone()], ..plain.clone() });
    assert_eq!(stopped.reason, FinishReason::Stop);
    assert_eq!(stopped.text, whole.text[..whole.text.find(&stop).unwrap()]);
    let mut count = 0;
    let mut sink = |event: &Event| {
        count += u32::from(matches!(event, Event::Token(_)));
        if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert_eq!(block_on(engine.generate(&plain, &mut sink)).unwrap(), FinishReason::Cancelled);
    let mut small = try_load(options(Some(32), 8)).unwrap();
    let long = request(&small, PROMPT, 1000);
    let full = write(&mut small, &long);
    assert_eq!(full.reason, FinishReason::ContextFull);
    assert_eq!(full.tokens.len() + long.prompt.len(), 32);
    assert_eq!(write(&mut small, &Request { max_tokens: 0, ..long }).tokens.len(), 0);
}

#[test]
fn requests_that_cannot_be_run_are_refused_by_name() {
    let mut engine = try_load(options(Some(16), 16)).unwrap();
    let plain = Request::new(vec![1, 2, 3], 4);
    let mut refused = |request: Request| match block_on(engine.generate(&request, &mut |_| ControlFlow::Continue(()))) {
        Err(Error::Request(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(Request { prompt: vec![], ..plain.clone() }), RequestError::EmptyPrompt));
    let long = refused(Request { prompt: vec![1; 16], ..plain.clone() }).to_string();
    assert!(
        long.contains("16 tokens") && long.contains("larger context (it allows 1024)") && !long.contains("--"),
        "{long}"
    );
    let stranger = refused(Request { prompt: vec![1, 837], ..plain.clone() });
    assert!(matches!(stranger, RequestError::TokenOutOfRange { token: 837, vocabulary: 837 }));
    for depth in [0, 4] {
        let message = refused(Request { depth: Some(depth), ..plain.clone() }).to_string();
        assert!(message.contains("depth") && message.contains("between 1 and 3"), "{message}");
    }
    for (sampling, name) in [
        (Sampling { temperature: -1.0, ..Sampling::GREEDY }, "temperature"),
        (Sampling { temperature: f32::NAN, ..Sampling::GREEDY }, "temperature"),
        (Sampling { top_p: 0.0, ..Sampling::GREEDY }, "top-p"),
        (Sampling { min_p: 1.5, ..Sampling::GREEDY }, "min-p"),
        (Sampling { repeat_penalty: 0.0, ..Sampling::GREEDY }, "repeat-penalty"),
    ] {
        let message = refused(Request { sampling, ..plain.clone() }).to_string();
        assert!(message.contains(name), "{message}");
    }
    for context in [0, 1025] {
        let message = try_load(options(Some(context), 8)).err().unwrap().to_string();
        assert!(message.contains("context") && message.contains("1024"), "{message}");
    }
}

#[test]
fn a_lost_device_is_an_error_not_a_panic() {
    let mut engine = load(256);
    let request = request(&engine, PROMPT, 8);
    engine.gpu().simulate_loss();
    let outcome = block_on(engine.generate(&request, &mut |_| ControlFlow::Continue(())));
    assert!(matches!(outcome, Err(Error::Gpu(GpuError::Lost { .. }))), "{outcome:?}");
}

#[test]
fn a_device_lost_on_the_way_keeps_what_was_written() {
    let mut engine = load(256);
    let request = request(&engine, PROMPT, 500);
    let tokens = std::cell::RefCell::new(0);
    // The sink cannot reach the engine, so the loss comes from the tokens' own count through a second handle.
    let loss = engine.gpu().loss_trigger();
    let outcome = block_on(engine.generate(&request, &mut |event| {
        *tokens.borrow_mut() += u32::from(matches!(event, Event::Token(_)));
        if *tokens.borrow() == 5 {
            loss();
        }
        ControlFlow::Continue(())
    }));
    assert!(matches!(outcome, Err(Error::Gpu(GpuError::Lost { .. }))), "{outcome:?}");
    assert!((5..10).contains(&*tokens.borrow()), "{} tokens", tokens.borrow());
}

#[test]
fn memory_that_cannot_be_had_is_an_error_that_names_it() {
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let bytes = gpu.max_binding_bytes() + 16;
    let message = gpu.buffer("a very large buffer", bytes).unwrap_err().to_string();
    assert!(message.contains("a very large buffer") && message.contains(&bytes.to_string()), "{message}");
}

/// Damaged bytes, foreign ones and those of an earlier run: what is written is the same, and nothing fails.
#[test]
fn a_pipeline_cache_does_no_harm() {
    let open = || {
        let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
        let traits = Traits { pipeline_cache: true, compiles_at_once: true, ..*gpu.traits() };
        gpu.with_traits(traits)
    };
    let Some(key) = open().pipeline_cache_key() else {
        let backend = open().summary().backend.clone();
        return assert_ne!(backend, "Vulkan", "every device of Vulkan has such a cache");
    };
    assert!(
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)),
        "a file's name: {key}"
    );
    assert_eq!(open().pipeline_cache_data()(), None, "nobody asked for it");
    let write = |bytes: &[u8]| {
        // SAFETY: nothing, what a device gave, or that with a part changed, which the checksum finds.
        let gpu = unsafe { open().with_pipeline_cache(bytes) };
        let data = gpu.pipeline_cache_data();
        let mut engine = load_on(gpu, options(None, 40)).unwrap();
        block_on(engine.prepare(&mut |_, _| {})).unwrap();
        let request = request(&engine, PROMPT, 12);
        (write(&mut engine, &request).tokens, data().unwrap())
    };
    let (plain, kept) = write(&[]);
    let mut damaged = kept.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in
        [&kept[..], &damaged, &kept[..kept.len() / 2], b"garbage that is long enough to be taken for a header", b"x"]
    {
        let (tokens, again) = write(bytes);
        assert_eq!(tokens, plain);
        assert!(!again.is_empty());
    }
    let foreign = foreign(&kept);
    assert_eq!(write(&foreign).0, plain);
}

/// The same with another device's numbers in wgpu's header and a checksum that is right.
fn foreign(kept: &[u8]) -> Vec<u8> {
    let mut data = kept[4..].to_vec();
    // Magic (8), version (4), width of pointers (4), backend (1), and then the device.
    data[17..32].iter_mut().for_each(|byte| *byte ^= 0x55);
    let mut crc = flate2::Crc::new();
    crc.update(&data);
    [&crc.sum().to_le_bytes()[..], &data].concat()
}

/// On a device that compiles pipelines when they are made, all are there before the first token: with the kernels of this
/// device, and with those of a GPU.
#[test]
fn no_text_waits_for_a_kernel() {
    let open = || block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let own = Traits { compiles_at_once: true, ..*open().traits() };
    let gpu = Traits { bakes_blocks: own.bakes_blocks, ..Traits::default() };
    for traits in [own, gpu] {
        let mut engine = load_on(open().with_traits(traits), EngineOptions { lanes: 3, ..options(None, 40) }).unwrap();
        let mut counts = vec![];
        block_on(engine.prepare(&mut |done, total| counts.push((done, total)))).unwrap();
        let made = engine.gpu().n_pipelines();
        assert_eq!(counts, (1..=made).map(|done| (done, made)).collect::<Vec<_>>(), "all of them, and told one by one");
        for (prompt, lanes) in [("A", 1), ("The quick brown fox jumps over the lazy dog, and once more.", 3)] {
            for seed in 0..lanes {
                let mut request = request(&engine, prompt, 9 + 5 * seed as u32);
                request.sampling = Sampling { temperature: 1.0, seed, ..request.sampling };
                engine.submit(request).unwrap();
            }
            while block_on(engine.next()).unwrap().is_some() {}
        }
        assert_eq!(engine.gpu().n_pipelines(), made, "kernels that nobody foresaw, with {traits:?}");
        block_on(engine.prepare(&mut |_, _| panic!("nothing is left to make"))).unwrap();
    }
}

/// What a clock measures of a device changes no text. Checks are other code to a driver, which may round a sum differently; what is written stays.
#[test]
fn checked_shaders_and_a_clock_change_no_text() {
    let open = || block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let begin = std::time::Instant::now();
    let clock = move || begin.elapsed().as_nanos() as u64;
    let write = |gpu: Gpu| {
        let mut engine = load_on(gpu, options(None, 40)).unwrap();
        let request = request(&engine, "Once upon a time", 24);
        let tokens = write(&mut engine, &request).tokens;
        let written: Vec<_> = tokens.iter().map(|token| (token.token, token.depth)).collect();
        (written, tokens.iter().map(|token| token.log_probability).collect::<Vec<_>>())
    };
    let plain = write(open());
    assert_eq!(write(open().with_clock(clock)), plain, "the same shaders, to the bit");
    let checked = write(open().checked());
    assert_eq!(checked.0, plain.0);
    for (checked, plain) in checked.1.iter().zip(&plain.1) {
        assert!((checked - plain).abs() < 1e-4, "{checked} and {plain}");
    }
}
