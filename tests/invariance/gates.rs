//! Gates that the bundled model was not trained with: equal to the twin on the CPU, the same to the bit in pieces, in company
//! and in both orders, and refused where the model's keys and values do not allow them.

use std::fs;
use std::path::Path;

use isobath::engine::event::{Event, TokenEvent};
use isobath::engine::score::Score;
use isobath::engine::{Engine, EngineOptions, request::Request};
use isobath::error::{Error, RequestError};
use isobath::files::safetensors::Safetensors;
use isobath::gpu::{Gpu, SharedDevice};
use isobath::judge::{Judge, Sequence};
use isobath::kernels::draw::cross_entropy;
use isobath::network::config::ModelConfig;
use isobath::network::gate::{Change, GATES, HeadStatistic, Measure, TRAINED};
use isobath::network::plan::{Commitment, MissingKeys, Operation, Plan};
use isobath::runtime::gates::HeadRoom;
use isobath::runtime::room::{Fit, Room};
use isobath::runtime::state::State;
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::tick::Order;
use isobath::runtime::weights::Loader;
use isobath::text::Tokenizer;
use pollster::block_on;

const STORIES: &str = "assets/stories";
const TEXT: &str = "Once upon a time there was a little fox who lived by the sea. \"Where is my red ball?\" he said to the old \
                    owl. The owl looked at the hill and said that nobody had seen it since the long night.";

struct Files {
    config: ModelConfig,
    tensors: Vec<u8>,
    tokenizer: Vec<u8>,
}

fn files(folder: &str) -> Files {
    let read = |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)).unwrap();
    let config = ModelConfig::from_json(&String::from_utf8(read("config.json")).unwrap()).unwrap();
    Files { config, tensors: read("model.safetensors"), tokenizer: read("tokenizer.json") }
}

fn device() -> SharedDevice {
    block_on(SharedDevice::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs an adapter")
}

fn load(device: &SharedDevice, files: &Files, options: EngineOptions) -> Engine {
    let source = Safetensors::parse(&files.tensors, "model.safetensors").unwrap();
    let tokenizer = Tokenizer::from_json(&files.tokenizer).unwrap();
    let options = EngineOptions { context: Some(192), ..options };
    let gpu = Gpu::on(device.clone());
    block_on(Engine::load(gpu, &files.config, &source, tokenizer, options, &mut |_, _| {})).unwrap()
}

/// Puts a gate in place, with a threshold far from all scores of the text, at which some tokens stop after each round.
fn set(engine: &mut Engine, name: &str) -> Vec<f32> {
    block_on(engine.set_gate(name)).unwrap();
    let told = score(engine, Depth::Fixed(3));
    let threshold = |round: usize| {
        let mut scores: Vec<f32> = told.iter().map(|score| score.scores[round]).collect();
        scores.sort_by(f32::total_cmp);
        let between = scores[scores.len() / 4..scores.len() / 2].windows(2);
        let widest = between.max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))).unwrap();
        (widest[0] + widest[1]) / 2.0
    };
    let thresholds = vec![0.0, threshold(1), threshold(2)];
    engine.set_thresholds(&thresholds).unwrap();
    thresholds
}

fn tokens(engine: &Engine) -> Vec<u32> {
    engine.tokenizer().encode(TEXT, true).unwrap()
}

fn score(engine: &mut Engine, depth: Depth) -> Vec<Score> {
    let tokens = tokens(engine);
    block_on(engine.score(&tokens, depth)).unwrap()
}

/// What follows the first tokens of the text, for each number of them; all at once.
fn write(engine: &mut Engine, prompts: &[(usize, Option<u32>)]) -> Vec<Vec<TokenEvent>> {
    let tokens = tokens(engine);
    let request = |(length, depth): (usize, Option<u32>)| Request {
        ignore_end: true,
        depth,
        ..Request::new(tokens[..length].to_vec(), 40)
    };
    let ids: Vec<_> = prompts.iter().map(|prompt| engine.submit(request(*prompt)).unwrap()).collect();
    let mut written = vec![vec![]; prompts.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            written[ids.iter().position(|other| *other == id).unwrap()].push(token);
        }
    }
    written
}

#[test]
fn depths_and_logits_are_those_of_the_twin_on_the_cpu() {
    let files = files(STORIES);
    let mut engine = load(&device(), &files, EngineOptions { heads: 16, ..EngineOptions::default() });
    let plan = Plan::of(&files.config).unwrap();
    let source = Safetensors::parse(&files.tensors, "model.safetensors").unwrap();
    let mut twin = Judge::new(&files.config, &plan, &source, 192).unwrap();
    let tokens = tokens(&engine);
    for gate in GATES {
        let thresholds = set(&mut engine, gate.name);
        twin.set_gate(gate.clone(), thresholds.clone());
        for depth in [Depth::Model, Depth::Fixed(2)] {
            let got = score(&mut engine, depth);
            let want = twin.run(&mut Sequence::default(), &tokens[..tokens.len() - 1], depth);
            let mut close = 0;
            for (row, got) in got.iter().enumerate() {
                let own = &want.scores[row];
                // Within rounding of the threshold either depth is right, and what follows may differ.
                close += u32::from((1..3).any(|round| (own[round] - thresholds[round]).abs() < 1e-5));
                assert_eq!(got.depth, want.granted[row], "{} {depth:?}, row {row}: {own:?}", gate.name);
                assert_eq!(got.scores[0], 0.0, "nothing is measured before the first round");
                for (round, score) in got.scores.iter().enumerate() {
                    assert!((score - own[round]).abs() < 1e-4, "{} row {row}: {got:?}, want {own:?}", gate.name);
                }
                let judged = cross_entropy::cpu(&want.logits[row], tokens[row + 1] as usize);
                assert!(
                    (got.log_probability - judged.log_probability).abs() < 2e-3,
                    "{} row {row}: {got:?}",
                    gate.name
                );
            }
            assert_eq!(close, 0, "{}: decisions too close to judge", gate.name);
            let mut depths: Vec<u32> = got.iter().map(|score| score.depth).collect();
            depths.sort_unstable();
            depths.dedup();
            assert_eq!(depths, if depth == Depth::Model { vec![1, 2, 3] } else { vec![2] }, "{}", gate.name);
        }
    }
}

#[test]
fn pieces_company_order_and_preemption_change_nothing() {
    let (device, files) = (device(), files(STORIES));
    let prompts: Vec<(usize, Option<u32>)> =
        vec![(40, None), (33, None), (20, Some(1)), (40, None), (9, Some(3)), (1, None)];
    let mut alone = load(&device, &files, EngineOptions { prefix_cache: false, ..EngineOptions::default() });
    for gate in GATES {
        let thresholds = set(&mut alone, gate.name);
        let judged = score(&mut alone, Depth::Model);
        let want: Vec<Vec<TokenEvent>> = prompts.iter().map(|prompt| write(&mut alone, &[*prompt]).remove(0)).collect();
        let mut depths: Vec<u32> = want[0].iter().map(|token| token.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        assert!(depths.len() > 1, "{}: all tokens stop alike", gate.name);
        assert!(want[2].iter().all(|token| token.depth == 1) && want[4].iter().all(|token| token.depth == 3));
        // One row at a time, chunks, and too few pages for all.
        for (order, max_rows, lanes, cache_tokens) in [
            (Order::Waves, 1, 1, None),
            (Order::Waves, 16, 4, Some(192)),
            (Order::Mixed, 7, 4, None),
            (Order::Mixed, 64, 3, Some(192)),
        ] {
            let order = Some(order);
            let options = EngineOptions { order, max_rows, lanes, cache_tokens, ..EngineOptions::default() };
            let mut engine = load(&device, &files, options);
            block_on(engine.set_gate(gate.name)).unwrap();
            engine.set_thresholds(&thresholds).unwrap();
            let case = format!("{} {options:?}", gate.name);
            assert_eq!(score(&mut engine, Depth::Model), judged, "{case}");
            assert_eq!(write(&mut engine, &prompts), want, "{case}");
            if cache_tokens.is_none() {
                assert_eq!(write(&mut engine, &prompts), want, "from the prefix cache: {case}");
                assert!(engine.schedule().prefix_hit_tokens > 0, "{case}");
            } else {
                assert!(engine.schedule().preemptions > 0, "{case}");
            }
        }
    }
}

/// A tick's gate is asked over the lanes of the tick before, of which there may have been more.
#[test]
fn who_is_cancelled_beside_a_sequence_changes_nothing() {
    let (device, files) = (device(), files(STORIES));
    let options =
        EngineOptions { prefix_cache: false, lanes: 2, order: Some(Order::Mixed), ..EngineOptions::default() };
    let mut engine = load(&device, &files, options);
    for gate in GATES {
        set(&mut engine, gate.name);
        let want = write(&mut engine, &[(33, None)]).remove(0);
        let tokens = tokens(&engine);
        let request = |length: usize| Request { ignore_end: true, ..Request::new(tokens[..length].to_vec(), 40) };
        for moment in 1..9 {
            let [first, second] = [40, 33].map(|length| engine.submit(request(length)).unwrap());
            let (mut beside, mut written) = (0, vec![]);
            while let Some((id, event)) = block_on(engine.next()).unwrap() {
                if let Event::Token(token) = event {
                    if id == second {
                        written.push(token);
                    } else {
                        beside += 1;
                        if beside == moment {
                            engine.cancel(first);
                        }
                    }
                }
            }
            assert_eq!(written, want, "{} beside one that was cancelled after {moment} tokens", gate.name);
        }
    }
}

#[test]
fn a_gate_that_comes_and_goes_leaves_nothing_behind() {
    let (device, files) = (device(), files(STORIES));
    let mut engine = load(&device, &files, EngineOptions::default());
    let prompts = [(38, None)];
    let trained = write(&mut engine, &prompts);
    let bytes = engine.memory().state;
    let mut seen = vec![trained.clone()];
    for gate in GATES {
        set(&mut engine, gate.name);
        assert_eq!(engine.gate().map(|gate| gate.name), Some(gate.name));
        assert!(engine.memory().state > bytes, "what a gate keeps is counted");
        let written = write(&mut engine, &prompts);
        assert!(!seen.contains(&written), "{} decides as another did", gate.name);
        seen.push(written);
    }
    block_on(engine.set_gate(TRAINED)).unwrap();
    assert_eq!((write(&mut engine, &prompts), engine.memory().state), (trained, bytes), "the model's own comes back");
}

#[test]
fn a_depth_that_is_forced_is_the_same_under_every_gate() {
    let (device, files) = (device(), files(STORIES));
    let mut engine = load(&device, &files, EngineOptions::default());
    let texts = |engine: &mut Engine| -> Vec<Vec<(u32, u32)>> {
        let written = write(engine, &[(12, Some(1)), (12, Some(2)), (12, Some(3))]);
        written.iter().map(|tokens| tokens.iter().map(|token| (token.token, token.depth)).collect()).collect()
    };
    let want = texts(&mut engine);
    for gate in GATES {
        set(&mut engine, gate.name);
        assert_eq!(texts(&mut engine), want, "{}", gate.name);
    }
}

#[test]
fn logits_in_slices_give_the_same_scores() {
    let files = files(STORIES);
    let gpu = Gpu::on(device());
    let plan = Plan::of(&files.config).unwrap();
    let source = Safetensors::parse(&files.tensors, "model.safetensors").unwrap();
    let mut progress = |_, _| {};
    let loader = Loader::new(&gpu, &files.config, &source, &mut progress).unwrap();
    let mut weights = block_on(loader.load(&plan)).unwrap();
    let wanted = Room { lanes: 1, context: 64, rows: 23, heads: 1, cache_tokens: u32::MAX, alternatives: 0, span: 1 };
    let mut fit = Fit::new(&files.config, &plan, wanted, gpu.max_binding_bytes());
    let state = block_on(State::fitting(&gpu, &files.config, &plan, &weights, &mut fit)).unwrap();
    weights.gate.gate = Some(GATES[0].clone());
    weights.gate.rule = GATES[0].rule.text();
    gpu.write(&weights.gate.bias, 0, &[-0.5f32; 3]);
    let inputs: Vec<Input> =
        (0..23).map(|i| Input { lane: 0, position: i, token: 50 + 7 * i, written: false }).collect();
    let mut seen = vec![];
    for rows in [23u32, 1, 4, 22] {
        weights.gate.state.head = Some(HeadRoom {
            logits: gpu.buffer("logits", u64::from(rows * files.config.vocab_size) * 4).unwrap(),
            rows,
            piece: gpu.buffer("piece", u64::from(rows + 1) * 4).unwrap(),
        });
        for buffer in [&state.lanes.lengths, &state.lanes.reach, &state.rows.scores] {
            gpu.write(buffer, 0, &vec![0u32; buffer.bytes() as usize / 4]);
        }
        let (gpu, config, plan, weights, state) = (&gpu, &files.config, &plan, &weights, &state);
        let network = Network { gpu, config, plan, weights, state, recipe: &state.recipe };
        network.step(&Step { inputs: &inputs, heads: &[22], depth: Depth::Model, sample: false }, None).unwrap();
        let parts = [(&state.rows.granted, 0..46), (&state.rows.scores, 0..69), (&state.rows.logits, 0..4096)];
        let words: Vec<u32> = block_on(gpu.finish(gpu.read_parts_later(&parts))).unwrap();
        seen.push(words);
    }
    let depths: Vec<u32> = seen[0][..46].iter().step_by(2).copied().collect();
    assert!([1, 3].iter().all(|depth| depths.contains(depth)), "{depths:?}");
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_a_model_cannot_follow_is_refused() {
    let (device, stories) = (device(), files(STORIES));
    let refused = |engine: &mut Engine, name: &str| match block_on(engine.set_gate(name)) {
        Err(Error::Request(RequestError::Setting { name: "gate", range, .. })) => range,
        other => panic!("{name}: {other:?}"),
    };
    let mut engine = load(&device, &stories, EngineOptions::default());
    assert_eq!(refused(&mut engine, "entropy"), "trained or top-2-gap or cosine");
    assert_eq!(engine.gate().map(|gate| gate.name), Some(TRAINED));

    let mut plain = stories.config.clone();
    (plain.recursion, plain.router) = (None, None);
    let plan = Plan::of(&plain).unwrap();
    let why = |plan: &Plan, name: &str| plan.gate_named(name).unwrap_err().to_string();
    assert!(why(&plan, "cosine").contains("keys and values"), "{}", why(&plan, "cosine"));
    assert!(why(&plan, TRAINED).contains("without a gate"), "{}", why(&plan, TRAINED));
    assert!(plan.gates().is_empty());

    let mut unseen = stories.config.clone();
    unseen.router = None;
    let plan = Plan::of(&unseen).unwrap();
    assert!(why(&plan, "top-2-gap").contains("keys and values"), "every token is to leave its own in each round");
}

#[test]
fn what_no_kernel_runs_is_refused() {
    let plan = Plan::of(&files(STORIES).config).unwrap();
    for (measure, named) in [
        (Measure::Head(HeadStatistic::Largest), "Largest"),
        (Measure::Head(HeadStatistic::Entropy), "Entropy"),
        (Measure::Change(Change::Distance), "Distance"),
        (Measure::Accumulated(0), "accumulated"),
    ] {
        let mut plan = plan.clone();
        plan.gate.as_mut().unwrap().measure = measure;
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(plan.admits(plan.gate.as_ref().unwrap()).unwrap_err().contains(named));
    }
    let refused = |named: &str, change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    };
    refused("Mix at the entry", &|plan| plan.rounds[1].entry = Some(Operation::Mix));
    refused("Norm at the end", &|plan| plan.rounds[2].end = Some(Operation::Norm));
    for missing in [MissingKeys::Propagated, MissingKeys::Deferred, MissingKeys::FromExit, MissingKeys::LastWrite] {
        refused(&format!("{missing:?}"), &|plan| plan.missing = missing);
    }
    refused("check", &|plan| plan.commitment = Commitment::Guess);
}
