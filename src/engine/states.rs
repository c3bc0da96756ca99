//! What the network thinks while it reads a text: the stream before the first round and after some, the state that the head
//! reads, and the token that it finds best. Guesses are made from these, and judged by them.
//!
//! **Invariant:** as of a text that is scored: each is read on its own, from its first token on, every token through all
//! rounds.

use std::collections::VecDeque;

use super::Engine;
use crate::error::{Error, ModelError};
use crate::gpu::Buffer;
use crate::gpu::readback::Pending;
use crate::kernels::draw::cross_entropy::Judged;
use crate::network::plan::{Plan, Residual};
use crate::runtime::step::{Depth, Input, Probe, Step};

/// The rows of a text, one behind the other; each state is `[tokens, hidden]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct States {
    /// The stream before the first layer: embeddings as the model scales them.
    pub embedded: Vec<f32>,
    /// The stream after so many rounds as were asked for, one state for each of these depths.
    pub rounds: Vec<Vec<f32>>,
    /// What the head reads, behind the final norm.
    pub normed: Vec<f32>,
    /// The token that the whole model finds most probable behind each.
    pub best: Vec<u32>,
}

/// Rows whose step was submitted and not yet read.
struct Submitted {
    text: usize,
    rows: usize,
    /// The text ends with them.
    last: bool,
    judged: Pending,
    states: Pending,
}

impl Engine {
    /// Reads texts, none longer than the context, and hands on what the network thought of each. Nothing else may be under
    /// way. The host reads one step behind the GPU.
    ///
    /// # Errors
    /// A text that does not fit, a depth of which there is no stream, sequences under way, or what the GPU reports.
    pub async fn states(
        &mut self,
        texts: &[Vec<u32>],
        depths: &[u32],
        sink: &mut dyn FnMut(usize, States),
    ) -> Result<(), Error> {
        let names = depths.iter().map(|&depth| stream_name(&self.plan, depth)).collect::<Result<Vec<_>, _>>()?;
        let room = self.state.sizes.room;
        let chunk = room.rows.min(room.heads);
        let targets = self.gpu.upload("targets", &vec![0u32; room.heads as usize])?;
        let judged = self.gpu.buffer("judged", u64::from(room.heads) * 16)?;
        let mut under_way: VecDeque<Submitted> = VecDeque::new();
        let mut found = States { rounds: vec![vec![]; depths.len()], ..States::default() };
        for (text, tokens) in texts.iter().enumerate() {
            let all = Depth::Fixed(self.plan.n_rounds());
            self.check_score(tokens, all)?;
            self.clear_for_text().await?;
            let inputs = (0..).zip(tokens).map(|(position, &token)| Input { lane: 0, position, token, written: false });
            let inputs: Vec<Input> = inputs.collect();
            let mut left = inputs.len();
            for inputs in inputs.chunks(chunk as usize) {
                left -= inputs.len();
                let mut probe = Probe::default();
                self.network().step(&Step { inputs, heads: &[], depth: all, sample: false }, Some(&mut probe))?;
                let heads: Vec<u32> = (0..inputs.len() as u32).collect();
                let best = self.network().judge(&heads, &targets, &judged)?;
                let states = self.read_states(&probe, &names, inputs.len())?;
                let rows = inputs.len();
                under_way.push_back(Submitted { text, rows, last: left == 0, judged: best, states });
                if under_way.len() > 1 {
                    self.finish_states(&mut under_way, &mut found, sink).await?;
                }
            }
        }
        while !under_way.is_empty() {
            self.finish_states(&mut under_way, &mut found, sink).await?;
        }
        Ok(())
    }

    /// Asks for the rows of the step that was submitted last: embedded, final, and after the named layers.
    fn read_states(&self, probe: &Probe, names: &[String], rows: usize) -> Result<Pending, Error> {
        let words = 0..rows as u64 * u64::from(self.state.sizes.hidden);
        let mut parts: Vec<(&Buffer, std::ops::Range<u64>)> = vec![];
        for name in ["embed"].into_iter().chain(names.iter().map(String::as_str)) {
            let copy = probe.copies.iter().rfind(|(copied, ..)| copied == name);
            let why = || crate::error::GpuError::Internal { why: format!("no stream was copied at {name}") };
            parts.push((&copy.ok_or_else(why)?.1, words.clone()));
        }
        parts.push((&self.state.rows.normed.rows, words));
        Ok(self.gpu.read_parts_later(&parts))
    }

    /// Waits for the oldest step, and hands on the text that ends with it.
    async fn finish_states(
        &self,
        under_way: &mut VecDeque<Submitted>,
        found: &mut States,
        sink: &mut dyn FnMut(usize, States),
    ) -> Result<(), Error> {
        let Some(oldest) = under_way.pop_front() else { return Ok(()) };
        let best: Vec<Judged> = self.gpu.finish(oldest.judged).await?;
        found.best.extend(best.iter().map(|judged| judged.best));
        let numbers: Vec<f32> = self.gpu.finish(oldest.states).await?;
        let (width, stride) = (self.config.hidden_size as usize, self.state.sizes.hidden as usize);
        let States { embedded, rounds, normed, .. } = found;
        let parts = std::iter::once(embedded).chain(rounds).chain([normed]);
        for (part, numbers) in parts.zip(numbers.chunks_exact(oldest.rows * stride)) {
            numbers.chunks_exact(stride).for_each(|row| part.extend_from_slice(&row[..width]));
        }
        if oldest.last {
            let next = States { rounds: vec![vec![]; found.rounds.len()], ..States::default() };
            sink(oldest.text, std::mem::replace(found, next));
        }
        Ok(())
    }
}

/// Where a probe finds the stream after so many rounds.
fn stream_name(plan: &Plan, depth: u32) -> Result<String, ModelError> {
    let refuse = |what: String, supported: String| Err(ModelError::Unsupported { what, supported });
    let round = depth.checked_sub(1).filter(|_| depth < plan.n_rounds());
    let Some((round, slice)) = round.and_then(|round| Some((round, plan.rounds.get(round as usize)?))) else {
        let most = plan.n_rounds().saturating_sub(1);
        return refuse(format!("a guess after {depth} rounds"), format!("between 1 and {most} rounds for this model"));
    };
    match plan.residual {
        Residual::Add { once: true, .. } => refuse(
            "a guess between rounds whose results are added at the end".into(),
            "guesses from the state of the token before".into(),
        ),
        Residual::Add { once: false, .. } => Ok(format!("round{round}.hidden")),
        Residual::Replace => {
            let unrolled = &plan.layers[slice.layers.end - 1].unrolled;
            Ok(format!("layer{}", unrolled[(round as usize).min(unrolled.len() - 1)]))
        }
    }
}
