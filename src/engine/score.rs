//! Judging a text: how probable the model finds each of its tokens, and how deep it goes for it.

use super::Engine;
use crate::error::{Error, RequestError};
use crate::kernels::Granted;
use crate::kernels::draw::cross_entropy::Judged;
use crate::network::plan::Plan;
use crate::runtime::step::{Depth, Input, Step};
use crate::runtime::weights::Weights;

/// What the model says of one token of a text.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Score {
    /// Its position; the token at position 0 is predicted by nothing.
    pub position: u32,
    /// The token.
    pub token: u32,
    /// Natural logarithm of the probability the model gave it.
    pub log_probability: f32,
    /// Rounds run by the token before it, which predicts it.
    pub depth: u32,
    /// What the gate measured before the rounds that it was asked for, first round first; empty without a gate.
    pub scores: Vec<f32>,
    /// The token that the model finds most probable.
    pub best: u32,
    /// Natural logarithm of the probability of that one.
    pub best_log_probability: f32,
    /// Entropy of the distribution, in nats.
    pub entropy: f32,
}

impl Engine {
    /// Judges a text of 2 tokens or more, from its second token on. Nothing else may be under way.
    ///
    /// # Errors
    /// A text that does not fit the context (or, with top-k routing, one step), a depth that the model lacks, sequences
    /// under way, or what the GPU reports.
    pub async fn score(&mut self, tokens: &[u32], depth: Depth) -> Result<Vec<Score>, Error> {
        self.check_score(tokens, depth)?;
        self.clear_for_text().await?;
        let room = self.state.sizes.room;
        let mut scores = Vec::with_capacity(tokens.len() - 1);
        // The last token predicts nothing that is known.
        let inputs: Vec<Input> = (0..)
            .zip(&tokens[..tokens.len() - 1])
            .map(|(position, &token)| Input { lane: 0, position, token, written: false })
            .collect();
        for step in inputs.chunks(room.rows as usize) {
            let from = step[0].position as usize;
            let targets = &tokens[from + 1..][..step.len()];
            scores.extend(self.score_step(step, targets, depth).await?);
        }
        Ok(scores)
    }

    /// Gives lane 0 and the pages from the first on to a text: whatever else they held is gone.
    pub(super) async fn clear_for_text(&mut self) -> Result<(), Error> {
        // Ticks submitted for sequences that have ended meanwhile tell nothing.
        for ahead in std::mem::take(&mut self.in_flight) {
            let _: Vec<u32> = self.gpu.finish(ahead.pending).await?;
            self.scheduler.report(ahead.number, &[]);
        }
        self.scheduler.forget_prefixes();
        let (sizes, gpu) = (self.state.sizes, &self.gpu);
        let page = |class: u32, i: u32| class.saturating_sub(1) * sizes.max_pages + i;
        let table = (0..self.plan.classes).flat_map(|class| (0..sizes.max_pages).map(move |i| page(class, i)));
        gpu.write(&self.state.lanes.pages, 0, &table.collect::<Vec<_>>());
        gpu.write(&self.state.lanes.lengths, 0, &vec![0u32; self.plan.classes as usize]);
        gpu.write(&self.state.lanes.reach, 0, &vec![0u32; sizes.room.context as usize]);
        Ok(())
    }

    async fn score_step(&self, inputs: &[Input], targets: &[u32], depth: Depth) -> Result<Vec<Score>, Error> {
        let network = self.network();
        network.step(&Step { inputs, heads: &[], depth, sample: false }, None)?;
        let (rows, rounds) = (&self.state.rows, self.plan.n_rounds());
        let n = inputs.len() as u64;
        let parts = [(&rows.granted, 0..2 * n), (&rows.scores, 0..n * u64::from(rounds))];
        let words: Vec<u32> = self.gpu.finish(self.gpu.read_parts_later(&parts)).await?;
        let (granted, scores) = words.split_at(2 * inputs.len());
        let granted: &[Granted] = bytemuck::cast_slice(granted);
        let most = self.state.sizes.room.heads as usize;
        let wanted = self.gpu.buffer("targets", most as u64 * 4)?;
        let judged = self.gpu.buffer("judged", most as u64 * 16)?;
        let heads: Vec<u32> = (0..inputs.len() as u32).collect();
        let mut all = Vec::with_capacity(inputs.len());
        for heads in heads.chunks(most) {
            let from = heads[0] as usize;
            self.gpu.write(&wanted, 0, &targets[from..][..heads.len()]);
            let words: Vec<Judged> = self.gpu.finish(network.judge(heads, &wanted, &judged)?).await?;
            for (row, judged) in (from..).zip(words) {
                let depth_run = granted[row].rounds;
                let own = &scores[row * rounds as usize..][..scored(&self.weights, &self.plan, depth_run, depth)];
                all.push(Score {
                    position: inputs[row].position + 1,
                    token: targets[row],
                    log_probability: judged.log_probability,
                    depth: depth_run,
                    scores: own.iter().map(|bits| f32::from_bits(*bits)).collect(),
                    best: judged.best,
                    best_log_probability: judged.best_log_probability,
                    entropy: judged.entropy,
                });
            }
        }
        Ok(all)
    }

    pub(super) fn check_score(&self, tokens: &[u32], depth: Depth) -> Result<(), RequestError> {
        if !self.is_idle() {
            return Err(RequestError::Busy);
        }
        if tokens.len() < 2 {
            return Err(RequestError::EmptyPrompt);
        }
        // The checks of a request whose prompt is all but the last token.
        let mut request = super::request::Request::new(tokens[..tokens.len() - 1].to_vec(), 1);
        match depth {
            Depth::Fixed(rounds) => request.depth = Some(rounds),
            Depth::Together => request.routing = super::request::Routing::TopK,
            Depth::Model => {}
        }
        self.check(&request, 0)?;
        let vocabulary = self.config.vocab_size as usize;
        match tokens.last() {
            Some(&token) if token as usize >= vocabulary => Err(RequestError::TokenOutOfRange { token, vocabulary }),
            _ => Ok(()),
        }
    }
}

/// Rounds that were scored for a token that ran `depth` of them.
pub(super) fn scored(weights: &Weights, plan: &Plan, depth: u32, decided: Depth) -> usize {
    let forced = matches!(decided, Depth::Fixed(_));
    weights.gate.gate.as_ref().map_or(0, |gate| gate.scores(depth, plan.n_rounds(), forced)) as usize
}
