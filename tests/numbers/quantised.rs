//! Networks in every quantised type: the same bits as from the same numbers in f32, and what the judge computes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use half::f16;
use isobath::error::ModelError;
use isobath::files::gguf::Gguf;
use isobath::files::random::Random;
use isobath::gpu::Gpu;
use isobath::judge::{Judge, Sequence};
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::state::{Room, State};
use isobath::runtime::step::{Depth, Input, Network, Step};
use isobath::runtime::weights::{Loader, Weights};
use isobath::tensor::pack::{dequantise_row, halves, packed_row_words};
use isobath::tensor::values;
use isobath::tensor::{DataType, Tensor, TensorSource};
use pollster::block_on;
use serde_json::json;

use crate::support::smollm2;

const TOKENS: u32 = 19;

/// The numbers of another source as f32.
struct Plain<'a>(&'a dyn TensorSource);

impl TensorSource for Plain<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let plain = |tensor: Tensor<'_>| {
            let data: Vec<u8> = values(&tensor).iter().flat_map(|number| number.to_le_bytes()).collect();
            Tensor { data_type: DataType::F32, shape: tensor.shape, data: Cow::Owned(data) }
        };
        Ok(self.0.tensor(name)?.map(plain))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        Ok(self.0.info(name)?.map(|(_, shape)| (DataType::F32, shape)))
    }
}

/// A network whose matrices are blocks of random bytes, with scales that keep its numbers tame.
struct Blocks {
    vectors: Random,
    matrices: HashMap<String, Tensor<'static>>,
}

impl Blocks {
    fn new(config: &ModelConfig, data_type: DataType) -> Self {
        let vectors = Random::new(config, 5, true, 0);
        let shapes = vectors.names().into_iter().map(|name| (vectors.info(&name).unwrap().unwrap().1, name));
        let matrices = shapes.filter(|(shape, _)| shape.len() == 2);
        let matrices = matrices.enumerate().map(|(seed, (shape, name))| {
            let data = Cow::Owned(random_blocks(data_type, &shape, seed as u64));
            (name, Tensor { data_type, shape, data })
        });
        let matrices = matrices.collect();
        Self { vectors, matrices }
    }
}

impl TensorSource for Blocks {
    fn names(&self) -> Vec<String> {
        self.vectors.names()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        match self.matrices.get(name) {
            Some(tensor) => Ok(Some(tensor.clone())),
            None => self.vectors.tensor(name),
        }
    }
}

/// Every scale and minimum positive in half of the blocks and negative in the others; the weights of a row are about as large
/// as those of a network are.
fn random_blocks(data_type: DataType, shape: &[usize], seed: u64) -> Vec<u8> {
    let mut state = seed + 1;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let (numbers, size) = data_type.block();
    let mut bytes: Vec<u8> = (0..data_type.bytes(shape).unwrap()).map(|_| random()).collect();
    let mut weights = vec![0.0; numbers];
    for block in bytes.chunks_exact_mut(size) {
        let mut put = |scale: f32| {
            let bits = f16::from_f32(scale).to_le_bytes();
            halves(data_type).iter().for_each(|at| block[*at..at + 2].copy_from_slice(&bits));
            dequantise_row(data_type, block, numbers, &mut weights);
            weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs()))
        };
        let sign = if random() < 128 { 1.0 } else { -1.0 };
        let most = put(1.0);
        put(sign * 3.0 / (shape[1] as f32).sqrt() / most);
    }
    bytes
}

fn open() -> Gpu {
    block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).expect("this test needs a GPU adapter")
}

struct Loaded<'a> {
    gpu: &'a Gpu,
    config: &'a ModelConfig,
    plan: &'a Plan,
    weights: Weights,
    state: State,
}

impl<'a> Loaded<'a> {
    fn new(gpu: &'a Gpu, config: &'a ModelConfig, plan: &'a Plan, source: &dyn TensorSource) -> Self {
        let weights = block_on(Loader::new(gpu, config, source, &mut |_, _| {}).unwrap().load(plan)).unwrap();
        let room =
            Room { lanes: 1, context: 64, rows: 32, heads: 32, cache_tokens: u32::MAX, alternatives: 0, span: 1 };
        let state = block_on(State::new(gpu, config, plan, &weights, room)).unwrap();
        Self { gpu, config, plan, weights, state }
    }

    /// Logits of all tokens, in pieces of the given length.
    fn logits(&self, tokens: &[u32], piece: usize) -> Vec<f32> {
        let Self { gpu, config, plan, weights, state } = self;
        let network = Network { gpu, config, plan, weights, state, recipe: &state.recipe };
        let mut logits = Vec::new();
        gpu.write(&state.lanes.lengths, 0, &vec![0u32; plan.classes as usize]);
        gpu.write(&state.lanes.reach, 0, &[0u32; 64]);
        for (index, tokens) in tokens.chunks(piece).enumerate() {
            let input = |(i, &token): (usize, &u32)| Input {
                lane: 0,
                position: (index * piece + i) as u32,
                token,
                written: false,
            };
            let inputs: Vec<Input> = tokens.iter().enumerate().map(input).collect();
            let heads: Vec<u32> = (0..inputs.len() as u32).collect();
            network.step(&Step { inputs: &inputs, heads: &heads, depth: Depth::Model, sample: false }, None).unwrap();
            let n = inputs.len() as u64 * u64::from(config.vocab_size);
            logits.extend(block_on(gpu.read::<f32>(&state.rows.logits, 0..n)).unwrap());
        }
        logits
    }
}

fn same_bits(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let differ = got.iter().zip(want).position(|(got, want)| got.to_bits() != want.to_bits());
    assert!(differ.is_none(), "{what}: logit {differ:?} differs");
}

#[test]
fn every_type_computes_what_its_numbers_compute_in_f32() {
    let config = json!({
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 61, "max_position_embeddings": 64, "isobath": {},
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    let (gpu, plan) = (open(), Plan::of(&config).unwrap());
    let tokens: Vec<u32> = (0..TOKENS).map(|position| (position * 17 + position * position) % 61).collect();
    for data_type in DataType::ALL.into_iter().filter(|data_type| data_type.block().0 > 1) {
        let name = data_type.name();
        let source = Blocks::new(&config, data_type);
        let loaded = Loaded::new(&gpu, &config, &plan, &source);
        let plain = Loaded::new(&gpu, &config, &plan, &Plain(&source));
        let judge = Judge::new(&config, &plan, &source, 64).unwrap();
        let want = judge.run(&mut Sequence::default(), &tokens, Depth::Model).logits.concat();
        let largest = want.iter().fold(1f32, |most, logit| most.max(logit.abs()));
        let got = loaded.logits(&tokens, TOKENS as usize);
        same_bits(&format!("{name} and f32"), &got, &plain.logits(&tokens, TOKENS as usize));
        same_bits(&format!("{name}, token by token"), &loaded.logits(&tokens, 1), &got);
        let worst = got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        assert!(got.iter().all(|logit| logit.is_finite()) && worst <= 2e-4 * largest, "{name}: off by {worst}");
    }
}

#[test]
fn a_weight_takes_about_as_much_memory_as_in_the_file() {
    for (data_type, bits) in [
        (DataType::Q8_0, 8.5),
        (DataType::Q4_0, 4.5),
        (DataType::Q4_1, 5.0),
        (DataType::Q5_0, 5.5),
        (DataType::Q5_1, 6.0),
        (DataType::Q2K, 2.65),
        (DataType::Q3K, 3.5),
        (DataType::Q4K, 4.5),
        (DataType::Q5K, 5.5),
        (DataType::Q6K, 6.6),
        (DataType::Iq4Nl, 4.5),
        (DataType::Iq4Xs, 4.25),
    ] {
        for columns in [1536, 2048, 4096, 11008] {
            let taken = 32.0 * packed_row_words(data_type, columns) as f64 / columns as f64;
            // Planes are padded to 16 bytes.
            let padding = if columns < 4096 { 0.05 } else { 0.02 };
            assert!(taken <= bits + padding, "{data_type:?}, {columns} columns: {taken} bits a weight");
        }
        assert!(32.0 * packed_row_words(DataType::Q6K, 1536) as f64 / 1536.0 <= 6.6);
    }
}

/// SmolLM2 as `q4_k_m`: the file that `ISOBATH_Q4_K_M` names, or what is imported here.
fn q4_k_m(folder: &tempfile::TempDir) -> PathBuf {
    if let Some(named) = std::env::var_os("ISOBATH_Q4_K_M") {
        return named.into();
    }
    let file = folder.path().join("q4_k_m.gguf");
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command.arg("import").arg(smollm2::gguf()).arg(&file).args(["--dtype", "q4_k_m"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

/// What llama.cpp makes of this model holds q4_K, q5_0, q6_K and q8_0: rows of 576 are no whole blocks of 256.
#[test]
fn smollm2_as_q4_k_m_computes_what_its_numbers_compute_in_f32() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(q4_k_m(&folder)).unwrap();
    let gguf = Gguf::parse(&bytes, "q4_k_m.gguf").unwrap();
    let has = |wanted| gguf.names().iter().any(|name| gguf.info(name).unwrap().unwrap().0 == wanted);
    for data_type in [DataType::Q4K, DataType::Q5_0, DataType::Q6K, DataType::Q8_0] {
        assert!(has(data_type), "there is no tensor in {}", data_type.name());
    }
    let config = gguf.config().unwrap();
    let (gpu, plan) = (open(), Plan::of(&config).unwrap());
    let tokens = [504, 2717, 314, 253, 1109, 282, 1242, 327];
    let logits = |source: &dyn TensorSource| Loaded::new(&gpu, &config, &plan, source).logits(&tokens, tokens.len());
    let (got, want) = (logits(&gguf), logits(&Plain(&gguf)));
    let largest = want.iter().fold(0f32, |most, logit| most.max(logit.abs()));
    assert!(largest > 10.0, "logits of {largest} compare little");
    let off = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
    let worst = off.fold(0.0, |worst: f32, off| if off.is_nan() { off } else { worst.max(off) });
    eprintln!("off by {worst}, of logits up to {largest}");
    assert!(worst <= 1e-3, "off by {worst}");
}
