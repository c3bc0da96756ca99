//! A long day: 2,000 requests of random sizes, some of them cancelled, through 32 lanes with pages for a third of them; with and
//! without guesses.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use isobath::engine::drafters::{DraftSource, PathSource};
use isobath::engine::event::{Event, FinishReason};
use isobath::engine::guessing::Guesses;
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::runtime::tick::Order;
use isobath::text::Tokenizer;
use pollster::block_on;

const REQUESTS: u32 = 2_000;

/// Guesses behind each token, or none.
fn load(guesses: u32) -> Engine {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let config = ModelConfig::from_json(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let options = EngineOptions {
        context: Some(128),
        lanes: 32,
        max_rows: 64,
        cache_tokens: Some(32 * 128 / 3),
        guesses,
        order: (guesses > 0).then_some(Order::Waves),
        ..EngineOptions::default()
    };
    let mut engine = block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {})).unwrap();
    if guesses > 0 {
        let sources = [DraftSource::Lookup { least: 1, longest: 4 }, DraftSource::Path(PathSource::rounds(1))];
        block_on(engine.set_drafting(&sources, Guesses::Fixed(guesses))).unwrap();
    }
    engine
}

/// Numbers below `n` from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(n)) as u32
    }
}

fn request(dice: &mut Dice, vocabulary: u32) -> Request {
    // Mostly short, now and then as long as it gets.
    let size = |dice: &mut Dice, most| if dice.roll(20) == 0 { 1 + dice.roll(most) } else { 1 + dice.roll(12) };
    let (prompt, tokens) = (size(dice, 127), size(dice, 140));
    let kind = dice.roll(4);
    let prompt = (0..prompt).map(|i| if kind == 0 { dice.roll(vocabulary) } else { (i * 7 + kind) % vocabulary });
    let mut request = Request::new(prompt.collect(), tokens);
    request.sampling = Sampling { temperature: 1.0, seed: u64::from(dice.roll(1000)), ..Sampling::GREEDY };
    request.depth = (dice.roll(6) == 0).then(|| 1 + dice.roll(3));
    request.priority = dice.roll(3) as u8;
    request
}

/// Resident memory in MiB, where the system shows it.
fn memory() -> Option<u64> {
    let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some((pages * 4096) >> 20)
}

#[test]
fn every_sequence_ends_once_and_nothing_is_left_behind() {
    day(load(0));
}

#[test]
fn nor_is_anything_lost_where_tokens_are_guessed() {
    let engine = day(load(3));
    let guesses = engine.guesses();
    assert!(guesses.accepted > 100 && guesses.accepted < guesses.checked, "{guesses:?}");
}

fn day(mut engine: Engine) -> Engine {
    let (free, vocabulary) = (engine.schedule().pages_free, engine.config().vocab_size);
    let mut dice = Dice(42);
    let mut ends: HashMap<SequenceId, Option<FinishReason>> = HashMap::new();
    let mut under_way: Vec<SequenceId> = vec![];
    let (mut submitted, mut cancelled, mut early) = (0, 0, None);
    loop {
        while submitted < REQUESTS && under_way.len() < 80 {
            let id = engine.submit(request(&mut dice, vocabulary)).unwrap();
            assert!(ends.insert(id, None).is_none());
            under_way.push(id);
            submitted += 1;
        }
        if dice.roll(60) == 0 && !under_way.is_empty() {
            let id = under_way[dice.roll(under_way.len() as u32) as usize];
            cancelled += u32::from(engine.cancel(id));
        }
        if submitted == REQUESTS / 4 {
            early = early.or_else(memory);
        }
        let Some((id, event)) = block_on(engine.next()).unwrap() else { break };
        if let Event::Finished { reason, .. } = event {
            assert!(ends.insert(id, Some(reason)).unwrap().is_none(), "{id:?} ended twice");
            under_way.retain(|other| *other != id);
        }
    }
    assert_eq!((ends.len() as u32, submitted), (REQUESTS, REQUESTS));
    assert!(ends.values().all(Option::is_some) && cancelled > 100, "{cancelled} were cancelled");
    let schedule = engine.schedule();
    assert_eq!((schedule.running, schedule.waiting, schedule.pages_used), (0, 0, [0, 0]), "{schedule:?}");
    let all = [0, 1].map(|pool| schedule.pages_free[pool] + schedule.pages_cached[pool]);
    assert_eq!(all, free, "{schedule:?}");
    assert!(schedule.prefix_hit_tokens > 0 && schedule.copied_pages > 0, "{schedule:?}");
    println!("{schedule:?}, {:?}, {cancelled} cancelled", engine.statistics());
    // Reported and not judged: what a driver keeps for itself is not ours to bound (docs/performance.md).
    println!("{early:?} MiB after a quarter, {:?} MiB at the end", memory());
    engine
}
