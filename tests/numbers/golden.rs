//! Golden runs: every case folder on the GPU and on the judge, against what the reference implementations computed.
//!
//! Tolerances are those of the vectors' README: logits 1e-3 absolute, hidden states 1e-3 of their largest magnitude,
//! indices, selected sets and depths exactly (unless the deciding logits lie within 1e-4 of each other: reported).

use std::collections::HashMap;

use isobath::gpu::{Buffer, Gpu};
use isobath::judge::{Judge, Outcome as Judged, Sequence};
use isobath::kernels::padded;
use isobath::network::config::RouterKind;
use isobath::network::plan::Plan;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Probe, Step};
use isobath::runtime::weights::{Loader, Weights};
use pollster::block_on;

use crate::support::case::{self, Act, Case};

/// A case on the GPU.
struct Loaded<'a> {
    case: &'a Case,
    gpu: &'a Gpu,
    plan: Plan,
    weights: Weights,
    lanes: u32,
    tokens: u32,
}

/// What a step left: logits by row, and the router's work.
struct Outcome {
    logits: Vec<f32>,
    scores: Vec<f32>,
    gates: Vec<f32>,
    granted: Vec<u32>,
}

fn open() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("golden runs need a GPU adapter")
}

impl<'a> Loaded<'a> {
    fn new(case: &'a Case, gpu: &'a Gpu) -> Self {
        let plan = Plan::of(&case.config).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let mut quiet = |_, _| {};
        let loader =
            Loader::new(gpu, &case.config, &case.source, &mut quiet).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let weights = block_on(loader.load(&plan)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let ids = case.act("input_ids");
        Self { case, gpu, plan, weights, lanes: ids.shape[0] as u32, tokens: ids.shape[1] as u32 }
    }

    fn state(&self) -> State {
        let rows = self.lanes * self.tokens;
        let room = Room {
            lanes: self.lanes,
            context: 64,
            rows,
            heads: rows,
            cache_tokens: u32::MAX,
            alternatives: 0,
            span: 1,
        };
        block_on(State::new(self.gpu, &self.case.config, &self.plan, &self.weights, room)).expect("state")
    }

    fn network<'n>(&'n self, state: &'n State) -> Network<'n> {
        let (gpu, config, plan, weights) = (self.gpu, &self.case.config, &self.plan, &self.weights);
        Network { gpu, config, plan, weights, state, recipe: &state.recipe }
    }

    /// Positions `from..to` of every lane in one step.
    fn run(&self, state: &State, from: u32, to: u32, depth: Depth, probe: Option<&mut Probe>) -> Outcome {
        let ids = self.case.act("input_ids");
        let input = |lane: u32, position: u32| Input {
            lane,
            position,
            token: ids.indices(lane as usize)[position as usize],
            written: false,
        };
        let inputs: Vec<Input> =
            (0..self.lanes).flat_map(|lane| (from..to).map(move |p| (lane, p))).map(|(l, p)| input(l, p)).collect();
        let heads: Vec<u32> = (0..inputs.len() as u32).collect();
        let step = Step { inputs: &inputs, heads: &heads, depth, sample: false };
        self.network(state).step(&step, probe).expect("step");
        let n = inputs.len() as u64;
        let read = |buffer: &Buffer, words: u64| block_on(self.gpu.read::<f32>(buffer, 0..n * words)).expect("read");
        Outcome {
            logits: read(&state.rows.logits, self.case.config.vocab_size.into()),
            scores: read(&state.rows.scores, self.plan.n_rounds().into()),
            gates: read(&state.rows.factors, 1),
            granted: read(&state.rows.granted, 2).iter().step_by(2).map(|x| x.to_bits()).collect(),
        }
    }

    /// Logits `[lanes, tokens, vocabulary]` of the whole sequence in pieces of the given lengths, then one by one.
    fn run_in_pieces(&self, pieces: &[u32]) -> Vec<f32> {
        let state = self.state();
        let vocabulary = self.case.config.vocab_size as usize;
        let mut logits = vec![f32::NAN; (self.lanes * self.tokens) as usize * vocabulary];
        let mut from = 0;
        let mut pieces = pieces.iter().copied();
        while from < self.tokens {
            let to = (from + pieces.next().unwrap_or(1)).min(self.tokens);
            let outcome = self.run(&state, from, to, Depth::Model, None);
            let width = (to - from) as usize * vocabulary;
            for lane in 0..self.lanes as usize {
                let start = (lane * self.tokens as usize + from as usize) * vocabulary;
                logits[start..start + width].copy_from_slice(&outcome.logits[lane * width..][..width]);
            }
            from = to;
        }
        logits
    }
}

fn close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let worst =
        got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, |a: f32, b| if b.is_nan() { b } else { a.max(b) });
    assert!(worst <= tolerance, "{what}: off by {worst}, allowed {tolerance}");
}

fn close_hidden(what: &str, got: &[f32], want: &[f32]) {
    let largest = want.iter().fold(0f32, |a, b| a.max(b.abs()));
    close(what, got, want, 1e-3 * largest);
}

fn logits_of(case: &Case, name: &str) -> Vec<f32> {
    case.act(name).values.iter().map(|&x| x as f32).collect()
}

/// Copies of a probe by name: rows of `hidden_size`, and the rows that ran.
fn looks(loaded: &Loaded<'_>, probe: &Probe) -> HashMap<String, (Vec<Vec<f32>>, Vec<u32>)> {
    let stride = padded(loaded.case.config.hidden_size) as usize;
    let n = loaded.lanes * loaded.tokens;
    let mut found = HashMap::new();
    for (name, rows, list) in &probe.copies {
        let numbers: Vec<f32> = block_on(loaded.gpu.read(rows, 0..u64::from(n) * stride as u64)).expect("read");
        let rows =
            numbers.chunks_exact(stride).map(|row| row[..loaded.case.config.hidden_size as usize].to_vec()).collect();
        let listed = match list {
            None => (0..n).collect(),
            Some(list) => {
                let words: Vec<u32> = block_on(loaded.gpu.read(list, 0..u64::from(n) + 1)).expect("read");
                words[1..=words[0] as usize].to_vec()
            }
        };
        found.insert(name.clone(), (rows, listed));
    }
    found
}

/// Compares a probe with a vector `[lanes, tokens or fewer, hidden]`: fewer when only the rows that ran were kept.
fn compare(loaded: &Loaded<'_>, what: &str, look: &(Vec<Vec<f32>>, Vec<u32>), act: &Act) {
    let (rows, listed) = look;
    let width = loaded.case.config.hidden_size as usize;
    for lane in 0..loaded.lanes {
        let want = act.row(lane as usize);
        let mine: Vec<u32> = listed.iter().copied().filter(|row| row / loaded.tokens == lane).collect();
        let compacted = want.len() / width == mine.len();
        assert!(compacted || want.len() / width == loaded.tokens as usize, "{what}: {} rows ran", mine.len());
        for (place, row) in mine.iter().enumerate() {
            let place = if compacted { place } else { (row % loaded.tokens) as usize };
            close_hidden(what, &rows[*row as usize], &want[place * width..][..width]);
        }
    }
}

/// Prefill of the official code, with everything it computes on the way.
fn check_prefill(loaded: &Loaded<'_>) {
    let case = loaded.case;
    let state = loaded.state();
    let router = case.config.router.as_ref();
    let expert = router.is_some_and(|router| router.kind == RouterKind::Expert);
    let mut probe = Probe::default();
    let depth = if expert { Depth::Together } else { Depth::Model };
    let outcome = loaded.run(&state, 0, loaded.tokens, depth, Some(&mut probe));
    if expert && !same_selection(loaded, &outcome) {
        return;
    }
    let looks = looks(loaded, &probe);
    let look = |name: &str| looks.get(name).unwrap_or_else(|| panic!("{}: no look at {name}", case.name));
    let mut names = vec![("embed".to_owned(), "prefill.embed".to_owned())];
    names.extend((0..case.config.n_layers).map(|l| (format!("layer{l}"), format!("prefill.layer{l:02}.out"))));
    names.push(("final_norm".to_owned(), "prefill.final_norm".to_owned()));
    for (name, act) in names {
        compare(loaded, &format!("{} {name}", case.name), look(&name), case.act(&act));
    }
    if expert {
        for round in 0..loaded.plan.n_rounds() {
            let act = case.act(&format!("prefill.rec{round}.hidden_out"));
            compare(loaded, &format!("{} round {round}", case.name), look(&format!("round{round}.hidden")), act);
        }
    } else if router.is_some() {
        check_token(loaded, &outcome);
        compare(loaded, &format!("{} block", case.name), look("block.hidden"), case.act("prefill.mor.out"));
    }
    close(&format!("{} logits", case.name), &outcome.logits, &logits_of(case, "prefill.logits"), 1e-3);
}

/// Compares scores and selected sets; `false` where a selection was too close to call.
fn same_selection(loaded: &Loaded<'_>, outcome: &Outcome) -> bool {
    let (case, n, rounds) = (loaded.case, loaded.tokens, loaded.plan.n_rounds());
    for (round, lane) in (0..rounds).flat_map(|round| (0..loaded.lanes).map(move |lane| (round, lane))) {
        let at = |position: &u32| (lane * n + position) as usize;
        let ran = |least: u32| (0..n).filter(|p| outcome.granted[at(p)] >= least).collect::<Vec<_>>();
        let active = case.act(&format!("prefill.rec{round}.active_idx")).indices(lane as usize);
        let selected = case.act(&format!("prefill.rec{round}.selected_idx")).indices(lane as usize);
        assert_eq!(ran(round), active, "{} round {round}: active rows", case.name);
        let score = |p: &u32| outcome.scores[at(p) * rounds as usize + round as usize];
        let scores: Vec<f32> = active.iter().map(score).collect();
        let want = case.act(&format!("prefill.rec{round}.router_logits")).row(lane as usize);
        close_hidden(&format!("{} router {round}", case.name), &scores, &want);
        if ran(round + 1) != selected {
            // The scores that differ in the two selections must be as good as equal.
            let swapped = |p: &&u32| selected.contains(p) != (outcome.granted[at(p)] > round);
            let differing: Vec<f32> = active.iter().filter(swapped).map(score).collect();
            let spread =
                differing.iter().fold(f32::MIN, |a, z| a.max(*z)) - differing.iter().fold(f32::MAX, |a, z| a.min(*z));
            assert!(spread < 1e-4, "{} round {round}: selected {:?}, want {selected:?}", case.name, ran(round + 1));
            eprintln!("{} round {round}: selection decided by {spread}, the rest is not compared", case.name);
            return false;
        }
    }
    true
}

fn check_token(loaded: &Loaded<'_>, outcome: &Outcome) {
    let case = loaded.case;
    close_hidden(&format!("{} router", case.name), &outcome.scores, &logits_of(case, "prefill.router_logits"));
    let depths: Vec<u32> = case.act("prefill.depth").values.iter().map(|&d| d as u32 + 1).collect();
    assert_eq!(outcome.granted, depths, "{} depths", case.name);
    close(&format!("{} gates", case.name), &outcome.gates, &logits_of(case, "prefill.gate"), 1e-4);
}

/// Keys and values in the cache after decoding, where the case has them.
fn check_cache(loaded: &Loaded<'_>, state: &State) {
    let case = loaded.case;
    let mut slots: Vec<u64> =
        case.json["layer_plan"].as_array().unwrap().iter().map(|l| l["kv_slot"].as_u64().unwrap()).collect();
    slots.sort_unstable();
    slots.dedup();
    for (index, &slot) in slots.iter().enumerate() {
        let Some(keys) = case.acts.get(&format!("decode.cache.{index:02}.k")) else { continue };
        let values = case.act(&format!("decode.cache.{index:02}.v"));
        let unrolled =
            case.json["layer_plan"].as_array().unwrap().iter().position(|l| l["kv_slot"] == slot).unwrap() as u32;
        let layer = loaded.plan.layers.iter().find(|layer| layer.unrolled.contains(&unrolled)).unwrap();
        let depth = layer.unrolled.iter().position(|&l| l == unrolled).unwrap() as u32;
        let class = layer.cache.class_base + depth * layer.cache.class_step;
        let cache = &state.caches[layer.cache.buffer].bindings[0];
        let numbers: Vec<f32> = block_on(loaded.gpu.read(cache, 0..cache.bytes() / 4)).expect("read");
        let pages: Vec<u32> =
            block_on(loaded.gpu.read(&state.lanes.pages, 0..state.lanes.pages.bytes() / 4)).expect("read");
        let config = &case.config;
        let (page_size, head4) = (isobath::kernels::PAGE, config.head_dim.div_ceil(4));
        for (which, act) in [keys, values].into_iter().enumerate() {
            let [_, heads, entries, width] = act.shape[..] else {
                panic!("{}: cache shape {:?}", case.name, act.shape)
            };
            for lane in 0..loaded.lanes {
                let want = act.row(lane as usize);
                for (i, want) in want.chunks_exact(width).enumerate() {
                    let (head, entry) = ((i / entries) as u32, (i % entries) as u32);
                    let page = pages
                        [((lane * loaded.plan.classes + class) * state.sizes.max_pages + entry / page_size) as usize];
                    let vector = ((page * heads as u32 + head) * 2 + which as u32) * page_size + entry % page_size;
                    let got = &numbers[(vector * head4 * 4) as usize..][..width];
                    close(
                        &format!("{} cache {slot} entry {entry}", case.name),
                        got,
                        want,
                        1e-3 * want.iter().fold(1f32, |a, b| a.max(b.abs())),
                    );
                }
            }
        }
    }
}

/// Cases whose decoding is the same computation as their prefill.
fn check_pieces(loaded: &Loaded<'_>, prefix: &str) {
    let case = loaded.case;
    let whole = loaded.run_in_pieces(&[loaded.tokens]);
    let want = logits_of(case, &format!("{prefix}logits"));
    close(&format!("{} in one piece", case.name), &whole, &want, 1e-3);
    let decoded = logits_of(case, "decode.logits");
    for pieces in [&[][..], &[16], &[5, 1, 7], &[2, 13]] {
        let got = loaded.run_in_pieces(pieces);
        close(&format!("{} in pieces {pieces:?}", case.name), &got, &decoded, 1e-3);
        let same = got.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{}: pieces {pieces:?} change bits", case.name);
    }
    if let Some(act) = case.acts.get("prefill16_decode.logits") {
        let want: Vec<f32> = act.values.iter().map(|&x| x as f32).collect();
        close(&format!("{} 16 then decode", case.name), &loaded.run_in_pieces(&[16]), &want, 1e-3);
    }
    let state = loaded.state();
    for position in 0..loaded.tokens {
        loaded.run(&state, position, position + 1, Depth::Model, None);
    }
    check_cache(loaded, &state);
}

/// The independent reference of the causal threshold; `false` where a decision was too close to call.
fn check_threshold(loaded: &Loaded<'_>) -> bool {
    let (case, n, rounds) = (loaded.case, loaded.tokens, loaded.plan.n_rounds());
    let state = loaded.state();
    let mut probe = Probe::default();
    let outcome = loaded.run(&state, 0, n, Depth::Model, Some(&mut probe));
    if let Some(depths) = case.acts.get("depth") {
        let depths: Vec<u32> = depths.values.iter().map(|&d| d as u32).collect();
        if outcome.granted != depths {
            let nearest = outcome.scores.iter().filter(|z| **z != 0.0).fold(f32::MAX, |a, z| a.min(z.abs()));
            assert!(nearest < 1e-4, "{}: depths {:?}, want {depths:?}", case.name, outcome.granted);
            eprintln!("{}: a depth was decided by {nearest}, the rest is not compared", case.name);
            return false;
        }
    }
    let looks = looks(loaded, &probe);
    for lane in 0..loaded.lanes {
        for round in 0..rounds {
            let name = |part: &str| format!("b{lane}.rec{round}.{part}");
            let Some(hidden) = case.acts.get(&name("hidden")) else { continue };
            let width = case.config.hidden_size as usize;
            let (rows, _) = &looks[&format!("round{round}.hidden")];
            for p in 0..n as usize {
                let want: Vec<f32> = hidden.values[p * width..][..width].iter().map(|&x| x as f32).collect();
                close_hidden(
                    &format!("{} {}", case.name, name("hidden")),
                    &rows[lane as usize * n as usize + p],
                    &want,
                );
            }
            let indices = |part: &str| case.act(&name(part)).values.iter().map(|&x| x as u32).collect::<Vec<_>>();
            let ran =
                |least: u32| (0..n).filter(|p| outcome.granted[(lane * n + p) as usize] >= least).collect::<Vec<_>>();
            assert_eq!(ran(round), indices("active"), "{} {}", case.name, name("active"));
            assert_eq!(ran(round + 1), indices("selected"), "{} {}", case.name, name("selected"));
            let active = indices("active");
            let scores: Vec<f32> =
                active.iter().map(|p| outcome.scores[((lane * n + p) * rounds + round) as usize]).collect();
            let want: Vec<f32> = case.act(&name("logits")).values.iter().map(|&x| x as f32).collect();
            close_hidden(&format!("{} {}", case.name, name("logits")), &scores, &want);
        }
    }
    true
}

fn check_on_the_gpu(gpu: &Gpu, case: &Case) {
    let loaded = Loaded::new(case, gpu);
    let expert = case.config.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert);
    if case.acts.contains_key("prefill.logits") {
        check_prefill(&loaded);
        // Expert-choice decoding of the official code runs every token at full depth: a defect, not a target.
        if !expert {
            check_pieces(&loaded, "prefill.");
        }
    } else if check_threshold(&loaded) {
        check_pieces(&loaded, "");
    }
}

/// Runs every case and tells all that fail, not only the first.
fn every_case(check: impl Fn(&Case)) {
    let cases = case::all();
    let kind = |prefix: &str| cases.iter().filter(|case| case.name.starts_with(prefix)).count();
    let enough = kind("mor_") >= 4 && kind("rec_") >= 2 && kind("ref_") >= 5 && kind("var_") >= 8;
    assert!(enough, "golden cases are missing");
    let failed: Vec<&str> = cases
        .iter()
        .filter(|case| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case))).is_err())
        .map(|case| case.name.as_str())
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
}

#[test]
fn every_case_on_the_gpu() {
    let gpu = open();
    every_case(|case| check_on_the_gpu(&gpu, case));
}

/// One lane of a case on the CPU, in pieces of the given lengths, then one by one.
fn judged(judge: &Judge<'_>, tokens: &[u32], pieces: &[usize], depth: Depth) -> (Vec<f32>, Vec<Judged>) {
    let (mut sequence, mut logits, mut outcomes) = (Sequence::default(), Vec::new(), Vec::new());
    let (mut rest, mut pieces) = (tokens, pieces.iter().copied());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(pieces.next().unwrap_or(1).min(rest.len()));
        let outcome = judge.run(&mut sequence, now, depth);
        logits.extend(outcome.logits.iter().flatten());
        outcomes.push(outcome);
        rest = later;
    }
    (logits, outcomes)
}

fn check_layers(case: &Case, lane: usize, tokens: usize, outcome: &Judged) {
    let width = case.config.hidden_size as usize;
    for (layer, (ran, rows)) in &outcome.layers {
        let what = format!("{} layer {layer} on the CPU", case.name);
        let want = case.act(&format!("prefill.layer{layer:02}.out")).row(lane);
        let compacted = want.len() / width == ran.len();
        assert!(compacted || want.len() / width == tokens, "{what}");
        for (place, &row) in ran.iter().enumerate() {
            let place = if compacted { place } else { row };
            close_hidden(&what, &rows[row], &want[place * width..][..width]);
        }
    }
}

/// Router scores, selected sets and depths of the official code; `false` where a selection was too close to call.
fn check_routing(case: &Case, lane: usize, outcome: &Judged) -> bool {
    let Some(router) = &case.config.router else { return true };
    if router.kind == RouterKind::Token {
        let depths: Vec<u32> = case.act("prefill.depth").indices(lane).iter().map(|depth| depth + 1).collect();
        assert_eq!(outcome.granted, depths, "{} depths on the CPU", case.name);
        close_hidden(&case.name, &outcome.scores.concat(), &case.act("prefill.router_logits").row(lane));
        return true;
    }
    let ran = |least: u32| (0u32..).zip(&outcome.granted).filter(move |(_, n)| **n >= least).map(|(p, _)| p);
    for round in 0..case.config.n_recursions() {
        let name = |part: &str| format!("prefill.rec{round}.{part}");
        let active: Vec<u32> = ran(round).collect();
        assert_eq!(active, case.act(&name("active_idx")).indices(lane), "{} {}", case.name, name("active_idx"));
        let scores: Vec<f32> = active.iter().map(|&p| outcome.scores[p as usize][round as usize]).collect();
        close_hidden(&name("router_logits"), &scores, &case.act(&name("router_logits")).row(lane));
        let (got, want) = (ran(round + 1).collect::<Vec<_>>(), case.act(&name("selected_idx")).indices(lane));
        if got != want {
            let differing = active.iter().zip(&scores).filter(|(p, _)| got.contains(p) != want.contains(p));
            let (low, high) = differing.fold((f32::MAX, f32::MIN), |(low, high), (_, z)| (low.min(*z), high.max(*z)));
            assert!(high - low < 1e-4, "{} {}: {got:?}, want {want:?}", case.name, name("selected_idx"));
            eprintln!(
                "{} round {round} on the CPU: selection decided by {}, the rest is not compared",
                case.name,
                high - low
            );
            return false;
        }
    }
    true
}

fn check_on_the_cpu(case: &Case) {
    let plan = Plan::of(&case.config).expect("plan");
    let judge = Judge::new(&case.config, &plan, &case.source, 64).expect("reference");
    let expert = case.config.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert);
    let official = case.acts.contains_key("prefill.logits");
    let ids = case.act("input_ids");
    for lane in 0..ids.shape[0] {
        let tokens = ids.indices(lane);
        let depth = if expert && official { Depth::Together } else { Depth::Model };
        let (logits, outcomes) = judged(&judge, &tokens, &[tokens.len()], depth);
        if official && !check_routing(case, lane, &outcomes[0]) {
            continue;
        }
        let want = case.act(if official { "prefill.logits" } else { "logits" }).row(lane);
        close(&format!("{} on the CPU", case.name), &logits, &want, 1e-3);
        if official {
            check_layers(case, lane, tokens.len(), &outcomes[0]);
        } else if let Some(depths) = case.acts.get("depth") {
            assert_eq!(outcomes[0].granted, depths.indices(lane), "{} depths on the CPU", case.name);
        }
        if !official || !expert {
            for pieces in [&[][..], &[5, 1, 7]] {
                let (logits, _) = judged(&judge, &tokens, pieces, depth);
                close(
                    &format!("{} decoded on the CPU", case.name),
                    &logits,
                    &case.act("decode.logits").row(lane),
                    1e-3,
                );
            }
        }
    }
}

#[test]
fn every_case_on_the_cpu_reference() {
    every_case(check_on_the_cpu);
}
