//! A sequence on its way through the engine: waiting, being read, being written.

use super::SequenceId;
use super::event::{Event, FinishReason, TokenEvent};
use super::request::{Request, Sampling};
use crate::kernels::finish::LaneEvent;
use crate::kernels::sample::Settings;
use crate::model::forward::Depth;
use crate::text::stream::TextStream;

/// A sequence that has not ended.
pub(super) struct Active {
    pub id: SequenceId,
    pub request: Request,
    pub depth: Depth,
    /// `None` once its end is told.
    pub stream: Option<TextStream>,
    /// Prompt tokens handed to the GPU.
    pub read: u32,
    /// Ticks that may have moved it on.
    pub ticks: u32,
    /// Tokens told of.
    pub written: u32,
    /// Tokens that fit behind the prompt.
    pub room: u32,
}

impl Active {
    /// Most tokens to write.
    pub fn most(&self) -> u32 {
        self.request.max_tokens.min(self.room)
    }

    /// Prompt tokens still to be handed to the GPU.
    pub fn unread(&self) -> u32 {
        self.request.prompt.len() as u32 - self.read
    }

    /// Rounds that every token is made to run while decoding; 0 leaves it to the model.
    pub fn forced(&self, rounds: u32) -> u32 {
        match self.depth {
            Depth::Fixed(_) if self.request.drawn_depths.is_some() => 0,
            Depth::Fixed(depth) => depth,
            // The best of one token is that token: the released code runs every round.
            Depth::TopK => rounds,
            Depth::Model => 0,
        }
    }

    /// The events of one drawn token, the last of them [`Event::Finished`] where the sequence ends with it.
    pub fn token(&mut self, drawn: &LaneEvent, scored: usize) -> Vec<Event> {
        self.written += 1;
        let ended = drawn.ended == 1;
        let stream = self.stream.as_mut().filter(|_| !ended);
        let step = stream.map(|stream| stream.push(drawn.token)).unwrap_or_default();
        let mut events = vec![Event::Token(TokenEvent {
            position: drawn.position,
            token: drawn.token,
            text: step.text,
            depth: drawn.depth,
            scores: drawn.scores[..scored.min(drawn.scores.len())].to_vec(),
            log_probability: drawn.log_probability,
        })];
        let reason = match drawn.ended {
            _ if step.stop.is_some() => FinishReason::Stop,
            1 => FinishReason::EndOfSequence,
            2 if self.request.max_tokens > self.room => FinishReason::ContextFull,
            2 => FinishReason::Length,
            _ => return events,
        };
        events.push(self.finished(reason));
        events
    }

    /// The last event.
    pub fn finished(&mut self, reason: FinishReason) -> Event {
        // A stop text is never shown, nor is what was held back as its beginning.
        let rest = self.stream.take().filter(|_| reason != FinishReason::Stop);
        let text = rest.map(|stream| stream.finish().text).unwrap_or_default();
        Event::Finished { reason, text, tokens: self.written }
    }
}

impl Sampling {
    /// As the GPU holds it.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            inverse_temperature: if self.temperature > 0.0 { 1.0 / self.temperature } else { 0.0 },
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            penalty: self.repeat_penalty,
            seed_low: self.seed as u32,
            seed_high: (self.seed >> 32) as u32,
            spare: 0,
        }
    }
}
