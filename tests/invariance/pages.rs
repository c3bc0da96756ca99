//! Pages of the KV cache as a library user meets them: prompts that begin alike share what was computed, sequences wait or
//! are computed again where pages run out, and none of it changes a bit of what is written.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::gpu::Gpu;
use isobath::network::config::{KvMode, ModelConfig};
use isobath::runtime::tick::Order;
use isobath::text::Tokenizer;
use pollster::block_on;

use crate::support::networks::{Model, of_the_family, with_router, without_router};

/// Tokens with depth and bits of the log-probability, and the reason of the end.
pub type Written = (Vec<(u32, u32, u32)>, Option<FinishReason>);

pub fn load(network: &Model, options: EngineOptions) -> Engine {
    let config = ModelConfig { context_length: 160, ..network.config.clone() };
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny/tokenizer.json");
    let tokenizer = Tokenizer::from_json(&fs::read(tokenizer).unwrap()).unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    block_on(Engine::load(gpu, &config, &network.source, tokenizer, options, &mut |_, _| {})).unwrap()
}

/// Prompts of up to 100 tokens, most of which share 70, 41 or 0 tokens with another.
pub fn requests(vocabulary: u32, rounds: u32) -> Vec<Request> {
    let request = |i: u32| {
        let common = [70, 41, 0, 70, 41, 70, 64, 70][i as usize % 8];
        let tail = (0..5 + i * 3).map(|j| (i * 31 + j * 17) % vocabulary);
        let prompt = (0..common).map(|j| (j * 7 + j / 5) % vocabulary).chain(tail).collect();
        let mut request = Request::new(prompt, 20 + i);
        request.ignore_end = true;
        request.depth = if i % 4 == 3 { Some((1 + i % 2).min(rounds)) } else { None };
        if i % 2 == 1 {
            request.sampling =
                Sampling { temperature: 1.2, repeat_penalty: 1.2, seed: u64::from(i), ..Sampling::GREEDY };
        }
        request
    };
    (0..8).map(request).collect()
}

pub fn write(engine: &mut Engine, requests: &[Request]) -> Vec<Written> {
    let ids: Vec<SequenceId> = requests.iter().map(|request| engine.submit(request.clone()).unwrap()).collect();
    let mut written: Vec<Written> = vec![(vec![], None); requests.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        let Some(at) = ids.iter().position(|other| *other == id) else { continue };
        assert!(written[at].1.is_none(), "nothing follows the end");
        match event {
            Event::Token(token) => written[at].0.push((token.token, token.depth, token.log_probability.to_bits())),
            Event::Finished { reason, .. } => written[at].1 = Some(reason),
            Event::Prefill { .. } => {}
        }
    }
    written
}

fn check(network: &Model, order: Order) {
    let name = &network.name;
    let plain = EngineOptions { order: Some(order), prefix_cache: false, max_rows: 160, ..EngineOptions::default() };
    let mut alone = load(network, plain);
    let requests = requests(alone.config().vocab_size, alone.plan().n_rounds());
    let want: Vec<Written> =
        requests.iter().map(|one| write(&mut alone, std::slice::from_ref(one)).remove(0)).collect();
    assert!(want.iter().zip(&requests).all(|(written, request)| written.0.len() as u32 == request.max_tokens));

    let mut many = load(network, EngineOptions { lanes: 3, max_rows: 33, prefix_cache: true, ..plain });
    for round in 0..2 {
        assert_eq!(write(&mut many, &requests), want, "{name}: prefixes, time {round}");
    }
    let told = many.schedule();
    assert!(told.prefix_hit_tokens > 500, "{name}: {told:?}");
    assert_eq!((told.running, told.waiting, told.pages_used), (0, 0, [0, 0]), "{name}: {told:?}");
    // Classes of fewer tokens end within a page, which the next reader must have for itself.
    let compact = network.config.router.is_some() && network.config.kv == KvMode::Own;
    assert_eq!(told.copied_pages > 0, compact, "{name}: {told:?}");

    for prefix_cache in [false, true] {
        let tight = EngineOptions { lanes: 3, max_rows: 20, cache_tokens: Some(192), prefix_cache, ..plain };
        let mut tight = load(network, tight);
        assert_eq!(write(&mut tight, &requests), want, "{name}: few pages, prefix cache {prefix_cache}");
        let told = tight.schedule();
        assert!(prefix_cache || told.preemptions > 0, "{name}: {told:?}");
        assert_eq!(told.pages_used, [0, 0], "{name}: {told:?}");
    }
}

/// One network of each kind of plan, KV mode and router: devices are costly, and pages know of nothing else.
pub fn kinds() -> Vec<Model> {
    let mut seen = HashSet::new();
    let networks = without_router().into_iter().chain(with_router()).chain(of_the_family());
    networks
        .filter(|network| {
            let router = network.config.router.as_ref().map(|router| router.kind);
            seen.insert((
                network.plan.shared,
                network.config.window.is_some(),
                std::mem::discriminant(&network.config.kv),
                router.map(|kind| format!("{kind:?}")),
            ))
        })
        .collect()
}

#[test]
fn prefixes_and_preemption_change_no_bit() {
    kinds().iter().for_each(|network| check(network, Order::Waves));
}

#[test]
fn nor_do_they_where_rounds_are_mixed() {
    let networks = kinds();
    let mut mixed = networks.iter().filter(|network| network.plan.mixable);
    let routed = mixed.find(|network| network.config.router.is_some());
    check(routed.unwrap(), Order::Mixed);
}

#[test]
fn who_is_more_urgent_comes_first() {
    let mut engine = load(&without_router()[0], EngineOptions::default());
    let request = |priority| Request { priority, ignore_end: true, ..Request::new(vec![1, 2, 3], 4) };
    let ids = [0, 0, 3, 1].map(|priority| engine.submit(request(priority)).unwrap());
    let mut ended = vec![];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if matches!(event, Event::Finished { .. }) {
            ended.push(id);
        }
    }
    assert_eq!(ended, [ids[2], ids[3], ids[0], ids[1]]);
}
