//! The whole network out of CPU twins: plain, slow, and the judge of the GPU's runs.
//!
//! **Invariant:** no tiling, no lists, no pages: a sequence is a vector of rows, a cache a vector of entries.

mod gates;

use std::collections::HashMap;

use crate::error::ModelError;
use crate::kernels::attention::rope::rotations;
use crate::kernels::attention::{attention_stretch, head_norm, rope};
use crate::kernels::products::{bias, lora_down, lora_up, matvec};
use crate::kernels::rows::{combine, embed, encode, rms_norm, swiglu};
use crate::network::config::ModelConfig;
use crate::network::form::{self, HeadNorms, LayerForm};
use crate::network::gate::Gate;
use crate::network::names::{self, Linear, Norm};
use crate::network::plan::{Plan, PlanLayer, Writes};
use crate::runtime::layer::activation;
use crate::runtime::step::Depth;
use crate::tensor::{TensorSource, values};

/// The network on the CPU, weights as f32.
pub struct Judge<'a> {
    config: &'a ModelConfig,
    plan: &'a Plan,
    tensors: HashMap<String, Vec<f32>>,
    /// By table of [`Form::frequencies`](crate::network::form::Form::frequencies).
    rotations: Vec<Vec<f32>>,
    gate: Option<Gate>,
    thresholds: Vec<f32>,
}

/// Keys and values of one position.
#[derive(Debug, Clone)]
struct Entry {
    position: usize,
    key: Vec<f32>,
    value: Vec<f32>,
}

/// A sequence under way.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    length: usize,
    /// Entries by cache buffer and class.
    caches: HashMap<(usize, u32), Vec<Entry>>,
}

/// What a call computed; rows are the tokens of the call.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// `[rows][vocabulary]`
    pub logits: Vec<Vec<f32>>,
    /// Residual stream behind each unrolled layer, with the rows that ran it.
    pub layers: HashMap<u32, (Vec<usize>, Vec<Vec<f32>>)>,
    /// `[rows][rounds]`, 0 where a row was not scored
    pub scores: Vec<Vec<f32>>,
    /// Rounds run by each row.
    pub granted: Vec<u32>,
}

impl<'a> Judge<'a> {
    /// Reads all tensors.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(
        config: &'a ModelConfig,
        plan: &'a Plan,
        source: &dyn TensorSource,
        positions: u32,
    ) -> Result<Self, ModelError> {
        let mut tensors = HashMap::new();
        for name in source.names() {
            if let Some(tensor) = source.tensor(&name)? {
                tensors.insert(name, values(&tensor));
            }
        }
        let tables = plan.form.frequencies();
        let rotations = tables.iter().map(|frequencies| rotations(positions, frequencies)).collect();
        let thresholds = vec![plan.gate.as_ref().map_or(0.0, |gate| gate.threshold); plan.rounds.len()];
        Ok(Self { config, plan, tensors, rotations, gate: plan.gate.clone(), thresholds })
    }

    /// Puts a gate in place of the model's own, with a threshold for each round.
    pub fn set_gate(&mut self, gate: Gate, thresholds: Vec<f32>) {
        (self.gate, self.thresholds) = (Some(gate), thresholds);
    }

    fn tensor(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], Vec::as_slice)
    }

    /// Runs more tokens of a sequence.
    pub fn run(&self, sequence: &mut Sequence, tokens: &[u32], depth: Depth) -> Outcome {
        let width = self.config.hidden_size as usize;
        let table = self.tensor(names::EMBEDDING);
        let scale = self.plan.form.embedding.scale;
        let mut hidden: Vec<Vec<f32>> = tokens.iter().map(|&token| embed::cpu(table, width, token, scale)).collect();
        let everyone: Vec<usize> = (0..tokens.len()).collect();
        let rounds = self.plan.n_rounds();
        let mut outcome = Outcome {
            scores: vec![vec![0.0; rounds as usize]; tokens.len()],
            granted: vec![0; tokens.len()],
            ..Outcome::default()
        };
        for layer in self.plan.prologue.clone() {
            self.layer(sequence, layer, 0, &everyone, &mut hidden, &mut outcome);
        }
        self.rounds(sequence, depth, &mut hidden, &mut outcome);
        for layer in self.plan.epilogue.clone() {
            self.layer(sequence, layer, 0, &everyone, &mut hidden, &mut outcome);
        }
        outcome.logits = hidden.iter().map(|row| self.logits(row)).collect();
        sequence.length += tokens.len();
        outcome
    }

    /// Final norm and head.
    fn logits(&self, row: &[f32]) -> Vec<f32> {
        let head = if self.tensors.contains_key(names::LM_HEAD) { names::LM_HEAD } else { names::EMBEDDING };
        let (norm, scale) = (self.plan.form.final_norm, self.plan.form.logits.scale);
        let logits = matvec::cpu(self.tensor(head), &self.normed(row, norm, names::FINAL_NORM));
        logits.iter().map(|z| z * scale).collect()
    }

    fn round(&self, sequence: &mut Sequence, round: u32, rows: &[usize], x: &mut [Vec<f32>], outcome: &mut Outcome) {
        for layer in self.plan.rounds[round as usize].layers.clone() {
            self.layer(sequence, layer, round, rows, x, outcome);
        }
    }

    /// `weight . input`, with the unrolled layer's adapter.
    fn linear(&self, layer: u32, which: Linear, input: &[f32]) -> Vec<f32> {
        let mut output = matvec::cpu(self.tensor(&names::linear(self.config, layer, which)), input);
        if let Some(name) = names::bias(self.config, layer, which) {
            bias::cpu(self.tensor(&name), &mut output);
        }
        if let (Some(lora), Some(a), Some(b)) = (
            self.config.lora,
            self.tensors.get(&names::lora_a(layer, which)),
            self.tensors.get(&names::lora_b(layer, which)),
        ) {
            let inner = lora_down::cpu(input, a);
            let rank = inner.len();
            let transposed: Vec<f32> =
                (0..rank).flat_map(|r| (0..output.len()).map(move |i| b[i * rank + r])).collect();
            lora_up::cpu(&inner, &transposed, lora.scale, &mut output);
        }
        output
    }

    fn layer(
        &self,
        sequence: &mut Sequence,
        index: usize,
        round: u32,
        rows: &[usize],
        x: &mut [Vec<f32>],
        outcome: &mut Outcome,
    ) {
        let layer = &self.plan.layers[index];
        let unrolled = layer.unrolled[(round as usize).min(layer.unrolled.len() - 1)];
        let form = self.plan.form_of(layer);
        let attended = self.attend(sequence, layer, unrolled, round, rows, x);
        for (&row, attended) in rows.iter().zip(&attended) {
            let output = self.linear(unrolled, Linear::Output, attended);
            add(&mut x[row], &self.after(form, unrolled, Norm::AfterAttention, output));
            let normed = self.before(form, unrolled, Norm::BeforeFeedForward, &x[row]);
            let (gate, up) = (self.linear(unrolled, Linear::Gate, &normed), self.linear(unrolled, Linear::Up, &normed));
            let down =
                self.linear(unrolled, Linear::Down, &swiglu::cpu(&gate, &up, activation(form.feed_forward.activation)));
            add(&mut x[row], &self.after(form, unrolled, Norm::AfterFeedForward, down));
            // It stands behind the last layer of a round.
            if let Some(name) = names::recursion_encoding(self.config, unrolled) {
                encode::cpu(self.tensor(&name), &mut x[row]);
            }
        }
        outcome.layers.insert(unrolled, (rows.to_vec(), x.to_vec()));
    }

    /// What attention or the feed-forward part reads.
    fn before(&self, form: &LayerForm, layer: u32, place: Norm, x: &[f32]) -> Vec<f32> {
        form.before.map_or_else(|| x.to_vec(), |norm| self.normed(x, norm, &names::norm(self.config, layer, place)))
    }

    /// What is added of attention or of the feed-forward part.
    fn after(&self, form: &LayerForm, layer: u32, place: Norm, x: Vec<f32>) -> Vec<f32> {
        let name = || names::norm(self.config, layer, place);
        form.after.map_or_else(|| x.clone(), |after| self.normed(&x, after.norm, &name()))
    }

    fn normed(&self, x: &[f32], norm: form::Norm, name: &str) -> Vec<f32> {
        rms_norm::cpu(x, &self.weights_of(norm, name), norm.epsilon)
    }

    fn weights_of(&self, norm: form::Norm, name: &str) -> Vec<f32> {
        self.tensor(name).iter().map(|w| w + norm.kind.offset()).collect()
    }

    /// Queries or keys of one row: each head normalised, where the network does so, and turned by its position.
    fn turned(&self, layer: u32, (linear, place): (Linear, Norm), input: &[f32], position: usize) -> Vec<f32> {
        let head_dim = self.config.head_dim as usize;
        let form = &self.plan.form.layers[layer as usize];
        let mut heads = self.linear(layer, linear, input);
        if let HeadNorms::Each(norm) = form.attention.head_norms {
            let weight = self.weights_of(norm, &names::norm(self.config, layer, place));
            head_norm::cpu(&mut heads, &weight, norm.epsilon);
        }
        let table = &self.rotations[self.plan.form.table_of(form)];
        let turn = &table[position * head_dim..][..head_dim];
        heads.chunks_exact_mut(head_dim).for_each(|head| rope::cpu(head, turn));
        heads
    }

    fn attend(
        &self,
        sequence: &mut Sequence,
        layer: &PlanLayer,
        unrolled: u32,
        round: u32,
        rows: &[usize],
        x: &[Vec<f32>],
    ) -> Vec<Vec<f32>> {
        let (cache, form) = (&layer.cache, self.plan.form_of(layer));
        let class = cache.class_base + round * cache.class_step;
        let writes = cache.writes == Writes::Always || cache.writes == Writes::FirstRound && round == 0;
        let mut queries = Vec::new();
        for &row in rows {
            let position = sequence.length + row;
            let normed = self.before(form, unrolled, Norm::BeforeAttention, &x[row]);
            queries.push(self.turned(unrolled, (Linear::Query, Norm::Query), &normed, position));
            if writes {
                let key = self.turned(unrolled, (Linear::Key, Norm::Key), &normed, position);
                let value = self.linear(unrolled, Linear::Value, &normed);
                sequence.caches.entry((cache.buffer, class)).or_default().push(Entry { position, key, value });
            }
        }
        let empty = Vec::new();
        let own = sequence.caches.get(&(cache.buffer, class)).unwrap_or(&empty);
        let base = sequence.caches.get(&(cache.buffer, cache.class_base)).unwrap_or(&empty);
        let mut attended = Vec::new();
        for (&row, query) in rows.iter().zip(&queries) {
            let last = sequence.length + row;
            let sees =
                |entry: &&Entry| entry.position <= last && last - entry.position < form.attention.window() as usize;
            let mut seen: Vec<&Entry> = own.iter().filter(sees).collect();
            if cache.overlay {
                // Entries of round 0, replaced where the position ran this round too.
                let ran: Vec<usize> = seen.iter().map(|entry| entry.position).collect();
                seen.extend(base.iter().filter(|entry| sees(entry) && !ran.contains(&entry.position)));
                seen.sort_by_key(|entry| entry.position);
            }
            attended.push(self.heads(form.attention.scores.scale, query, &seen));
        }
        attended
    }

    fn heads(&self, scale: f32, query: &[f32], entries: &[&Entry]) -> Vec<f32> {
        let head_dim = self.config.head_dim as usize;
        // The twin of attention takes its own scale, 1 / sqrt(head_dim).
        let factor = scale * (head_dim as f32).sqrt();
        let query: Vec<f32> = query.iter().map(|q| q * factor).collect();
        let group = (self.config.n_heads / self.config.n_kv_heads) as usize;
        let head = |(head, query): (usize, &[f32])| {
            let at = head / group * head_dim;
            let keys: Vec<&[f32]> = entries.iter().map(|entry| &entry.key[at..at + head_dim]).collect();
            let values: Vec<&[f32]> = entries.iter().map(|entry| &entry.value[at..at + head_dim]).collect();
            attention_stretch::cpu(query, &keys, &values)
        };
        query.chunks_exact(head_dim).enumerate().flat_map(head).collect()
    }
}

fn add(x: &mut [f32], update: &[f32]) {
    combine::cpu(combine::ADD, update, 0.0, x);
}
