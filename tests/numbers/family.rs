//! Families against transformers, and made-up ones against the judge: logits and greedy text of small random models (`tests/family`,
//! written by `tests/oracles/family.py`), on the GPU and on the judge, in pieces, and in company.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use isobath::files::gguf::Gguf;
use isobath::files::random::Random;
use isobath::gpu::{Gpu, Traits};
use isobath::judge::{Judge, Sequence};
use isobath::network::config::ModelConfig;
use isobath::network::family::{AttentionBias, EmbeddingScale, Family, GgufNames, LLAMA, Norms, Windows};
use isobath::network::form::rotary::{RopeScaling, Rotary};
use isobath::network::form::{Activation, NormKind, Positions, Sees};
use isobath::network::names::check_tensors;
use isobath::network::plan::Plan;
use isobath::runtime::recipe::Recipe;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::weights::{Loader, Weights};
use isobath::tensor::TensorSource;
use isobath::tensor::values;
use pollster::block_on;

use crate::support::{gguf, tiny_model};
use serde_json::Value;

struct Case {
    name: String,
    config: ModelConfig,
    plan: Plan,
    source: Random,
    prompt: Vec<u32>,
    greedy: Vec<u32>,
    /// Position and logits.
    logits: Vec<(usize, Vec<f32>)>,
}

fn numbers<T: TryFrom<u64>>(value: &Value) -> Vec<T> {
    value.as_array().unwrap().iter().map(|x| T::try_from(x.as_u64().unwrap()).ok().unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/family");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    assert!(files.len() >= 10, "only {} cases", files.len());
    files.iter().map(|path| case(path)).collect()
}

fn case(path: &Path) -> Case {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let json: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let config = ModelConfig::from_json(&json["config"].to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut logits: Vec<(usize, Vec<f32>)> = json["logits"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(position, row)| {
            let row = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
            (position.parse().unwrap(), row)
        })
        .collect();
    logits.sort_by_key(|(position, _)| *position);
    let plan = Plan::of(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
    let untied = json["config"]["tie_word_embeddings"] == false;
    let source = Random::new(&config, json["seed"].as_u64().unwrap(), untied, 0);
    Case { name, plan, source, config, prompt: numbers(&json["prompt"]), greedy: numbers(&json["greedy"]), logits }
}

impl Case {
    /// Prompt and continuation.
    fn tokens(&self) -> Vec<u32> {
        [&self.prompt[..], &self.greedy].concat()
    }

    fn compare(&self, what: &str, all: &[Vec<f32>]) {
        for (position, want) in &self.logits {
            assert_eq!(all[*position].len(), want.len());
            for (got, want) in all[*position].iter().zip(want) {
                let error = (got - want).abs();
                assert!(error <= 1e-3, "{} {what}, position {position}: got {got}, want {want}", self.name);
            }
        }
        let best = |row: &Vec<f32>| (0u32..).zip(row).max_by(|a, b| a.1.total_cmp(b.1)).map(|(token, _)| token);
        let drawn: Vec<u32> = all[self.prompt.len() - 1..all.len() - 1].iter().filter_map(best).collect();
        assert_eq!(drawn, self.greedy, "{} {what}: greedy text", self.name);
    }
}

/// A case on the GPU, with room for three lanes.
struct Loaded<'a> {
    case: &'a Case,
    gpu: &'a Gpu,
    weights: Weights,
    state: State,
    /// The device's own, or that of a GPU that tells nothing, whose sums may go in another order.
    recipe: Recipe,
}

const LANES: u32 = 3;

impl<'a> Loaded<'a> {
    fn new(case: &'a Case, gpu: &'a Gpu, own: bool) -> Self {
        let mut quiet = |_, _| {};
        let loader = Loader::new(gpu, &case.config, &case.source, &mut quiet).unwrap();
        let weights = block_on(loader.load(&case.plan)).unwrap();
        let rows = LANES * case.tokens().len() as u32;
        let room = Room {
            lanes: LANES,
            context: case.config.context_length,
            rows,
            heads: rows,
            cache_tokens: u32::MAX,
            alternatives: 0,
            span: 1,
        };
        let state = block_on(State::new(gpu, &case.config, &case.plan, &weights, room)).unwrap();
        let recipe = if own { state.recipe.clone() } else { Recipe::new(&Traits::default(), LANES) };
        Self { case, gpu, weights, state, recipe }
    }

    /// Logits of each lane and position, the text of each in pieces, the rest one by one.
    fn run(&self, lanes: &[(u32, &[u32])], pieces: &[usize], depth: Depth) -> Vec<Vec<Vec<f32>>> {
        let (case, gpu) = (self.case, self.gpu);
        let network = Network {
            gpu,
            config: &case.config,
            plan: &case.plan,
            weights: &self.weights,
            state: &self.state,
            recipe: &self.recipe,
        };
        gpu.write(&self.state.lanes.lengths, 0, &vec![0u32; (LANES * case.plan.classes) as usize]);
        let vocabulary = case.config.vocab_size as usize;
        let longest = lanes.iter().map(|(_, tokens)| tokens.len()).max().unwrap();
        let mut logits = vec![Vec::new(); lanes.len()];
        let (mut from, mut pieces) = (0, pieces.iter().copied());
        while from < longest {
            let to = (from + pieces.next().unwrap_or(1)).min(longest);
            let (mut inputs, mut owners) = (Vec::new(), Vec::new());
            for (owner, (lane, tokens)) in lanes.iter().enumerate() {
                for (position, &token) in tokens.iter().enumerate().take(to).skip(from) {
                    inputs.push(Input { lane: *lane, position: position as u32, token, written: false });
                    owners.push(owner);
                }
            }
            let heads: Vec<u32> = (0..inputs.len() as u32).collect();
            network.step(&Step { inputs: &inputs, heads: &heads, depth, sample: false }, None).unwrap();
            let n = (inputs.len() * vocabulary) as u64;
            let out: Vec<f32> = block_on(gpu.read(&self.state.rows.logits, 0..n)).unwrap();
            for (owner, row) in owners.into_iter().zip(out.chunks_exact(vocabulary)) {
                logits[owner].push(row.to_vec());
            }
            from = to;
        }
        logits
    }
}

fn bits(logits: &[Vec<f32>]) -> Vec<u32> {
    logits.iter().flatten().map(|x| x.to_bits()).collect()
}

fn open() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("these runs need a GPU adapter")
}

/// Runs every case and tells all that fail, not only the first.
fn every_case(check: impl Fn(&Case)) {
    let cases = cases();
    let fails = |case: &&Case| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case))).is_err();
    let failed: Vec<&str> = cases.iter().filter(fails).map(|case| case.name.as_str()).collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
}

#[test]
fn the_gpu_agrees_with_transformers_whole_in_pieces_and_in_company() {
    let gpu = open();
    every_case(|case| [false, true].iter().for_each(|own| check_on_the_gpu(case, &gpu, *own)));
}

fn check_on_the_gpu(case: &Case, gpu: &Gpu, own: bool) {
    let loaded = Loaded::new(case, gpu, own);
    let tokens = case.tokens();
    let whole = loaded.run(&[(0, &tokens)], &[tokens.len()], Depth::Model).remove(0);
    case.compare(if own { "by the device's own kernels" } else { "by those of a GPU" }, &whole);
    let n = case.prompt.len();
    // Prompt, then one by one: what a run does; then pieces beside every boundary.
    for pieces in [&[n][..], &[n / 2 - 3, 1, 17, 2, 9]] {
        let pieced = loaded.run(&[(1, &tokens)], pieces, Depth::Model).remove(0);
        assert!(bits(&pieced) == bits(&whole), "{}: pieces {pieces:?} change bits", case.name);
    }
    let other: Vec<u32> = tokens.iter().map(|token| (token * 7 + 3) % case.config.vocab_size).collect();
    let together = loaded.run(&[(2, &other[..n / 2]), (0, &tokens), (1, &other)], &[n - 1, 2], Depth::Model);
    assert!(bits(&together[1]) == bits(&whole), "{}: company changes bits", case.name);
    let alone = loaded.run(&[(0, &other)], &[n], Depth::Model).remove(0);
    assert!(bits(&together[2]) == bits(&alone), "{}: company changes bits of another text", case.name);
}

#[test]
fn the_cpu_reference_agrees_with_transformers_and_with_the_gpu_at_every_depth() {
    let gpu = open();
    every_case(|case| {
        let (tokens, context) = (case.tokens(), case.config.context_length);
        let judge = Judge::new(&case.config, &case.plan, &case.source, context).unwrap();
        let mut sequence = Sequence::default();
        let (prompt, rest) = tokens.split_at(case.prompt.len());
        let mut logits = judge.run(&mut sequence, prompt, Depth::Model).logits;
        rest.iter().for_each(|&token| logits.extend(judge.run(&mut sequence, &[token], Depth::Model).logits));
        case.compare("on the CPU", &logits);
        let loaded = Loaded::new(case, &gpu, false);
        for rounds in 1..case.plan.n_rounds() {
            let depth = Depth::Fixed(rounds);
            let want = judge.run(&mut Sequence::default(), prompt, depth).logits;
            let got = loaded.run(&[(0, prompt)], &[prompt.len()], depth).remove(0);
            for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
                assert!((got - want).abs() <= 1e-3, "{} after {rounds} rounds: got {got}, want {want}", case.name);
            }
        }
    });
}

#[test]
fn configs_survive_a_round_trip() {
    every_case(|case| {
        let again = ModelConfig::from_json(&case.config.to_json().to_string()).unwrap();
        assert_eq!(again, case.config, "{}", case.name);
    });
}

/// The case as llama.cpp would file it.
fn gguf_of(case: &Case) -> Vec<u8> {
    use gguf::Value::{Array, Bool, F32, U32};
    let config = &case.config;
    // Mistral has no name of its own there.
    let GgufNames { architecture: name, permuted } = config.family.gguf;
    let mut file = gguf::File::default();
    file.set("general.architecture", name);
    for (key, number) in [
        ("block_count", config.n_layers),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.n_heads),
        ("attention.head_count_kv", config.n_kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("context_length", config.context_length),
        ("vocab_size", config.vocab_size),
    ] {
        file.set(&format!("{name}.{key}"), U32(number));
    }
    file.set(&format!("{name}.attention.layer_norm_rms_epsilon"), F32(config.rms_norm_eps));
    file.set(&format!("{name}.rope.freq_base"), F32(config.rope_theta));
    file.set("tokenizer.ggml.bos_token_id", U32(1)).set("tokenizer.ggml.eos_token_id", U32(2));
    if let Some(window) = &config.window {
        file.set(&format!("{name}.attention.sliding_window"), U32(window.entries));
        let pattern = Array(7, window.layers.iter().map(|slides| Bool(*slides)).collect());
        file.set(&format!("{name}.attention.sliding_window_pattern"), pattern);
    }
    match &config.rope_scaling {
        RopeScaling::Linear { factor } => {
            file.set(&format!("{name}.rope.scaling.type"), "linear");
            file.set(&format!("{name}.rope.scaling.factor"), F32(*factor));
        }
        RopeScaling::Llama3 { factor, low, high, original } => {
            let factors = rope_factors(config, [*factor, *low, *high].map(f64::from), f64::from(*original));
            file.tensor("rope_freqs.weight", &[factors.len() as u64], 0, tiny_model::f32_bytes(&factors));
        }
        _ => {}
    }
    for tensor in case.source.names() {
        let found = case.source.tensor(&tensor).unwrap().unwrap();
        let columns = if found.shape.len() == 1 { 1 } else { found.shape[1] };
        let mut numbers = values(&found);
        if tensor.ends_with("norm.weight") {
            numbers.iter_mut().for_each(|number| *number += config.family.norms.kind.offset());
        }
        let heads = if tensor.contains("q_proj") { config.n_heads } else { config.n_kv_heads };
        if permuted && (tensor.contains("q_proj") || tensor.contains("k_proj")) {
            numbers = tiny_model::permute(&numbers, heads as usize, columns);
        }
        let shape: Vec<u64> = found.shape.iter().map(|size| *size as u64).collect();
        file.tensor(&tiny_model::gguf_name(&tensor), &shape, 0, tiny_model::f32_bytes(&numbers));
    }
    file.bytes()
}

/// Llama 3's factors by wavelength, as converters write them.
fn rope_factors(config: &ModelConfig, [factor, low, high]: [f64; 3], original: f64) -> Vec<f32> {
    let wavelength = |i: u32| TAU * f64::from(config.rope_theta).powf(f64::from(2 * i) / f64::from(config.head_dim));
    let of = |length: f64| match length {
        _ if length < original / high => 1.0,
        _ if length > original / low => factor,
        _ => {
            let smooth = (original / length - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    (0..config.head_dim / 2).map(|i| of(wavelength(i)) as f32).collect()
}

#[test]
fn gguf_files_are_the_same_models() {
    every_case(|case| {
        let (bytes, name) = (gguf_of(case), &case.name);
        let gguf = Gguf::parse(&bytes, "case.gguf").unwrap();
        let config = gguf.config().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(check_tensors(&config, &gguf).is_empty(), "{name}: {:?}", check_tensors(&config, &gguf));
        // A model without a window is Llama there; factors stand for Llama 3's numbers; heads are told by tensors.
        let family = match case.config.family.model_type {
            "mistral" if case.config.window.is_none() => &LLAMA,
            _ => case.config.family,
        };
        let rope_scaling = match config.rope_scaling.clone() {
            RopeScaling::Factors(_) => case.config.rope_scaling.clone(),
            other => other,
        };
        let same = ModelConfig { family, ..case.config.clone() };
        assert_eq!(ModelConfig { rope_scaling, ..config.clone() }, same, "{name}");
        let plan = Plan::of(&config).unwrap();
        let judge = Judge::new(&config, &plan, &gguf, config.context_length).unwrap();
        case.compare("from GGUF", &judge.run(&mut Sequence::default(), &case.tokens(), Depth::Model).logits);
        // What is written as a folder reads back as the same network.
        let again = ModelConfig::from_json(&config.to_json().to_string()).unwrap();
        assert_eq!(again, config, "{name}");
    });
}

/// Families that exist nowhere: data alone, out of parts that others have.
static MADE_UP: &[Family] = &[
    // Qwen 3's norms of heads, Gemma's weights from 1, activation and embedding, and Mistral's window.
    Family {
        model_type: "made_up",
        class: "MadeUpForCausalLM",
        head_norms: true,
        norms: Norms { kind: NormKind::RmsFromOne, ..LLAMA.norms },
        activation: Activation::GeluTanh,
        embedding: EmbeddingScale::RootOfWidth,
        windows: Windows::Everywhere,
        ..LLAMA
    },
    // Norms behind attention and feed-forward part as well, under names of their own, and Qwen 2's biases.
    Family {
        model_type: "sandwich",
        class: "SandwichForCausalLM",
        norms: Norms {
            kind: NormKind::RmsFromOne,
            before: Some(["input_layernorm", "pre_feedforward_layernorm"]),
            after: Some(["post_attention_layernorm", "post_feedforward_layernorm"]),
        },
        activation: Activation::Gelu,
        attention_bias: AttentionBias::QueriesKeysValues,
        ..LLAMA
    },
    // Norms behind them alone.
    Family {
        model_type: "behind",
        class: "BehindForCausalLM",
        norms: Norms {
            kind: NormKind::Rms,
            before: None,
            after: Some(["post_attention_layernorm", "post_feedforward_layernorm"]),
        },
        head_norms: true,
        activation: Activation::Relu,
        ..LLAMA
    },
];

/// A case of random weights whose plan may be changed; the judge says what is wanted.
fn made_up(model_type: &str, more: &str, change: impl Fn(&mut Plan)) -> Case {
    let text = format!(
        r#"{{"model_type":"{model_type}","hidden_size":48,"intermediate_size":80,"num_hidden_layers":4,
            "num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"vocab_size":96,
            "max_position_embeddings":64,"rope_theta":500.0 {more}}}"#
    );
    let config = ModelConfig::from_json_among(&text, MADE_UP).unwrap_or_else(|error| panic!("{model_type}: {error}"));
    let mut plan = Plan::of(&config).unwrap_or_else(|error| panic!("{model_type}: {error}"));
    change(&mut plan);
    plan.form.check().unwrap_or_else(|error| panic!("{model_type}: {error}"));
    let source = Random::new(&config, 7, true, 0);
    let tokens: Vec<u32> = (0..32u32).map(|i| (i * i * 5 + 11 * i + 3) % 96).collect();
    let logits = Judge::new(&config, &plan, &source, 64).unwrap();
    let logits = logits.run(&mut Sequence::default(), &tokens, Depth::Model).logits;
    let best = |row: &Vec<f32>| (0u32..).zip(row).max_by(|a, b| a.1.total_cmp(b.1)).map(|(token, _)| token).unwrap();
    let greedy = vec![best(&logits[31])];
    let mut case =
        Case { name: format!("{model_type}{more}"), config, plan, source, prompt: tokens, greedy, logits: Vec::new() };
    let judge = Judge::new(&case.config, &case.plan, &case.source, 64).unwrap();
    let all = judge.run(&mut Sequence::default(), &case.tokens(), Depth::Model).logits;
    case.logits = all.into_iter().enumerate().collect();
    case
}

/// Logits of the judge, as numbers that two cases can be told apart by.
fn differ(a: &Case, b: &Case) -> bool {
    let furthest = a.logits.iter().zip(&b.logits).flat_map(|(a, b)| a.1.iter().zip(&b.1).map(|(a, b)| (a - b).abs()));
    furthest.fold(0.0, f32::max) > 0.05
}

#[test]
fn a_new_family_of_known_parts_is_one_entry_of_the_table() {
    let gpu = open();
    let loops = r#","isobath":{"recursion":{"count":2,"sharing":"cycle","share_norms":false}}"#;
    for (model_type, more) in [
        ("made_up", r#","sliding_window":9"#),
        ("made_up", &format!(r#","sliding_window":null,"attention_bias":true{loops}"#)),
        ("sandwich", ""),
        ("sandwich", loops),
        ("behind", r#","mlp_bias":true"#),
    ] {
        let case = made_up(model_type, more, |_| ());
        [false, true].iter().for_each(|software| check_on_the_gpu(&case, &gpu, *software));
        assert_eq!(case.config.to_json()["model_type"], model_type);
        let again = ModelConfig::from_json_among(&case.config.to_json().to_string(), MADE_UP).unwrap();
        assert_eq!(again, case.config, "{}", case.name);
    }
}

/// A part in words, and who puts it into a form.
type Change = (&'static str, fn(&mut Plan));

#[test]
fn parts_that_no_family_here_has_run_where_a_form_has_them() {
    let gpu = open();
    let plain = made_up("made_up", r#","sliding_window":null"#, |_| ());
    let changes: [Change; 7] = [
        ("no rotation in some layers", |plan| plan.form.layers[1].attention.positions = Positions::None),
        ("two rotary embeddings", |plan| {
            let slow = Rotary { base: 3.0, ..plan.form.rotaries[0].clone() };
            plan.form.rotaries.push(slow);
            plan.form.layers[2].attention.positions = Positions::Rotary(1);
            plan.form.layers[3].attention.positions = Positions::None;
        }),
        ("another scale of scores", |plan| plan.form.layers[0].attention.scores.scale = 0.7),
        ("a factor of logits", |plan| plan.form.logits.scale = 0.3),
        ("a window in one layer", |plan| plan.form.layers[2].attention.sees = Sees::Window(3)),
        ("squared ReLU in one layer", |plan| {
            plan.form.layers[3].feed_forward.activation = Activation::ReluSquared;
        }),
        ("another epsilon in front of the head", |plan| plan.form.final_norm.epsilon = 0.5),
    ];
    for (what, change) in changes {
        let mut case = made_up("made_up", r#","sliding_window":null"#, change);
        case.name = what.to_owned();
        [false, true].iter().for_each(|software| check_on_the_gpu(&case, &gpu, *software));
        assert!(differ(&case, &plain), "{what} changes nothing");
    }
}
