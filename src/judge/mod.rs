//! The whole network out of CPU twins: plain, slow, and the judge of the GPU's runs.
//!
//! **Invariant:** no tiling, no lists, no pages: a sequence is a vector of rows, a cache a vector of entries.

use std::collections::HashMap;

use crate::error::ModelError;
use crate::kernels::Granted;
use crate::kernels::attention::rope::rotations;
use crate::kernels::attention::{attention_stretch, head_norm, rope};
use crate::kernels::exits::{gate, select_top_k};
use crate::kernels::products::{bias, lora_down, lora_up, matvec};
use crate::kernels::rows::{combine, embed, encode, rms_norm, swiglu};
use crate::network::config::{ModelConfig, Router, RouterFunction, RouterKind, RouterNetwork};
use crate::network::names::{self, Linear, Norm, RouterRole};
use crate::network::plan::{Plan, PlanLayer, Writes};
use crate::runtime::rounds::{gate_settings, kept};
use crate::runtime::step::Depth;
use crate::tensor::{TensorSource, values};

/// The network on the CPU, weights as f32.
pub struct Reference<'a> {
    config: &'a ModelConfig,
    plan: &'a Plan,
    tensors: HashMap<String, Vec<f32>>,
    rotations: Vec<f32>,
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

impl<'a> Reference<'a> {
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
        Ok(Self { config, plan, tensors, rotations: rotations(positions, &config.frequencies()) })
    }

    fn tensor(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], Vec::as_slice)
    }

    /// Runs more tokens of a sequence.
    pub fn run(&self, sequence: &mut Sequence, tokens: &[u32], depth: Depth) -> Outcome {
        let width = self.config.hidden_size as usize;
        let table = self.tensor(names::EMBEDDING);
        let scale = self.config.architecture.embedding_scale(self.config.hidden_size);
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
        match &self.config.router {
            Some(router) if router.kind == RouterKind::Expert => {
                self.expert_rounds(sequence, router, depth, &mut hidden, &mut outcome);
            }
            Some(router) => self.token_rounds(sequence, router, depth, &mut hidden, &mut outcome),
            None => {
                let rounds = if let Depth::Fixed(fixed) = depth { fixed.min(rounds) } else { rounds };
                outcome.granted.fill(rounds);
                for round in 0..rounds {
                    self.round(sequence, round, &everyone, &mut hidden, &mut outcome);
                }
            }
        }
        for layer in self.plan.epilogue.clone() {
            self.layer(sequence, layer, 0, &everyone, &mut hidden, &mut outcome);
        }
        let head = if self.tensors.contains_key(names::LM_HEAD) { names::LM_HEAD } else { names::EMBEDDING };
        let norm = |row: &Vec<f32>| self.normed(row, names::FINAL_NORM);
        outcome.logits = hidden.iter().map(|row| matvec::cpu(self.tensor(head), &norm(row))).collect();
        sequence.length += tokens.len();
        outcome
    }

    fn round(&self, sequence: &mut Sequence, round: u32, rows: &[usize], x: &mut [Vec<f32>], outcome: &mut Outcome) {
        for layer in self.plan.rounds[round as usize].clone() {
            self.layer(sequence, layer, round, rows, x, outcome);
        }
    }

    fn expert_rounds(
        &self,
        sequence: &mut Sequence,
        router: &Router,
        depth: Depth,
        hidden: &mut [Vec<f32>],
        outcome: &mut Outcome,
    ) {
        let positional = !self.plan.layers[self.plan.rounds[0].start].cache.compact;
        let mut active: Vec<usize> = (0..hidden.len()).collect();
        for round in 0..self.plan.n_rounds() {
            let mut gates = vec![0.0; hidden.len()];
            let mut selected = Vec::new();
            for &row in &active {
                let main = self.verdict(router, RouterRole::Expert(round), &hidden[row], depth, round);
                outcome.scores[row][round as usize] = main.scores[0];
                gates[row] = main.gate;
                let judge = match router.auxiliary {
                    true => self.verdict(router, RouterRole::Auxiliary(round), &hidden[row], depth, round),
                    false => main,
                };
                if judge.granted > round {
                    selected.push(row);
                }
            }
            if depth == Depth::TopK {
                let scores: Vec<f32> = active.iter().map(|&row| outcome.scores[row][round as usize]).collect();
                let falling = router.function != RouterFunction::Identity && router.alpha < 0.0;
                let ranked: Vec<f32> = scores.iter().map(|z| if falling { -z } else { *z }).collect();
                let keep = kept(router.capacity[round as usize], hidden.len()) as usize;
                selected = select_top_k::cpu(&ranked, keep).into_iter().map(|place| active[place]).collect();
            }
            for &row in &selected {
                outcome.granted[row] = round + 1;
            }
            // Where deeper rounds attend to round 0, every row leaves its keys and values there.
            let running: Vec<usize> =
                if round == 0 && positional { (0..hidden.len()).collect() } else { selected.clone() };
            let mut work = hidden.to_vec();
            self.round(sequence, round, &running, &mut work, outcome);
            let mode = if router.weighted { combine::ADD_GATED } else { combine::ADD };
            for &row in &selected {
                combine::cpu(mode, &work[row], gates[row], &mut hidden[row]);
            }
            active = selected;
        }
    }

    fn token_rounds(
        &self,
        sequence: &mut Sequence,
        router: &Router,
        depth: Depth,
        hidden: &mut [Vec<f32>],
        outcome: &mut Outcome,
    ) {
        let mut gates = Vec::new();
        for (row, x) in hidden.iter().enumerate() {
            let verdict = self.verdict(router, RouterRole::Token, x, depth, 0);
            gates.push(verdict.gate);
            outcome.granted[row] = verdict.granted;
            outcome.scores[row] = verdict.scores;
        }
        let mut work = hidden.to_vec();
        for round in 0..self.plan.n_rounds() {
            let running: Vec<usize> = (0..hidden.len()).filter(|&row| outcome.granted[row] > round).collect();
            self.round(sequence, round, &running, &mut work, outcome);
        }
        let mode = if router.weighted { combine::ADD_GATED } else { combine::ADD };
        for (row, x) in hidden.iter_mut().enumerate().filter(|_| depth != Depth::Fixed(0)) {
            combine::cpu(mode, &work[row], gates[row], x);
        }
    }

    fn verdict(&self, router: &Router, role: RouterRole, input: &[f32], depth: Depth, round: u32) -> gate::Verdict {
        let matrices = names::router(self.config, router.network, role);
        let mlp = router.network == RouterNetwork::Mlp;
        let inner = if mlp { matvec::cpu(self.tensor(&matrices[0].0), input) } else { input.to_vec() };
        let Some((name, _)) = matrices.last() else { return gate::Verdict { scores: vec![], gate: 0.0, granted: 0 } };
        let rounds = self.plan.n_rounds();
        let params = gate_settings(router, rounds, depth, matches!(role, RouterRole::Auxiliary(_)));
        let bias = self.tensors.get(names::ROUTER_BIAS).cloned().unwrap_or_else(|| vec![0.0; rounds as usize]);
        let before = Granted { rounds: round, forced: 0 };
        gate::cpu(&params, &inner, self.tensor(name), &bias, before)
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
        let gelu = self.config.architecture.gelu();
        let attended = self.attend(sequence, layer, unrolled, round, rows, x);
        for (&row, attended) in rows.iter().zip(&attended) {
            add(&mut x[row], &self.linear(unrolled, Linear::Output, attended));
            let normed = self.norm(unrolled, Norm::PostAttention, &x[row]);
            let (gate, up) = (self.linear(unrolled, Linear::Gate, &normed), self.linear(unrolled, Linear::Up, &normed));
            add(&mut x[row], &self.linear(unrolled, Linear::Down, &swiglu::cpu(&gate, &up, gelu)));
            if let Some(name) = names::recursion_encoding(self.config, unrolled) {
                encode::cpu(self.tensor(&name), &mut x[row]);
            }
        }
        outcome.layers.insert(unrolled, (rows.to_vec(), x.to_vec()));
    }

    fn norm(&self, layer: u32, which: Norm, x: &[f32]) -> Vec<f32> {
        self.normed(x, &names::norm(self.config, layer, which))
    }

    fn normed(&self, x: &[f32], name: &str) -> Vec<f32> {
        let offset = self.config.architecture.norm_offset();
        let weight: Vec<f32> = self.tensor(name).iter().map(|w| w + offset).collect();
        rms_norm::cpu(x, &weight, self.config.rms_norm_eps)
    }

    /// Queries or keys of one row: each head normalised, where the network does so, and turned by its position.
    fn turned(&self, layer: u32, (linear, norm): (Linear, Norm), input: &[f32], position: usize) -> Vec<f32> {
        let head_dim = self.config.head_dim as usize;
        let mut heads = self.linear(layer, linear, input);
        if self.config.architecture.head_norms() {
            let weight = self.tensor(&names::norm(self.config, layer, norm));
            head_norm::cpu(&mut heads, weight, self.config.rms_norm_eps);
        }
        let turn = &self.rotations[position * head_dim..][..head_dim];
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
        let cache = &layer.cache;
        let class = cache.class_base + round * cache.class_step;
        let writes = cache.writes == Writes::Always || cache.writes == Writes::FirstRound && round == 0;
        let mut queries = Vec::new();
        for &row in rows {
            let position = sequence.length + row;
            let normed = self.norm(unrolled, Norm::Input, &x[row]);
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
            let sees = |entry: &&Entry| entry.position <= last && last - entry.position < layer.window as usize;
            let mut seen: Vec<&Entry> = own.iter().filter(sees).collect();
            if cache.overlay {
                // Entries of round 0, replaced where the position ran this round too.
                let ran: Vec<usize> = seen.iter().map(|entry| entry.position).collect();
                seen.extend(base.iter().filter(|entry| sees(entry) && !ran.contains(&entry.position)));
                seen.sort_by_key(|entry| entry.position);
            }
            attended.push(self.heads(query, &seen));
        }
        attended
    }

    fn heads(&self, query: &[f32], entries: &[&Entry]) -> Vec<f32> {
        let head_dim = self.config.head_dim as usize;
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
