//! One sequence from prompt to end: prompt in chunks, then a token at a time, with the next step always under way.
//!
//! **Invariant:** no step waits for the one before it: a drawn token goes to the next step on the GPU, and the host reads
//! it one step later.

use std::ops::ControlFlow;

use super::Engine;
use super::event::{Event, FinishReason, TokenEvent};
use super::request::{Request, Sampling};
use crate::error::{Error, GpuError};
use crate::gpu::readback::Pending;
use crate::kernels::NEXT_TOKEN;
use crate::kernels::sample::Settings;
use crate::model::config::RouterKind;
use crate::model::forward::{Depth, Input, Step};
use crate::text::stream::TextStream;

/// What one step drew.
struct Drawn {
    token: u32,
    log_probability: f32,
    depth: u32,
    scores: Vec<f32>,
}

impl Engine {
    /// Writes one sequence; `sink` is told of everything and may break it off.
    ///
    /// # Errors
    /// A request that cannot be run, or what the GPU reports. Events told before an error stand.
    pub async fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let depth = self.check(request)?;
        self.begin(&request.sampling);
        let mut stream = TextStream::new(self.tokenizer.clone(), &request.stop, !request.ignore_end);
        let mut written = 0;
        let reason = self.write(request, depth, &mut stream, &mut written, sink).await?;
        // A stop text is never shown, nor is what was held back as its beginning.
        let text = if reason == FinishReason::Stop { String::new() } else { stream.finish().text };
        // The sequence is over whatever the sink thinks of it.
        let _ = sink(&Event::Finished { reason, text, tokens: written });
        Ok(reason)
    }

    /// Empties the lane and tells it how to draw.
    fn begin(&self, sampling: &Sampling) {
        let (lanes, sizes) = (&self.state.lanes, &self.state.sizes);
        let zero = |buffer, words: u32| self.gpu.write(buffer, 0, &vec![0u32; words as usize]);
        zero(&lanes.lengths, self.plan.classes);
        zero(&lanes.reach, sizes.room.context);
        zero(&lanes.seen, sizes.seen);
        let settings = Settings {
            inverse_temperature: if sampling.temperature > 0.0 { 1.0 / sampling.temperature } else { 0.0 },
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            penalty: sampling.repeat_penalty,
            seed_low: sampling.seed as u32,
            seed_high: (sampling.seed >> 32) as u32,
            spare: 0,
        };
        self.gpu.write(&lanes.settings, 0, &[settings]);
    }

    async fn write(
        &self,
        request: &Request,
        depth: Depth,
        stream: &mut TextStream,
        written: &mut u32,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let Some(mut pending) = self.read_prompt(request, depth, sink).await? else {
            return Ok(FinishReason::Cancelled);
        };
        let mut position = request.prompt.len() as u32;
        let room = self.context() - position;
        let most = request.max_tokens.min(room);
        while *written < most {
            // The step behind this one begins before its token is known here.
            let ahead = if *written + 1 < most { Some(self.next(position, depth)?) } else { None };
            let drawn = self.finish(pending, request.depth.is_some()).await?;
            *written += 1;
            let ended = !request.ignore_end && self.config.end_tokens.contains(&drawn.token);
            let step = if ended { Default::default() } else { stream.push(drawn.token) };
            let event = Event::Token(TokenEvent {
                position,
                token: drawn.token,
                text: step.text,
                depth: drawn.depth,
                scores: drawn.scores,
                log_probability: drawn.log_probability,
            });
            let flow = sink(&event);
            if step.stop.is_some() {
                return Ok(FinishReason::Stop);
            }
            if ended {
                return Ok(FinishReason::EndOfSequence);
            }
            if flow.is_break() {
                return Ok(FinishReason::Cancelled);
            }
            match ahead {
                Some(next) => pending = next,
                None => break,
            }
            position += 1;
        }
        Ok(if request.max_tokens > room { FinishReason::ContextFull } else { FinishReason::Length })
    }

    /// Reads the prompt in chunks; `None` where the caller broke it off.
    async fn read_prompt(
        &self,
        request: &Request,
        depth: Depth,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Option<Pending>, Error> {
        let total = request.prompt.len();
        let chunk = self.state.sizes.room.rows as usize;
        let mut done = 0;
        let mut last = None;
        for tokens in request.prompt.chunks(chunk) {
            let input = |(i, &token): (usize, &u32)| Input { lane: 0, position: (done + i) as u32, token };
            let inputs: Vec<Input> = tokens.iter().enumerate().map(input).collect();
            done += tokens.len();
            let heads = if done == total { vec![tokens.len() as u32 - 1] } else { vec![] };
            let sample = done == total;
            last = Some(self.step(&Step { inputs: &inputs, heads: &heads, depth, sample })?);
            if sink(&Event::Prefill { done: done as u32, total: total as u32 }).is_break() {
                return Ok(None);
            }
            if let Some(pending) = last.take_if(|_| !sample) {
                // A long prompt must not pile up more work than a driver lets run: one chunk at a time.
                self.gpu.finish::<u32>(pending).await?;
            }
        }
        Ok(last)
    }

    /// Computes the token that the step before drew.
    fn next(&self, position: u32, depth: Depth) -> Result<Pending, GpuError> {
        let inputs = [Input { lane: 0, position, token: NEXT_TOKEN }];
        self.step(&Step { inputs: &inputs, heads: &[0], depth, sample: true })
    }

    /// Submits a step and a read of what it draws for its last row.
    fn step(&self, step: &Step<'_>) -> Result<Pending, GpuError> {
        self.network().step(step, None)?;
        let (rows, last) = (&self.state.rows, step.inputs.len() as u64 - 1);
        let rounds = u64::from(self.plan.n_rounds());
        Ok(self.gpu.read_parts_later(&[
            (&rows.drawn, 0..2),
            (&rows.granted, last..last + 1),
            (&rows.scores, last * rounds..(last + 1) * rounds),
        ]))
    }

    async fn finish(&self, pending: Pending, forced: bool) -> Result<Drawn, GpuError> {
        let words: Vec<u32> = self.gpu.finish(pending).await?;
        self.gpu.collect_profile().await?;
        let depth = words[2];
        // Expert-choice scores each round that was reached, token-choice all at once.
        let scored = match &self.config.router {
            None => 0,
            Some(router) if router.kind == RouterKind::Token => words.len() - 3,
            // The round that refused a token has scored it; where the caller decides, it is not asked.
            Some(_) => (depth as usize + usize::from(!forced)).min(words.len() - 3),
        };
        Ok(Drawn {
            token: words[0],
            log_probability: f32::from_bits(words[1]),
            depth,
            scores: words[3..3 + scored].iter().map(|&bits| f32::from_bits(bits)).collect(),
        })
    }
}
