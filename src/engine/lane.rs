//! A sequence on its way through the engine: waiting, being read, being written.

use super::SequenceId;
use super::event::{Alternative, Event, FinishReason, Guess, TokenEvent};
use super::request::{Request, Sampling};
use crate::kernels::draw::sample::Settings;
use crate::kernels::exits::finish::LaneEvent;
use crate::runtime::lane::LaneDepth;
use crate::runtime::step::Depth;
use crate::text::Tokenizer;
use crate::text::stream::TextStream;

/// A sequence that has not ended.
pub(super) struct Active {
    pub request: Request,
    pub depth: Depth,
    /// Rounds of each position, where another than the model decides.
    pub depths: Option<Vec<u32>>,
    /// `None` once its end is told.
    pub stream: Option<TextStream>,
    /// Tokens told of.
    pub written: u32,
    /// What the first layers are asked for, where layers are put off; none before it has a lane.
    pub threshold: Option<f32>,
    /// Tokens told by the first layers since one of all layers: so many rows wait.
    pub waiting: u32,
}

/// What the host knows of a lane when it plans a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnLane {
    pub id: SequenceId,
    /// Tells this stay in the lane from earlier and later ones.
    pub serial: u32,
    /// Tokens read before the first is drawn.
    pub reads: u32,
    /// Tokens that may be drawn.
    pub remaining: u32,
    /// The token that enters behind those, told before; none where the last that is read draws one.
    pub enters: Option<u32>,
    /// Entries that ticks may have added to what is known of it, once its last chunk was submitted.
    pub entries: Option<u32>,
    /// It may run less than all rounds, whatever the model says.
    pub ragged: bool,
}

impl Active {
    /// How deep tokens go while decoding.
    pub fn lane_depth(&self, rounds: u32) -> LaneDepth<'_> {
        match (&self.depths, self.depth) {
            (Some(depths), _) => LaneDepth::Given(depths),
            (None, Depth::Fixed(depth)) => LaneDepth::Fixed(depth),
            // The best of one token is that token: the released code runs every round.
            (None, Depth::Together) => LaneDepth::Fixed(rounds),
            (None, Depth::Model) => LaneDepth::Gate,
        }
    }

    /// How deep the tokens from a position on go when they are read.
    pub fn reading_depth(&self, start: u32, rounds: u32) -> Depth {
        // What was written before a preemption is read again as it was written.
        let written = start >= self.request.prompt.len() as u32;
        if self.depth == Depth::Together && written { Depth::Fixed(rounds) } else { self.depth }
    }

    /// The event of one drawn token, and whether it completes a stop text.
    pub fn token(
        &mut self,
        drawn: &LaneEvent,
        scores: Vec<f32>,
        guess: Option<Guess>,
        tokenizer: &Tokenizer,
    ) -> (Event, bool) {
        self.written += 1;
        // An end token's spelling is not shown.
        let stream = self.stream.as_mut().filter(|_| drawn.ended != 1);
        let step = stream.map(|stream| stream.push(drawn.token)).unwrap_or_default();
        // Where the vocabulary is smaller than what was asked for, the rest is no token.
        let alternative = |&(token, log_probability): &(u32, f32)| {
            Some(Alternative { token, text: tokenizer.token_text(token)?, log_probability })
        };
        let event = Event::Token(TokenEvent {
            position: drawn.position,
            token: drawn.token,
            text: step.text,
            depth: drawn.depth,
            scores,
            log_probability: drawn.log_probability,
            guess,
            alternatives: drawn.alternatives.iter().filter_map(alternative).collect(),
        });
        (event, step.stop.is_some())
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
