//! Tensors on the GPU, uploaded one by one from the file; every field with its shape.

use std::collections::HashMap;

use crate::depth::policy::AT_LEAST;
use crate::error::{Error, ModelError};
use crate::gpu::{Buffer, Gpu};
use crate::kernels::padded;
use crate::kernels::products::matrix::Matrix;
use crate::network::config::ModelConfig;
use crate::network::form::{self, HeadNorms, LayerForm, NormKind};
use crate::network::gate::Scorer;
use crate::network::lora;
use crate::network::names::{self, Linear, Norm};
use crate::network::plan::{Plan, PlanLayer, Writes};
use crate::runtime::gates::{GateState, RunningGate};
use crate::tensor::{TensorSource, values};

/// Vectors of several rounds, one behind the other.
#[derive(Debug, Clone)]
pub struct Bank {
    /// `[rounds, ...]`
    pub buffer: Buffer,
    /// Numbers from one round to the next; 0 where all rounds share one.
    pub stride: u32,
}

/// An adapter of one linear of all rounds, ranks padded with zeros to the largest.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// A, `[rounds, rank, padded(columns)]`
    pub down: Bank,
    /// B transposed, `[rounds, rank, outputs]`
    pub up: Bank,
    /// Largest rank.
    pub rank: u32,
    /// Outputs of the linear.
    pub outputs: u32,
}

/// Weights of one [`PlanLayer`].
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// Norms in front of attention and of the feed-forward part, `[rounds, padded(hidden)]` each
    pub before: Option<[Bank; 2]>,
    /// Norms behind them, `[rounds, padded(hidden)]` each
    pub after: Option<[Bank; 2]>,
    /// q, k, v (or q alone) stacked, `[(heads + 2 kv_heads) * head_dim, hidden]`; one, or one per round
    pub qkv: Vec<Matrix>,
    /// `[hidden, heads * head_dim]`; one, or one per round
    pub output: Vec<Matrix>,
    /// Gate and up stacked, `[2 * intermediate, hidden]`
    pub glu: Matrix,
    /// `[hidden, intermediate]`
    pub down: Matrix,
    /// Adapters that this layer has.
    pub adapters: HashMap<Linear, Adapter>,
    /// `[rounds, padded(hidden)]`
    pub encoding: Option<Bank>,
    /// Norms of the heads' queries and keys, `[rounds, 2, padded(head_dim)]`.
    pub head_norms: Option<Bank>,
}

/// Weights of one [`Scorer`].
#[derive(Debug, Clone)]
pub struct ScorerWeights {
    /// First layer of an MLP, `[2 * hidden, hidden]`, one per round (one in all where it is asked once).
    pub first: Vec<Matrix>,
    /// Last layer, `[rounds or 1, outputs, padded(columns)]`.
    pub last: Bank,
    /// Inputs of the last layer.
    pub columns: u32,
    /// Scores per row.
    pub outputs: u32,
}

/// The whole network on the GPU.
#[derive(Debug, Clone)]
pub struct Weights {
    /// `[vocabulary, hidden]`
    pub embedding: Matrix,
    /// `[vocabulary, hidden]`, the embedding itself where tied
    pub head: Matrix,
    /// `[padded(hidden)]`
    pub final_norm: Bank,
    /// One per layer of the plan.
    pub layers: Vec<LayerWeights>,
    /// One per scorer of the plan.
    pub scorers: Vec<ScorerWeights>,
    /// The gate that runs.
    pub gate: RunningGate,
}

/// Reads tensors, checks and repacks them, and puts them on the GPU.
pub struct Loader<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// The network.
    pub config: &'a ModelConfig,
    /// The file.
    pub source: &'a dyn TensorSource,
    /// Reported of bytes done and in total.
    pub progress: &'a mut dyn FnMut(u64, u64),
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) matrices: HashMap<String, Matrix>,
}

impl<'a> Loader<'a> {
    /// A loader that has loaded nothing yet.
    ///
    /// # Errors
    /// The first thing that is wrong with the file's tensors.
    pub fn new(
        gpu: &'a Gpu,
        config: &'a ModelConfig,
        source: &'a dyn TensorSource,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Result<Self, ModelError> {
        if let Some(error) = names::check_tensors(config, source).into_iter().next() {
            return Err(error);
        }
        let mut total = 0;
        for (name, ..) in names::expected(config, &|name| matches!(source.info(name), Ok(Some(_)))) {
            total += source.info(&name)?.and_then(|(kind, shape)| kind.bytes(&shape)).unwrap_or(0) as u64;
        }
        Ok(Self { gpu, config, source, progress, done: 0, total, matrices: HashMap::new() })
    }

    /// Loads everything the plan needs.
    ///
    /// # Errors
    /// What is wrong with a tensor, or the GPU's memory.
    pub async fn load(mut self, plan: &Plan) -> Result<Weights, Error> {
        let embedding = self.matrix(&[names::EMBEDDING.to_owned()], &[]).await?;
        let head = match self.source.info(names::LM_HEAD)? {
            Some(_) => self.matrix(&[names::LM_HEAD.to_owned()], &[]).await?,
            None => embedding.clone(),
        };
        // Logits are linear in what the head reads, so their factor is its norm's.
        let (name, form) = ([names::FINAL_NORM.to_owned()], &plan.form);
        let final_norm = self.scaled_bank("final norm", &name, form.final_norm.kind, form.logits.scale).await?;
        let mut layers = Vec::with_capacity(plan.layers.len());
        for layer in &plan.layers {
            layers.push(self.layer(layer, plan.form_of(layer)).await?);
            self.gpu.check().await?;
        }
        let (mut scorers, mut bias) = (vec![], vec![0.0; plan.rounds.len().max(1)]);
        for scorer in &plan.scorers {
            scorers.push(self.scorer(scorer).await?);
            if let Some(name) = &scorer.bias {
                bias = values(&self.tensor(name).await?);
            }
        }
        let bias = self.gpu.upload("bias of the gate", &bias)?;
        let gate = RunningGate {
            gate: plan.gate.clone(),
            bias,
            thresholds: vec![0.0; plan.rounds.len()],
            rule: AT_LEAST,
            state: GateState::default(),
        };
        self.gpu.check().await?;
        Ok(Weights { embedding, head, final_norm, layers, scorers, gate })
    }

    /// Weights of a norm of each round as they multiply, padded; one alone where all names are the same.
    async fn bank(&mut self, label: &str, by_round: &[String], kind: NormKind) -> Result<Bank, Error> {
        self.scaled_bank(label, by_round, kind, 1.0).await
    }

    async fn scaled_bank(
        &mut self,
        label: &str,
        by_round: &[String],
        kind: NormKind,
        scale: f32,
    ) -> Result<Bank, Error> {
        let shared = by_round.iter().all(|name| *name == by_round[0]);
        let mut numbers = Vec::new();
        let mut stride = 0;
        for name in if shared { &by_round[..1] } else { by_round } {
            let mut vector = values(&self.tensor(name).await?);
            vector.iter_mut().for_each(|number| *number = (*number + kind.offset()) * scale);
            stride = push_padded(&mut numbers, &vector);
        }
        Ok(Bank { buffer: self.gpu.upload(label, &numbers)?, stride: if shared { 0 } else { stride } })
    }

    /// The norms of a layer in two places.
    async fn norms(&mut self, layer: &PlanLayer, norm: form::Norm, places: [Norm; 2]) -> Result<[Bank; 2], Error> {
        let config = self.config;
        let names = |place| layer.unrolled.iter().map(|&l| names::norm(config, l, place)).collect::<Vec<_>>();
        let [attention, feed_forward] = places.map(names);
        Ok([
            self.bank("norm of attention", &attention, norm.kind).await?,
            self.bank("norm of the feed-forward part", &feed_forward, norm.kind).await?,
        ])
    }

    async fn layer(&mut self, layer: &PlanLayer, form: &LayerForm) -> Result<LayerWeights, Error> {
        let config = self.config;
        let before = match form.before {
            Some(norm) => Some(self.norms(layer, norm, [Norm::BeforeAttention, Norm::BeforeFeedForward]).await?),
            None => None,
        };
        let after = match form.after {
            Some(after) => Some(self.norms(layer, after.norm, [Norm::AfterAttention, Norm::AfterFeedForward]).await?),
            None => None,
        };
        let mut qkv = Vec::new();
        let mut output = Vec::new();
        for &l in &layer.unrolled {
            let mut stack = vec![(l, Linear::Query)];
            if layer.cache.writes != Writes::Never {
                // Where only round 0 makes keys and values, deeper rounds use the first rows of its stack.
                let owner = if layer.cache.writes == Writes::FirstRound { layer.unrolled[0] } else { l };
                stack.extend([(owner, Linear::Key), (owner, Linear::Value)]);
            }
            qkv.push(self.linears(&stack).await?);
            output.push(self.linears(&[(l, Linear::Output)]).await?);
        }
        if config.recursion.is_none_or(|recursion| recursion.share_attention) {
            qkv.truncate(1);
            output.truncate(1);
        }
        let first = layer.unrolled[0];
        let glu = self.linears(&[(first, Linear::Gate), (first, Linear::Up)]).await?;
        let down = self.linears(&[(first, Linear::Down)]).await?;
        let mut adapters = HashMap::new();
        for which in Linear::ALL {
            if let Some(adapter) = self.adapter(layer, which).await? {
                adapters.insert(which, adapter);
            }
        }
        let encodings: Vec<String> =
            layer.unrolled.iter().filter_map(|&l| names::recursion_encoding(config, l)).collect();
        let encoding = match encodings.is_empty() {
            true => None,
            false => Some(self.bank("recursion encoding", &encodings, NormKind::Rms).await?),
        };
        let head_norms = match form.attention.head_norms {
            HeadNorms::Each(norm) => Some(self.head_norms(layer, norm.kind).await?),
            HeadNorms::None | HeadNorms::All(_) => None,
        };
        Ok(LayerWeights { before, after, qkv, output, glu, down, adapters, encoding, head_norms })
    }

    /// Linears of unrolled layers, stacked.
    async fn linears(&mut self, stack: &[(u32, Linear)]) -> Result<Matrix, Error> {
        let weights: Vec<String> = stack.iter().map(|&(l, which)| names::linear(self.config, l, which)).collect();
        let biases: Vec<String> = stack.iter().filter_map(|&(l, which)| names::bias(self.config, l, which)).collect();
        self.matrix(&weights, &biases).await
    }

    async fn head_norms(&mut self, layer: &PlanLayer, kind: NormKind) -> Result<Bank, Error> {
        let config = self.config;
        let names_of = |which| layer.unrolled.iter().map(move |&l| names::norm(config, l, which)).collect::<Vec<_>>();
        let queries = names_of(Norm::Query);
        // A layer that makes no keys needs no norm for them; its place is never read.
        let keys = match layer.cache.writes {
            Writes::Always => names_of(Norm::Key),
            Writes::FirstRound => vec![names::norm(config, layer.unrolled[0], Norm::Key); queries.len()],
            Writes::Never => queries.clone(),
        };
        let shared = queries.iter().all(|name| *name == queries[0]);
        let depths = if shared { 1 } else { queries.len() };
        let mut numbers = Vec::new();
        let mut stride = 0;
        for name in queries.iter().zip(&keys).take(depths).flat_map(|(query, key)| [query, key]) {
            let weight: Vec<f32> = values(&self.tensor(name).await?).iter().map(|w| w + kind.offset()).collect();
            stride = push_padded(&mut numbers, &weight);
        }
        let buffer = self.gpu.upload("head norms", &numbers)?;
        Ok(Bank { buffer, stride: if shared { 0 } else { 2 * stride } })
    }

    async fn adapter(&mut self, layer: &PlanLayer, which: Linear) -> Result<Option<Adapter>, Error> {
        if self.config.lora.is_none() {
            return Ok(None);
        }
        let mut ranks = Vec::new();
        for &l in &layer.unrolled {
            ranks.push(lora::rank(self.config, self.source, l, which)?.unwrap_or(0));
        }
        let rank = ranks.iter().copied().max().unwrap_or(0);
        if rank == 0 {
            return Ok(None);
        }
        let [outputs, columns] = which.shape(self.config);
        let stride = padded(columns as u32) as usize;
        let (mut down, mut up) = (vec![0f32; ranks.len() * rank * stride], vec![0f32; ranks.len() * rank * outputs]);
        for (depth, (&l, &own)) in layer.unrolled.iter().zip(&ranks).enumerate() {
            if own == 0 {
                continue;
            }
            let a = values(&self.tensor(&names::lora_a(l, which)).await?);
            let b = values(&self.tensor(&names::lora_b(l, which)).await?);
            for r in 0..own {
                let at = depth * rank + r;
                down[at * stride..][..columns].copy_from_slice(&a[r * columns..][..columns]);
                for out in 0..outputs {
                    up[at * outputs + out] = b[out * own + r];
                }
            }
        }
        let bank = |label, numbers: &[f32], stride: usize| -> Result<Bank, Error> {
            Ok(Bank { buffer: self.gpu.upload(label, numbers)?, stride: stride as u32 })
        };
        let down = bank("adapter A", &down, rank * stride)?;
        let up = bank("adapter B", &up, rank * outputs)?;
        Ok(Some(Adapter { down, up, rank: rank as u32, outputs: outputs as u32 }))
    }

    async fn scorer(&mut self, scorer: &Scorer) -> Result<ScorerWeights, Error> {
        let mut first = Vec::new();
        let mut last = Vec::new();
        let (mut outputs, mut columns, mut stride) = (0, 0, 0);
        for matrices in &scorer.tensors {
            let Some(((name, shape), before)) = matrices.split_last() else { continue };
            for (name, _) in before {
                first.push(self.matrix(std::slice::from_ref(name), &[]).await?);
            }
            [outputs, columns] = *shape;
            for row in values(&self.tensor(name).await?).chunks_exact(columns) {
                stride = push_padded(&mut last, row);
            }
        }
        let last = Bank { buffer: self.gpu.upload("scorer", &last)?, stride: stride * outputs as u32 };
        Ok(ScorerWeights { first, last, columns: columns as u32, outputs: outputs as u32 })
    }
}

/// Appends a vector padded with zeros; returns its padded length.
fn push_padded(numbers: &mut Vec<f32>, vector: &[f32]) -> u32 {
    numbers.extend_from_slice(vector);
    let stride = padded(vector.len() as u32);
    numbers.resize(numbers.len() + stride as usize - vector.len(), 0.0);
    stride
}
