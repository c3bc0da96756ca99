//! Layers that are put off against an independent oracle of FREE, EE-LLM and LayerSkip: tokens, exits, what was measured within 1e-4,
//! rows that ran together, fitted thresholds, and the cache, within 2e-5.

use std::fs;
use std::path::Path;

use isobath::depth::beta::Fit;
use isobath::engine::deferring::{Deferring, DeferringCounts, Logged};
use isobath::engine::drafters::ReadoutSource;
use isobath::engine::event::Event;
use isobath::engine::request::Request;
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::error::ModelError;
use isobath::files::safetensors::Safetensors;
use isobath::gpu::Gpu;
use isobath::kernels::PAGE;
use isobath::kernels::deferring::commit::Waiting;
use isobath::kernels::draw::sample::Settings;
use isobath::kernels::exits::finish::LaneEvent;
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::deferral::{Deferral, Exit, Measure};
use isobath::runtime::draft::readout::Readout;
use isobath::runtime::lane::{Assignment, LaneDepth};
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::tick::{Order, Tick};
use isobath::runtime::weights::{Loader, Weights};
use isobath::tensor::{Tensor, TensorSource};
use isobath::text::Tokenizer;
use pollster::block_on;
use serde_json::Value;

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exits").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

/// The plain model among the vectors' tensors.
struct Plain<'a>(&'a Safetensors<'a>);

impl TensorSource for Plain<'_> {
    fn names(&self) -> Vec<String> {
        let own = |name: &String| name.starts_with("model.") || name == "lm_head.weight";
        self.0.names().into_iter().filter(own).collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        self.0.tensor(name)
    }
}

fn values(file: &Safetensors<'_>, name: &str) -> Option<Vec<f32>> {
    let tensor = file.tensor(name).unwrap()?;
    Some(tensor.data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect())
}

/// Whole numbers of a tensor, by the file's own header.
fn places(file: &[u8], name: &str) -> Option<Vec<u32>> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let offsets = numbers(&header.get(name)?["data_offsets"]);
    let data = &file[8 + length..][offsets[0] as usize..offsets[1] as usize];
    Some(data.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect())
}

fn config() -> ModelConfig {
    ModelConfig::from_json(&String::from_utf8(read("config.json")).unwrap()).unwrap()
}

fn gpu() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap()
}

fn engine(lanes: u32) -> Engine {
    let bytes = read("weights.safetensors");
    let weights = Safetensors::parse(&bytes, "weights.safetensors").unwrap();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny/tokenizer.json");
    let tokenizer = Tokenizer::from_json(&fs::read(tokenizer).unwrap()).unwrap();
    let options = EngineOptions { lanes, deferred: 20, prefix_cache: false, ..EngineOptions::default() };
    block_on(Engine::load(gpu(), &config(), &Plain(&weights), tokenizer, options, &mut |_, _| {})).unwrap()
}

fn requests() -> Vec<Request> {
    let all = json("prompts.json");
    let prompts = all["prompts"].as_array().unwrap().iter().map(numbers);
    let one = |(prompt, count)| Request { ignore_end: true, ..Request::new(prompt, count) };
    prompts.zip(numbers(&all["counts"])).map(one).collect()
}

/// What a sequence wrote: tokens, exits, and what was measured for each.
#[derive(Debug, Default, Clone, PartialEq)]
struct Written {
    tokens: Vec<u32>,
    exits: Vec<u32>,
    scores: Vec<Vec<f32>>,
}

fn write(engine: &mut Engine, requests: &[Request]) -> Vec<Written> {
    let ids: Vec<SequenceId> = requests.iter().map(|request| engine.submit(request.clone()).unwrap()).collect();
    let mut written = vec![Written::default(); ids.len()];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        let Event::Token(token) = event else { continue };
        let own = &mut written[ids.iter().position(|other| *other == id).unwrap()];
        own.tokens.push(token.token);
        own.exits.push(token.depth);
        own.scores.push(token.scores);
    }
    written
}

/// A case's way, by its settings.
fn way(system: &str, settings: &Value, weights: &Safetensors<'_>) -> Deferring {
    let most = settings["bound"].as_u64().map(|bound| bound as u32);
    let number = |name: &str| settings[name].as_f64().unwrap() as f32;
    if system == "layerskip" {
        return Deferring::First { rounds: number("shallow") as u32 };
    }
    if system == "free" {
        let fitted = settings["adaptive"].as_str().map(|which| match which {
            "all" => Logged::All,
            _ => Logged::Waiting,
        });
        return Deferring::Once { rounds: number("shallow") as u32, threshold: number("threshold"), fitted, most };
    }
    let readout = |place: usize| match settings["heads"].as_str().unwrap() {
        "own" => ReadoutSource::Head {
            norm: values(weights, &format!("heads.{place}.norm.weight")).unwrap(),
            weight: values(weights, &format!("heads.{place}.linear.weight")).unwrap(),
        },
        _ => ReadoutSource::Model,
    };
    let exits = numbers(&settings["probes"]).into_iter().enumerate().map(|(i, rounds)| (rounds, readout(i))).collect();
    Deferring::Several { exits, least_probability: number("threshold"), most }
}

/// Passes of all layers, and rows in them, as the oracle counts them.
fn whole_passes(sequence: &Value) -> (u64, u64) {
    let exits = numbers(&sequence["exits"]);
    if let Some(flushes) = sequence["flushes"].as_array() {
        return (flushes.len() as u64, flushes.iter().map(|flush| flush[1].as_u64().unwrap()).sum());
    }
    let rows = sequence["rows"].as_array().map(|_| numbers(&sequence["rows"])).unwrap_or_default();
    let whole = exits[1..].iter().zip(rows).filter(|(exit, _)| **exit == 8);
    (whole.clone().count() as u64, whole.map(|(_, rows)| u64::from(rows)).sum())
}

fn compare(name: &str, case: &Value, got: &[Written], measured: &Safetensors<'_>) {
    let probes = numbers(&case["probes"]);
    for (i, (got, want)) in got.iter().zip(case["sequences"].as_array().unwrap()).enumerate() {
        assert_eq!(got.tokens, numbers(&want["tokens"]), "{name}: sequence {i}");
        assert_eq!(got.exits, numbers(&want["exits"]), "{name}: sequence {i}");
        let Some(confidence) = values(measured, &format!("{name}.{i}.confidence")) else { continue };
        for (place, want) in confidence.chunks_exact(probes.len()).enumerate() {
            // Where a row had to go deeper untested, what was measured all the same is told.
            for (want, got) in want.iter().zip(&got.scores[place]).filter(|(want, _)| !want.is_nan()) {
                assert!((want - got).abs() < 1e-4, "{name}: sequence {i}, token {place}: {got}, not {want}");
            }
            let known = want.iter().filter(|want| !want.is_nan()).count();
            assert!(got.scores[place].len() >= known, "{name}: sequence {i}, token {place}");
        }
    }
}

fn check(system: &str) {
    let (cases, bytes, own) = (json(&format!("{system}.json")), read("weights.safetensors"), system != "layerskip");
    let measured = if own { read(&format!("{system}.safetensors")) } else { bytes.clone() };
    let weights = Safetensors::parse(&bytes, "weights.safetensors").unwrap();
    let measured = Safetensors::parse(&measured, "measured").unwrap();
    let (mut alone, mut together, requests) = (engine(1), engine(7), requests());
    let mut seen = 0;
    for case in cases["cases"].as_array().unwrap() {
        let (name, settings) = (case["name"].as_str().unwrap(), &case["settings"]);
        // Checked rounds are no matter of layers put off; nothing is taken back here.
        if settings["drafts"].as_u64().is_some_and(|drafts| drafts > 0) || settings.get("rollback").is_some() {
            continue;
        }
        seen += 1;
        let way = way(system, settings, &weights);
        block_on(alone.set_deferring(Some(&way))).unwrap();
        let mut written = vec![];
        for (i, request) in requests.iter().enumerate() {
            let (before, logged) = (alone.deferring_counts(), alone.deferring_history().0.len());
            written.extend(write(&mut alone, std::slice::from_ref(request)));
            let sequence = &case["sequences"][i];
            let DeferringCounts { whole, rows, .. } = alone.deferring_counts();
            let told = (whole - before.whole, rows - before.rows);
            assert_eq!(told, whole_passes(sequence), "{name}: sequence {i}");
            if let Some(fit) = case["fits"].get(i) {
                assert_eq!(fit["logged"].as_u64(), Some(logged as u64), "{name}: sequence {i}");
                let threshold = fit["threshold"].as_f64().unwrap() as f32;
                assert!((alone.deferring_history().1 - threshold).abs() < 1e-6, "{name}: sequence {i}");
            }
        }
        compare(name, case, &written, &measured);
        if settings.get("adaptive").is_none() {
            block_on(together.set_deferring(Some(&way))).unwrap();
            assert_eq!(write(&mut together, &requests), written, "{name}: together");
        }
    }
    assert!(seen > 0);
}

#[test]
fn free_is_the_oracles() {
    check("free");
}

#[test]
fn ee_llm_is_the_oracles() {
    check("eellm");
}

#[test]
fn layerskip_without_a_check_is_the_oracles() {
    check("layerskip");
}

#[test]
fn fitted_thresholds_are_the_oracles() {
    for table in json("beta_mixture.json")["tables"].as_array().unwrap() {
        let name = &table["name"];
        let pair = |pair: &Value| (pair[0].as_f64().unwrap() as f32, pair[1].as_u64() == Some(1));
        let history: Vec<(f32, bool)> = table["history"].as_array().unwrap().iter().map(pair).collect();
        let fit = Fit::of(&history);
        assert_eq!(fit.is_some(), !table["fit"].is_null(), "{name}");
        let threshold = fit.map_or(0.8, |fit| fit.threshold());
        assert!((threshold - table["threshold"].as_f64().unwrap()).abs() < 1e-12, "{name}: {threshold}");
        let Some(fit) = fit else { continue };
        let near = |got: f64, want: &Value, what: &str| {
            let want = want.as_f64().unwrap();
            // Confidences come in f32.
            assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{name}: {what}: {got}, not {want}");
        };
        for (i, beta) in [fit.wrong, fit.right].into_iter().enumerate() {
            near(beta.alpha, &table["fit"][i][0], "alpha");
            near(beta.beta, &table["fit"][i][1], "beta");
        }
        for (i, share) in fit.shares().into_iter().enumerate() {
            near(share, &table["share"][i], "share");
        }
    }
}

/// One lane, by ticks.
struct Lane<'a> {
    gpu: &'a Gpu,
    config: &'a ModelConfig,
    plan: &'a Plan,
    weights: &'a Weights,
    state: State,
}

const CONTEXT: u32 = 128;

impl<'a> Lane<'a> {
    fn new(gpu: &'a Gpu, config: &'a ModelConfig, plan: &'a Plan, weights: &'a Weights) -> Self {
        let room = Room {
            lanes: 1,
            span: 9,
            context: CONTEXT,
            rows: CONTEXT,
            heads: 9,
            cache_tokens: u32::MAX,
            alternatives: 0,
        };
        let state = block_on(State::new(gpu, config, plan, weights, room)).unwrap();
        Self { gpu, config, plan, weights, state }
    }

    fn network(&self) -> Network<'_> {
        let Self { gpu, config, plan, weights, state } = self;
        Network { gpu, config, plan, weights, state, recipe: &state.recipe }
    }

    fn read(&self, tokens: &[u32]) {
        let input = |(position, &token): (u32, &u32)| Input { lane: 0, position, token, written: false };
        let inputs: Vec<Input> = (0..).zip(tokens).map(input).collect();
        let heads = [tokens.len() as u32 - 1];
        let mut pass = self.gpu.pass();
        pass.clear(&self.state.lanes.events);
        let step = Step { inputs: &inputs, heads: &heads, depth: Depth::Model, sample: true };
        self.network().record(&mut pass, &step, None).unwrap();
        self.network().finish(&mut pass, (&self.state.rows.heads, 1)).unwrap();
        pass.submit();
    }

    fn events(&self) -> Vec<LaneEvent> {
        let events = &self.state.lanes.events;
        let words: Vec<u32> = block_on(self.gpu.read(events, 0..events.bytes() / 4)).unwrap();
        LaneEvent::parse(&words, self.plan.n_rounds(), 0)
    }

    /// Writes so many tokens behind a prompt; all of them.
    fn write(&mut self, prompt: &[u32], count: u32, threshold: f32) -> Vec<LaneEvent> {
        let settings = Settings { top_p: 1.0, penalty: 1.0, ..bytemuck::Zeroable::zeroed() };
        let to = Assignment {
            serial: 3,
            cached: &[],
            depths: &[],
            lengths: &vec![0; self.plan.classes as usize],
            reads: prompt.len() as u32,
            prompt: prompt.len() as u32,
            remaining: count,
            depth: LaneDepth::Gate,
            ends: false,
            settings,
        };
        self.state.assign(self.gpu, 0, &to).unwrap();
        self.state.ask_lane(self.gpu, 0, Waiting { threshold, counted: 0 });
        self.read(prompt);
        let mut written = self.events();
        while written.len() < count as usize {
            let mut pass = self.gpu.pass();
            pass.clear(&self.state.lanes.events);
            let tick =
                Tick { order: Order::Waves, lanes: 1, longest: CONTEXT, ragged: false, guesses: 0, guesses_before: 0 };
            self.network().tick(&mut pass, &tick).unwrap();
            pass.submit();
            written.extend(self.events());
        }
        written
    }

    /// Keys or values of a position in a layer, head by head.
    fn entry(&self, words: &[f32], position: u32, value: bool) -> Vec<f32> {
        let (heads, width) = (self.config.n_kv_heads, self.config.head_dim);
        let (page, entry) = (position / PAGE, position % PAGE);
        let head = |head: u32| (((page * heads + head) * 2 + u32::from(value)) * PAGE + entry) * width;
        (0..heads).flat_map(|at| words[head(at) as usize..][..width as usize].to_vec()).collect()
    }

    fn layer(&self, layer: usize) -> Vec<f32> {
        let binding = &self.state.caches[layer].bindings[0];
        block_on(self.gpu.read(binding, 0..binding.bytes() / 4)).unwrap()
    }
}

#[test]
fn what_waited_is_in_the_cache_as_the_whole_network_leaves_it() {
    let (bytes, file) = (read("weights.safetensors"), read("free.safetensors"));
    let (weights, measured) =
        (Safetensors::parse(&bytes, "weights").unwrap(), Safetensors::parse(&file, "measured").unwrap());
    let (gpu, config) = (gpu(), config());
    let plan = Plan::of(&config).unwrap();
    let source = Plain(&weights);
    let weights = block_on(Loader::new(&gpu, &config, &source, &mut |_, _| {}).unwrap().load(&plan)).unwrap();
    let request = &requests()[1];
    for case in ["low", "high"] {
        let cases = json("free.json");
        let case = cases["cases"].as_array().unwrap().iter().find(|one| one["name"] == case).unwrap();
        let (name, sequence) = (case["name"].as_str().unwrap(), &case["sequences"][1]);
        let shallow = case["settings"]["shallow"].as_u64().unwrap() as u32;
        let threshold = case["settings"]["threshold"].as_f64().unwrap() as f32;
        let mut lane = Lane::new(&gpu, &config, &plan, &weights);
        let exit = Exit { rounds: shallow, readout: Readout::FinalNorm };
        let deferral = Deferral::new(&gpu, &lane.state.sizes, vec![exit], Measure::Gap).unwrap();
        lane.state.defer(&gpu, &plan, Some(deferral)).unwrap();
        let written = lane.write(&request.prompt, request.max_tokens, threshold);
        let tokens: Vec<u32> = written.iter().map(|event| event.token).collect();
        assert_eq!(tokens, numbers(&sequence["tokens"]), "{name}");
        let flushes: Vec<Vec<u32>> = sequence["flushes"].as_array().unwrap().iter().map(numbers).collect();
        let whole = written.iter().enumerate().filter(|(place, event)| *place > 0 && event.depth == plan.n_rounds());
        let told: Vec<Vec<u32>> = whole.map(|(place, event)| vec![place as u32, event.rows]).collect();
        assert_eq!(told, flushes, "{name}: place of the token, rows");
        // The same tokens through the whole network at once.
        let all = [&request.prompt[..], &tokens[..tokens.len() - 1]].concat();
        let plain = Lane::new(&gpu, &config, &plan, &weights);
        plain.read(&all);
        let waits: Vec<u32> =
            numbers(&sequence["waiting"]).iter().map(|place| request.prompt.len() as u32 + place - 1).collect();
        let mut compared = 0;
        for layer in 0..plan.n_rounds() as usize {
            let (got, want) = (lane.layer(layer), plain.layer(layer));
            let deep = layer as u32 >= shallow;
            for position in (0..all.len() as u32).filter(|position| !deep || !waits.contains(position)) {
                for value in [false, true] {
                    let bits = |words: &[f32]| -> Vec<u32> {
                        lane.entry(words, position, value).iter().map(|x| x.to_bits()).collect()
                    };
                    assert_eq!(bits(&got), bits(&want), "{name}: layer {layer}, position {position}");
                }
            }
            let key = |part: &str| format!("{name}.1.layer{layer}.{part}");
            let Some(positions) = places(&file, &key("positions")) else { continue };
            for (part, value) in [("k", false), ("v", true)] {
                let oracle = values(&measured, &key(part)).unwrap();
                for (position, want) in positions.iter().zip(oracle.chunks_exact(oracle.len() / positions.len())) {
                    for (got, want) in lane.entry(&got, *position, value).iter().zip(want) {
                        assert!((got - want).abs() < 2e-5, "{name}: {part} of layer {layer}, position {position}");
                    }
                    compared += 1;
                }
            }
        }
        assert!(compared > 0, "{name}");
    }
}
