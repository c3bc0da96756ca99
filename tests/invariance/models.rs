//! Batch invariance, exact: golden models, the bundled model and SmolLM2 write the same tokens, depths and
//! log-probabilities to the bit alone and in batches of 2, 7, 32 and 64, drawn or greedy, whatever arrives and leaves
//! beside them, with prompts in pieces of any size, with shared prefixes and where pages run out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions, SequenceId};
use isobath::files::gguf::Gguf;
use isobath::files::safetensors::Safetensors;
use isobath::gpu::{Gpu, SharedDevice};
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::tick::Order;
use isobath::tensor::TensorSource;
use isobath::text::Tokenizer;
use pollster::block_on;

use crate::support::{case, smollm2};

/// Token, depth and bits of the log-probability.
type Written = Vec<(u32, u32, u32)>;

/// A batch: lanes, most rows of a step, and tokens that the cache holds for each lane.
const BATCHES: [(u32, u32, Option<u32>); 4] = [(2, 256, None), (7, 5, Some(24)), (32, 64, None), (64, 37, Some(32))];

struct Model<'a> {
    name: String,
    config: ModelConfig,
    source: &'a dyn TensorSource,
    /// Any will do: what is compared is tokens.
    tokenizer: PathBuf,
    /// Prompts have at most as many tokens.
    prompt: u32,
    /// Sequences write at most as many.
    writes: u32,
}

fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn open() -> SharedDevice {
    block_on(SharedDevice::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs an adapter")
}

impl Model<'_> {
    fn load(&self, device: &SharedDevice, options: EngineOptions) -> Engine {
        let options = EngineOptions { context: Some(self.prompt + self.writes + 2), ..options };
        let tokenizer = Tokenizer::from_json(&fs::read(&self.tokenizer).unwrap()).unwrap();
        let gpu = Gpu::on(device.clone());
        block_on(Engine::load(gpu, &self.config, self.source, tokenizer, options, &mut |_, _| {})).unwrap()
    }

    /// Eight requests; of most prompts the first half is that of another.
    fn requests(&self, rounds: u32) -> Vec<Request> {
        let vocabulary = self.config.vocab_size;
        let request = |i: u32| {
            let length = 1 + (i * 5 + 2) % self.prompt;
            let common = if i % 4 == 3 { 0 } else { length / 2 };
            let token =
                |j: u32| if j < common { j * 13 + j / 3 } else { i * 31 + j * 17 + j * j } % (vocabulary - 3) + 3;
            let mut request = Request::new((0..length).map(token).collect(), 1 + (i * 3 + 2) % self.writes);
            request.ignore_end = true;
            request.depth = [None, None, None, Some(1), None, Some(rounds), None, Some(1 + rounds / 2)][i as usize];
            if i % 2 == 1 {
                let seed = u64::from(i) << 33 | 5;
                request.sampling = Sampling {
                    temperature: 1.1,
                    top_k: 40,
                    top_p: 0.97,
                    repeat_penalty: 1.1,
                    seed,
                    ..Sampling::GREEDY
                };
            }
            request
        };
        (0..8).map(request).collect()
    }

    fn check(&self, device: &SharedDevice) {
        let rounds = Plan::of(&self.config).unwrap().n_rounds();
        let requests = self.requests(rounds);
        let plain = EngineOptions { prefix_cache: false, ..EngineOptions::default() };
        let mut single = self.load(device, plain);
        let alone: Vec<Written> = requests.iter().map(|one| write_alone(&mut single, one)).collect();
        drop(single);
        let mixes = Plan::of(&self.config).unwrap().mixable;
        for (which, (lanes, max_rows, room)) in BATCHES.into_iter().enumerate() {
            let order = if mixes && which % 2 == 1 { Order::Mixed } else { Order::Waves };
            let cache_tokens = room.map(|room| (room * lanes).max(self.prompt + self.writes + 2));
            let options = EngineOptions {
                lanes,
                max_rows,
                order: Some(order),
                cache_tokens,
                prefix_cache: true,
                ..EngineOptions::default()
            };
            let mut engine = self.load(device, options);
            let what = format!("{}, {lanes} lanes, {order:?}, pieces of {max_rows}", self.name);
            write_together(&mut engine, &requests, &alone, lanes as usize, &what);
        }
    }
}

fn write_alone(engine: &mut Engine, request: &Request) -> Written {
    engine.submit(request.clone()).unwrap();
    let mut written = vec![];
    while let Some((_, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            written.push((token.token, token.depth, token.log_probability.to_bits()));
        }
    }
    assert_eq!(written.len() as u32, request.max_tokens);
    written
}

/// More sequences than lanes, by a half: half at once, the others one by one as events come, every fifth
/// cancelled on the way. All that is told is what is written alone.
fn write_together(engine: &mut Engine, requests: &[Request], alone: &[Written], lanes: usize, what: &str) {
    let total = lanes + lanes / 2;
    let (mut ids, mut written) = (HashMap::new(), vec![vec![]; total]);
    let mut submitted: Vec<SequenceId> = vec![];
    let mut ended = 0;
    let mut submit = |engine: &mut Engine, submitted: &mut Vec<SequenceId>| {
        let id = engine.submit(requests[submitted.len() % requests.len()].clone()).unwrap();
        ids.insert(id, submitted.len());
        submitted.push(id);
        ids.clone()
    };
    let mut names = HashMap::new();
    while submitted.len() < total.div_ceil(2) {
        names = submit(engine, &mut submitted);
    }
    for count in 0.. {
        if count % 3 == 0 && submitted.len() < total {
            names = submit(engine, &mut submitted);
        }
        if count % 5 == 4 && count / 5 < total && (count / 5) % 5 == 2 {
            submitted.get(count / 5).map(|id| engine.cancel(*id));
        }
        match block_on(engine.next()).unwrap() {
            Some((id, Event::Token(token))) => {
                written[names[&id]].push((token.token, token.depth, token.log_probability.to_bits()));
            }
            Some((id, Event::Finished { reason, .. })) => {
                ended += 1;
                let (got, want) = (&written[names[&id]], &alone[names[&id] % alone.len()]);
                match reason {
                    FinishReason::Cancelled => assert_eq!(got[..], want[..got.len()], "{what}: what was told stands"),
                    _ => assert_eq!(got, want, "{what}: sequence {}", names[&id]),
                }
            }
            Some(_) => {}
            None if submitted.len() < total => names = submit(engine, &mut submitted),
            None => break,
        }
    }
    assert_eq!(ended, total, "{what}");
    assert_eq!(engine.schedule().pages_used, [0, 0], "{what}");
}

#[test]
fn golden_models() {
    let device = open();
    let cases = case::all();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for case in &cases {
        let config = ModelConfig { context_length: 64, ..case.config.clone() };
        let tokenizer = in_package("tests/models/tiny/tokenizer.json");
        let name = case.name.clone();
        Model { name, config, source: &case.source, tokenizer, prompt: 29, writes: 9 }.check(&device);
    }
}

#[test]
fn the_bundled_model() {
    let config = fs::read_to_string(in_package("assets/stories/config.json")).unwrap();
    let bytes = fs::read(in_package("assets/stories/model.safetensors")).unwrap();
    let source = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let tokenizer = in_package("assets/stories/tokenizer.json");
    Model { name: "stories".into(), config, source: &source, tokenizer, prompt: 50, writes: 20 }.check(&open());
}

#[test]
fn smollm2() {
    let bytes = fs::read(smollm2::gguf()).unwrap();
    let gguf = Gguf::parse(&bytes, "SmolLM2").unwrap();
    let config = gguf.config().unwrap();
    let tokenizer = in_package("assets/stories/tokenizer.json");
    Model { name: "SmolLM2".into(), config, source: &gguf, tokenizer, prompt: 11, writes: 4 }.check(&open());
}
