//! Many sequences at once as a library user meets them: each is what it is alone, to the bit, whatever arrives, leaves
//! or is cancelled beside it, in whatever order the rounds are run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::error::{Error, RequestError};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::network::config::ModelConfig;
use isobath::runtime::tick::Order;
use isobath::text::Tokenizer;
use pollster::block_on;

/// Tokens with depth and bits of the log-probability, and the reason of the end.
type Written = (Vec<(u32, u32, u32)>, Option<FinishReason>);

fn try_load(lanes: u32, order: Option<Order>, max_rows: u32) -> Result<Engine, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let config = ModelConfig::from_json(&fs::read_to_string(folder.join("config.json")).unwrap())?;
    let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap())?;
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors")?;
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref()))?;
    let options = EngineOptions { context: Some(128), max_rows, lanes, order, ..EngineOptions::default() };
    block_on(Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}))
}

/// Requests of many lengths, half of them drawn with a seed, some at a depth of their own.
fn requests(engine: &Engine, n: u32) -> Vec<Request> {
    let text = "the sea and the light of the long night over the hill where nobody comes and the wind is low";
    let tokens = engine.tokenizer().encode_prompt(text, true).unwrap();
    let request = |i: u32| {
        let prompt = tokens.iter().cycle().skip(i as usize % 5).take(1 + (i as usize * 7) % 60).copied().collect();
        let mut request = Request::new(prompt, 1 + (i * 5) % 23);
        request.ignore_end = !i.is_multiple_of(3);
        request.depth = [None, None, None, Some(1), Some(3)][i as usize % 5];
        if i % 2 == 1 {
            request.sampling =
                Sampling { temperature: 1.1, top_p: 0.95, repeat_penalty: 1.1, seed: u64::from(i), ..Sampling::GREEDY };
        }
        request
    };
    (0..n).map(request).collect()
}

/// Submits all; `cancel` names those to be cancelled after so many events of any sequence.
fn write(engine: &mut Engine, requests: &[Request], cancel: &HashMap<usize, usize>) -> Vec<Written> {
    let ids: Vec<SequenceId> = requests.iter().map(|request| engine.submit(request.clone()).unwrap()).collect();
    let mut written: Vec<Written> = vec![(vec![], None); requests.len()];
    for count in 0.. {
        for (&which, _) in cancel.iter().filter(|(_, after)| **after == count) {
            engine.cancel(ids[which]);
        }
        let Some((id, event)) = block_on(engine.next()).unwrap() else { break };
        let at = ids.iter().position(|&other| other == id).unwrap();
        assert!(written[at].1.is_none(), "an event behind the end");
        match event {
            Event::Token(token) => {
                written[at].0.push((token.token, token.depth, token.log_probability.to_bits()));
            }
            Event::Finished { reason, tokens, .. } => {
                assert_eq!(tokens as usize, written[at].0.len());
                written[at].1 = Some(reason);
            }
            Event::Prefill { done, total } => assert!(done <= total),
        }
    }
    assert!(engine.is_idle());
    written
}

#[test]
fn company_changes_nothing() {
    let none = HashMap::new();
    let mut single = try_load(1, None, 256).unwrap();
    let requests = requests(&single, 24);
    let alone: Vec<Written> =
        requests.iter().map(|request| write(&mut single, std::slice::from_ref(request), &none).remove(0)).collect();
    assert!(alone.iter().all(|(_, reason)| reason.is_some()));
    let depths: Vec<u32> = alone.iter().flat_map(|(tokens, _)| tokens.iter().map(|token| token.1)).collect();
    assert!((1..=3).all(|depth| depths.contains(&depth)), "all depths are in use");
    for (lanes, order, max_rows) in [
        (1, Some(Order::Mixed), 7),
        (2, Some(Order::Waves), 256),
        (2, Some(Order::Mixed), 3),
        (7, None, 64),
        (7, Some(Order::Mixed), 5),
        (32, Some(Order::Mixed), 256),
        (32, Some(Order::Waves), 16),
        (64, Some(Order::Mixed), 33),
    ] {
        let mut engine = try_load(lanes, order, max_rows).unwrap();
        assert!(order.is_none_or(|order| engine.order() == order));
        // Twice: lanes are used again, and the second time nothing is left of the first.
        for _ in 0..2 {
            assert!(write(&mut engine, &requests, &none) == alone, "{lanes} lanes, {order:?}, chunks of {max_rows}");
        }
        let cancel = HashMap::from([(3, 0), (8, 25), (20, 60), (1, 9), (23, 100)]);
        for (i, (got, want)) in write(&mut engine, &requests, &cancel).iter().zip(&alone).enumerate() {
            match got.1 {
                Some(FinishReason::Cancelled) => {
                    assert!(cancel.contains_key(&i));
                    assert_eq!(got.0[..], want.0[..got.0.len()], "what was told before a cancel stands");
                }
                _ => assert!(got == want, "{lanes} lanes, {order:?}: sequence {i} beside cancelled ones"),
            }
        }
        let statistics = engine.statistics();
        assert_eq!(statistics.submitted, statistics.finished);
    }
}

#[test]
fn sequences_may_arrive_at_any_time() {
    let mut single = try_load(1, None, 256).unwrap();
    let requests = requests(&single, 12);
    let none = HashMap::new();
    let alone: Vec<Written> =
        requests.iter().map(|request| write(&mut single, std::slice::from_ref(request), &none).remove(0)).collect();
    let mut engine = try_load(4, Some(Order::Mixed), 16).unwrap();
    let (mut ids, mut written) = (vec![], vec![vec![]; requests.len()]);
    // One more after every fifth event.
    for count in 0.. {
        if count % 5 == 0 && ids.len() < requests.len() {
            ids.push(engine.submit(requests[ids.len()].clone()).unwrap());
        }
        match block_on(engine.next()).unwrap() {
            Some((id, Event::Token(token))) => {
                let at = ids.iter().position(|&other| other == id).unwrap();
                written[at].push((token.token, token.depth, token.log_probability.to_bits()));
            }
            Some(_) => {}
            None if ids.len() < requests.len() => {
                ids.push(engine.submit(requests[ids.len()].clone()).unwrap());
            }
            None => break,
        }
    }
    for (i, (got, want)) in written.iter().zip(&alone).enumerate() {
        assert!(*got == want.0, "sequence {i}");
    }
}

#[test]
fn lanes_out_of_range_are_refused() {
    for lanes in [0, 257] {
        let outcome = try_load(lanes, None, 16).err();
        assert!(matches!(outcome, Some(Error::Request(RequestError::Setting { name: "lanes", .. }))), "{outcome:?}");
    }
}
