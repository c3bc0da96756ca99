//! Layers that are put off: what a sequence writes is the same to the bit alone, in any company, in pieces, with shared prefixes, where
//! others are cancelled, and where pages run out and it is read again; and where nobody is sure it is the model's own text.

use isobath::engine::deferring::Deferring;
use isobath::engine::drafters::{DraftSource, ReadoutSource};
use isobath::engine::event::Event;
use isobath::engine::guessing::Guesses;
use isobath::engine::request::Request;
use isobath::engine::{Engine, EngineOptions};
use isobath::runtime::deferral::Deferral;
use isobath::runtime::tick::Order;
use pollster::block_on;

use super::pages::{Written, kinds, load, requests as any_requests, write};
use crate::support::networks::{Model, with_router, without_router};

const ROOM: u32 = 5;

fn options(lanes: u32) -> EngineOptions {
    EngineOptions { order: Some(Order::Waves), lanes, deferred: ROOM, max_rows: 160, ..EngineOptions::default() }
}

/// Depth is the exits' matter.
fn requests(engine: &Engine) -> Vec<Request> {
    let any = any_requests(engine.config().vocab_size, engine.plan().n_rounds());
    any.into_iter().map(|request| Request { depth: None, ..request }).collect()
}

fn set(engine: &mut Engine, how: &Deferring) {
    block_on(engine.set_deferring(Some(how))).unwrap();
}

fn once(rounds: u32, threshold: f32, most: Option<u32>) -> Deferring {
    Deferring::Once { rounds, threshold, fitted: None, most }
}

fn several(rounds: &[u32], least_probability: f32, most: Option<u32>) -> Deferring {
    let exits = rounds.iter().map(|rounds| (*rounds, ReadoutSource::Model)).collect();
    Deferring::Several { exits, least_probability, most }
}

/// The middle of what the first exit measures.
fn middle(engine: &mut Engine, requests: &[Request]) -> f32 {
    let mut scores = vec![];
    for request in requests {
        engine.submit(request.clone()).unwrap();
    }
    while let Some((_, event)) = block_on(engine.next()).unwrap() {
        let Event::Token(token) = event else { continue };
        scores.extend(token.scores.first().copied());
    }
    scores.sort_by(f32::total_cmp);
    scores[scores.len() / 2]
}

/// Each way, with both kinds of tokens in its texts.
fn ways(alone: &mut Engine, requests: &[Request]) -> Vec<Deferring> {
    let rounds = alone.plan().n_rounds();
    set(alone, &once(1, 1.0, None));
    let gap = middle(alone, requests);
    set(alone, &several(&[1, rounds - 1], 1.0, None));
    let largest = middle(alone, requests).exp();
    vec![
        once(1, gap, None),
        once(rounds - 1, 0.0, Some(2)),
        several(&[1, rounds - 1], largest, None),
        several(&[rounds - 1], 0.0, Some(3)),
        Deferring::First { rounds: 1 },
    ]
}

fn check(model: &Model) {
    let name = &model.name;
    let mut alone = load(model, EngineOptions { prefix_cache: false, ..options(1) });
    let rounds = alone.plan().n_rounds();
    let requests = requests(&alone);
    let each = |engine: &mut Engine| -> Vec<Written> {
        requests.iter().map(|request| write(engine, std::slice::from_ref(request)).remove(0)).collect()
    };
    let plain = each(&mut alone);
    for never in [once(1, 1.0, None), several(&[1], 1.0, Some(1))] {
        set(&mut alone, &never);
        assert_eq!(each(&mut alone), plain, "{name}: nobody is sure, {never:?}");
    }
    let ways = ways(&mut alone, &requests);
    let mut want = vec![];
    for way in &ways {
        set(&mut alone, way);
        let before = alone.deferring_counts();
        let own = each(&mut alone);
        let told = alone.deferring_counts();
        let early = own.iter().flat_map(|written| &written.0).filter(|token| token.1 < rounds).count();
        assert_eq!(told.early - before.early, early as u64, "{name}: {way:?}");
        assert!(early > 0, "{name}: {way:?}");
        assert!(told.whole > before.whole || matches!(way, Deferring::First { .. }), "{name}: {way:?}");
        want.push(own);
    }
    block_on(alone.set_deferring(None)).unwrap();
    assert_eq!(each(&mut alone), plain, "{name}: no longer put off");
    drop(alone);
    for lanes in [2, 7] {
        let mut many = load(model, EngineOptions { max_rows: 33, ..options(lanes) });
        for (way, want) in ways.iter().zip(&want) {
            set(&mut many, way);
            // Twice, so that prefixes are shared, and lanes used again.
            assert!(write(&mut many, &requests) == *want, "{name}: {lanes} lanes, {way:?}");
            assert!(write(&mut many, &requests) == *want, "{name}: {lanes} lanes again, {way:?}");
            cancelled(&mut many, &requests, want);
            assert_eq!(many.schedule().pages_used, [0, 0], "{name}");
        }
        assert!(many.schedule().prefix_hit_tokens > 500, "{name}");
        // What is kept of prompts is the whole network's.
        block_on(many.set_deferring(None)).unwrap();
        assert!(write(&mut many, &requests) == plain, "{name}: {lanes} lanes, no longer put off");
    }
    for prefix_cache in [false, true] {
        let tight = EngineOptions { max_rows: 20, cache_tokens: Some(192), prefix_cache, ..options(3) };
        let mut tight = load(model, tight);
        for (way, want) in ways.iter().zip(&want) {
            set(&mut tight, way);
            let before = tight.schedule().preemptions;
            assert!(write(&mut tight, &requests) == *want, "{name}: few pages, {way:?}");
            assert!(prefix_cache || tight.schedule().preemptions > before, "{name}: {way:?}");
            assert_eq!(tight.schedule().pages_used, [0, 0], "{name}");
        }
    }
}

/// Every other sequence is cancelled on its way; the rest write what they write.
fn cancelled(engine: &mut Engine, requests: &[Request], want: &[Written]) {
    let ids: Vec<_> = requests.iter().map(|request| engine.submit(request.clone()).unwrap()).collect();
    let mut tokens = vec![vec![]; ids.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        let at = ids.iter().position(|other| *other == id).unwrap();
        let Event::Token(token) = event else { continue };
        tokens[at].push((token.token, token.depth, token.log_probability.to_bits()));
        if at % 2 == 1 && tokens[at].len() == 3 + at {
            assert!(engine.cancel(id));
        }
    }
    for (at, (tokens, want)) in tokens.iter().zip(want).enumerate() {
        assert!(at % 2 == 1 || *tokens == want.0, "sequence {at} beside cancelled ones");
    }
}

#[test]
fn what_is_put_off_is_the_same_in_any_company() {
    let networks = kinds();
    let fits = |model: &&Model| Deferral::fits(&model.plan) && model.plan.gate.is_none() && model.plan.n_rounds() > 2;
    let plain: Vec<&Model> = networks.iter().filter(fits).collect();
    assert!(plain.len() > 1, "{} plain stacks", plain.len());
    plain.into_iter().for_each(check);
}

#[test]
fn what_cannot_be_put_off_is_refused() {
    let refused = |engine: &mut Engine, how: &Deferring, word: &str| {
        let error = block_on(engine.set_deferring(Some(how))).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(engine.deferring().is_none());
    };
    let mut engine = load(&without_router()[0], EngineOptions { guesses: 2, ..options(1) });
    refused(&mut engine, &once(9, 0.5, None), "below");
    refused(&mut engine, &once(1, 0.5, Some(ROOM + 1)), "for which room was made");
    block_on(engine.set_drafting(&[DraftSource::LOOKUP], Guesses::Fixed(2))).unwrap();
    refused(&mut engine, &once(1, 0.5, None), "guesses are checked");
    block_on(engine.set_drafting(&[], Guesses::Fixed(0))).unwrap();
    engine.submit(Request::new(vec![1, 2, 3], 4)).unwrap();
    refused(&mut engine, &once(1, 0.5, None), "under way");
    engine.cancel_all();
    set(&mut engine, &once(1, 0.5, None));
    assert!(block_on(engine.set_drafting(&[DraftSource::LOOKUP], Guesses::Fixed(2))).is_err());
    assert!(engine.submit(Request { depth: Some(1), ..Request::new(vec![1, 2, 3], 4) }).is_err());
    let mut engine = load(&with_router()[0], options(1));
    refused(&mut engine, &once(1, 0.5, None), "plain stack");
    let mut engine = load(&without_router()[0], EngineOptions { deferred: 0, ..options(1) });
    refused(&mut engine, &once(1, 0.5, None), "no room");
}
