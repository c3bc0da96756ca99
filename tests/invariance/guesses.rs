//! Guesses change how many tokens a pass writes, and nothing else: tokens, depths and log-probabilities are those without
//! guesses to the bit, for every plan and KV mode, whoever guesses, right, wrong or by chance, greedily and drawn, in any company,
//! in pieces, with shared prefixes and where pages run out.

use isobath::engine::drafters::{DraftSource, ExitSource, PathOrigin, PathSource, ReadoutSource};
use isobath::engine::event::Event;
use isobath::engine::guessing::{Counts, Guesses};
use isobath::engine::request::Request;
use isobath::engine::{Engine, EngineOptions, MAX_GUESSES};
use isobath::runtime::tick::Order;
use pollster::block_on;

use super::pages::{Written, kinds, load, requests, write};
use crate::support::networks::Model;

/// Room for all guesses there can be.
fn options(lanes: u32) -> EngineOptions {
    EngineOptions { order: Some(Order::Waves), lanes, guesses: MAX_GUESSES, max_rows: 160, ..EngineOptions::default() }
}

/// Texts to come of each sequence, by position.
fn scripts(requests: &[Request], want: &[Written]) -> Vec<Vec<u32>> {
    let script = |(request, written): (&Request, &Written)| {
        request.prompt.iter().copied().chain(written.0.iter().map(|token| token.0)).collect()
    };
    requests.iter().zip(want).map(script).collect()
}

fn recall(scripts: &[Vec<u32>], right: f32, seed: u32) -> DraftSource {
    DraftSource::Recall { scripts: scripts.to_vec(), right, seed }
}

/// A jump that knows nothing.
fn jump(model: &Model, head_rows: Option<u32>) -> DraftSource {
    let hidden = model.config.hidden_size as usize;
    let number = |i: usize| ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.5;
    let weight = (0..2 * hidden * hidden).map(number).collect();
    let from = PathOrigin::Jump { weight, bias: (0..hidden).map(number).collect() };
    DraftSource::Path(PathSource { from, head_rows, least_probability: 0.0 })
}

fn rounds(rounds: u32, least_probability: f32) -> DraftSource {
    DraftSource::Path(PathSource { least_probability, ..PathSource::rounds(rounds) })
}

fn set(engine: &mut Engine, sources: &[DraftSource], guesses: u32) {
    block_on(engine.set_drafting(sources, Guesses::Fixed(guesses))).unwrap();
}

fn since(engine: &Engine, before: Counts) -> Counts {
    let now = engine.guesses();
    Counts {
        checks: now.checks - before.checks,
        guessed_checks: now.guessed_checks - before.guessed_checks,
        checked: now.checked - before.checked,
        accepted: now.accepted - before.accepted,
    }
}

/// `first`: in all companies, not only in one.
fn check(model: &Model, first: bool) {
    let name = &model.name;
    let mut alone = load(model, EngineOptions { prefix_cache: false, ..options(1) });
    let n_rounds = alone.plan().n_rounds();
    let requests = requests(alone.config().vocab_size, n_rounds);
    let one = |engine: &mut Engine, request: &Request| write(engine, std::slice::from_ref(request)).remove(0);
    let want: Vec<Written> = requests.iter().map(|request| one(&mut alone, request)).collect();
    let scripts = scripts(&requests, &want);
    let lookup = DraftSource::Lookup { least: 1, longest: 4 };
    // Alone: every number of guesses, all right, all wrong, and by chance.
    for (i, request) in requests.iter().enumerate() {
        let guesses = 1 + i as u32 % MAX_GUESSES;
        let own = std::slice::from_ref(&scripts[i]);
        for right in [[1.0, 0.0][i % 2], 0.6] {
            set(&mut alone, &[recall(own, right, i as u32)], guesses);
            let before = alone.guesses();
            assert_eq!(one(&mut alone, request), want[i], "{name}: {guesses} guesses, right {right}, sequence {i}");
            let told = since(&alone, before);
            assert_eq!(told.checks + told.accepted, want[i].0.len() as u64, "{name}: {told:?}");
            match right {
                1.0 => assert_eq!(told.accepted, told.checked, "{name}: {told:?}"),
                0.0 => assert_eq!(told.accepted, 0, "{name}: {told:?}"),
                _ => {}
            }
        }
    }
    let mut paths = vec![vec![jump(model, None)], vec![lookup.clone(), jump(model, Some(17))]];
    if n_rounds > 1 {
        paths.push(vec![rounds(1, 0.0)]);
        paths.push(vec![lookup.clone(), rounds(n_rounds - 1, 0.02)]);
    }
    if n_rounds > 2 && alone.plan().is_plain() {
        // The first is sometimes sure, the last always.
        let readout = ReadoutSource::Model;
        let exits = [(1, 3.9), (2, 99.0)].map(|(rounds, most_entropy)| ExitSource {
            rounds,
            readout: readout.clone(),
            most_entropy,
        });
        let path = PathSource { from: PathOrigin::Exits(exits.to_vec()), head_rows: None, least_probability: 0.0 };
        paths.push(vec![lookup.clone(), DraftSource::Path(path)]);
    }
    for (i, path) in paths.iter().enumerate() {
        set(&mut alone, path, 2 + i as u32);
        for (request, want) in requests.iter().zip(&want).skip(i % 2).step_by(2) {
            assert_eq!(one(&mut alone, request), *want, "{name}: path {i}");
        }
    }
    drop(alone);
    // In company, twice, so that prefixes are shared and lanes are used again.
    let company: &[(u32, u32)] = if first { &[(2, 3), (7, 8), (32, 1)] } else { &[(7, 8)] };
    for &(lanes, guesses) in company {
        let mut many = load(model, EngineOptions { max_rows: 33, ..options(lanes) });
        for sources in
            [vec![recall(&scripts, 0.7, lanes)], vec![lookup.clone()], paths[lanes as usize % paths.len()].clone()]
        {
            set(&mut many, &sources, guesses);
            assert!(write(&mut many, &requests) == want, "{name}: {lanes} lanes, {guesses} guesses, {sources:.60?}");
        }
        assert!(many.guesses().checked > 0, "{name}");
        assert_eq!(many.schedule().pages_used, [0, 0], "{name}");
    }
    // Pages run out.
    let tight = EngineOptions { max_rows: 20, cache_tokens: Some(192), ..options(3) };
    let mut tight = load(model, tight);
    set(&mut tight, &[recall(&scripts, 0.7, 1), lookup], 4);
    assert_eq!(write(&mut tight, &requests), want, "{name}: few pages");
    assert!(tight.schedule().preemptions > 0, "{name}: {:?}", tight.schedule());
}

#[test]
fn guesses_change_no_bit() {
    kinds().iter().enumerate().for_each(|(i, model)| check(model, i % 4 == 0));
}

#[test]
fn what_is_told_of_guesses_is_so() {
    let model = &kinds()[0];
    let mut engine = load(model, options(1));
    let request = Request { ignore_end: true, ..Request::new(vec![3, 4, 5], 24) };
    let want = write(&mut engine, std::slice::from_ref(&request));
    let scripts = scripts(std::slice::from_ref(&request), &want);
    set(&mut engine, &[recall(&scripts, 0.5, 3)], 3);
    engine.submit(request).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    while let Some((_, event)) = block_on(engine.next()).unwrap() {
        let Event::Token(token) = event else { continue };
        if let Some(guess) = &token.guess {
            assert_eq!(guess.accepted, guess.token == token.token);
            *if guess.accepted { &mut accepted } else { &mut refused } += 1;
        }
    }
    let counts = engine.guesses();
    assert_eq!(accepted, counts.accepted);
    assert!(accepted > 3 && refused > 3, "{counts:?}");
}

#[test]
fn drafting_that_cannot_be_is_refused() {
    let model = &kinds()[0];
    let mut engine = load(model, EngineOptions { guesses: 2, ..options(1) });
    let rounds_of_model = engine.plan().n_rounds();
    let mut refused = |source: DraftSource, guesses: u32, word: &str| {
        let error = block_on(engine.set_drafting(&[source], Guesses::Fixed(guesses))).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(DraftSource::LOOKUP, 3, "at most 2");
    refused(DraftSource::Lookup { least: 0, longest: 3 }, 1, "at least one token");
    refused(rounds(rounds_of_model, 0.0), 1, "below");
    let from = PathOrigin::Jump { weight: vec![0.0; 3], bias: vec![] };
    refused(DraftSource::Path(PathSource { from, head_rows: None, least_probability: 0.0 }), 1, "for this model");
    let DraftSource::Path(PathSource { from: PathOrigin::Jump { mut weight, bias }, .. }) = jump(model, None) else {
        panic!("a jump")
    };
    weight[7] = f32::NAN;
    let from = PathOrigin::Jump { weight, bias };
    refused(DraftSource::Path(PathSource { from, head_rows: None, least_probability: 0.0 }), 1, "finite");
}
