//! Devices that bind little or have little: what opens there, what is told, and that texts stay the same.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use isobath::engine::event::{Event, TokenEvent};
use isobath::engine::{Engine, EngineOptions, request::Request};
use isobath::error::Error;
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::runtime::room::Cut;
use isobath::text::Tokenizer;
use pollster::block_on;

const ENOUGH: u64 = u64::MAX;

/// On a device of its own, so that nothing of another engine is counted.
fn open(limits: [u64; 2], options: EngineOptions) -> Result<Engine, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let config = ModelConfig::from_json(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let gpu = gpu().limited(limits[0], limits[1]);
    block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}))
}

fn gpu() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs an adapter")
}

/// Eleven sequences: some begin alike, so that pages are shared and copied.
fn written(engine: &mut Engine) -> Vec<Vec<TokenEvent>> {
    let request = |which: u32| {
        let prompt = (0..45 + which).map(|at| 5 + at % 50 + if at > 40 { which } else { 0 }).collect();
        Request { ignore_end: true, ..Request::new(prompt, 12) }
    };
    let mut places = HashMap::new();
    let mut written = vec![vec![]; 11];
    for which in 0..11 {
        places.insert(engine.submit(request(which)).unwrap(), which as usize);
    }
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            written[places[&id]].push(token);
        }
    }
    assert!(written.iter().all(|tokens| tokens.len() == 12));
    written
}

#[test]
fn a_cache_in_several_bindings_writes_the_same() {
    let options = EngineOptions { lanes: 4, context: Some(256), max_rows: 64, ..EngineOptions::default() };
    let mut whole = open([ENOUGH; 2], options).unwrap();
    assert_eq!(whole.memory().cache.bindings, 1);
    let want = written(&mut whole);
    // The rounds' layers have three times the pages of the others: more than half of what is bound, less than all of it.
    let largest = whole.memory().cache.page_bytes[1] / 2 * u64::from(whole.memory().cache.pages[1]);
    let mut split = open([largest / 2 + 1000, ENOUGH], options).unwrap();
    assert!(split.cuts().is_empty(), "{:?}", split.cuts());
    let (cache, before) = (split.memory().cache, whole.memory().cache);
    assert_eq!((cache.bindings, cache.bytes, cache.pages), (2, before.bytes, before.pages));
    assert_eq!(written(&mut split), want);
    assert!(split.schedule().copied_pages > 0 && split.schedule().prefix_hit_tokens > 0, "{:?}", split.schedule());
}

#[test]
fn where_memory_ends_less_is_set_aside_and_texts_stay_the_same() {
    let options = EngineOptions { lanes: 128, context: Some(512), max_rows: 2048, ..EngineOptions::default() };
    let mut large = open([ENOUGH; 2], options).unwrap();
    assert_eq!((large.lanes(), large.cuts()), (128, &[][..]));
    let (all, want) = (large.gpu().allocated_bytes().unwrap(), written(&mut large));
    let cache = large.cache_bytes();
    drop(large);

    // Without half of the cache.
    let mut less = open([ENOUGH, all - cache / 3], options).unwrap();
    assert!(matches!(less.cuts(), [Cut::Cache { .. }]), "{:?}", less.cuts());
    assert!(less.cache_bytes() < cache && less.lanes() == 128);
    assert_eq!(written(&mut less), want);
    drop(less);

    // Less and less, until a cache of one sequence is too much: lanes go, then the length of sequences.
    let mut met = vec![];
    let mut memory = all - cache + 1_000_000;
    let error = loop {
        memory -= 200_000;
        match open([ENOUGH, memory], options) {
            Ok(mut few) => {
                let kinds: Vec<_> = few.cuts().iter().map(std::mem::discriminant).collect();
                if !met.contains(&kinds) {
                    println!("{memory}: {:?}", few.cuts());
                    assert_eq!(written(&mut few), want);
                    let told = few.cuts().iter().find_map(lanes).unwrap_or(128);
                    assert_eq!((few.lanes(), few.schedule().running), (told, 0));
                    met.push(kinds);
                }
            }
            Err(Error::Gpu(error)) => break error,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(error.to_string().contains("out of GPU memory"), "{error}");
    let longest = met.last().unwrap();
    assert!(longest.len() == 3 && met.iter().all(|kinds| longest.starts_with(kinds)), "{met:?}");
}

fn lanes(cut: &Cut) -> Option<u32> {
    if let Cut::Lanes { to, .. } = cut { Some(*to) } else { None }
}
