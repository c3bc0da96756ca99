//! A loaded model as the commands see it, and how its events reach the screen.
//!
//! **Invariant:** stdout gets the model's text (or its events as JSON) and nothing else.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use isobath::depth::trace::DepthHistogram;
use isobath::engine::event::{Event, FinishReason};
use isobath::engine::request::Request;
use isobath::error::Error;
use isobath::network::generation::Generation;
use isobath::service::{Prompt, Settings};

use super::interrupt::Interrupt;
use super::paint::Painter;

/// A model on a GPU. The commands are written against this, so that they are tested without one.
pub trait Writer {
    /// What the engine is asked for this prompt.
    fn request(&self, prompt: &Prompt, settings: &Settings) -> Result<Request, Error>;

    /// The model was made for conversations.
    fn has_template(&self) -> bool;

    /// Writes until the request is fulfilled or the sink breaks.
    fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error>;

    /// Rounds that a token can run at most.
    fn rounds(&self) -> u32;

    /// The adapter, and why it was taken.
    fn adapter(&self) -> &str;

    /// Time per kernel, where it was measured.
    fn profile(&self) -> Option<String>;

    /// How the model's author would have tokens drawn.
    fn generation(&self) -> &Generation;
}

/// Where text and events go.
pub struct Screen<W> {
    out: W,
    json: bool,
    painter: Painter,
    /// Written with the first event.
    opening: String,
}

/// What one request came to.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub reason: FinishReason,
    /// Ctrl-C ended it.
    pub interrupted: bool,
    /// All text, as the model wrote it.
    pub text: String,
    /// Tokens written.
    pub tokens: u64,
    /// Tokens by depth.
    pub depths: DepthHistogram,
    /// Guesses that were right.
    pub accepted: u64,
    /// From the request to the first token, which includes reading the prompt.
    pub first_token: Option<Duration>,
    /// From the request to the end.
    pub total: Duration,
}

impl<W: Write> Screen<W> {
    /// Writes to `out`: text in the painter's style, or JSON lines.
    pub fn new(out: W, json: bool, painter: Painter) -> Self {
        Self { out, json, painter, opening: String::new() }
    }

    /// What stands before the answer, once it is clear that there will be one.
    pub fn with_opening(mut self, opening: String) -> Self {
        self.opening = opening;
        self
    }

    /// Writes a request's answer as it comes. A reader that went away ends it like Ctrl-C does, as an `io::Error`.
    pub fn answer(
        &mut self,
        writer: &mut dyn Writer,
        request: &Request,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut text = String::new();
        let opens = !self.opening.is_empty();
        let (mut tokens, mut accepted, mut depths, mut first_token) = (0, 0, DepthHistogram::default(), None);
        let mut shown = Ok(());
        let (reason, interrupted) = interrupt.while_writing(|interrupt| {
            writer.generate(request, &mut |event| {
                match event {
                    Event::Prefill { .. } => {}
                    Event::Token(token) => {
                        first_token.get_or_insert_with(|| start.elapsed());
                        tokens += 1;
                        accepted += u64::from(token.guess.as_ref().is_some_and(|guess| guess.accepted));
                        depths.add(token.depth);
                        text.push_str(&token.text);
                    }
                    Event::Finished { text: rest, .. } => text.push_str(rest),
                }
                // What follows a failed write is lost as well, and must not hide why.
                if shown.is_ok() {
                    shown = self.show(event);
                }
                if shown.is_err() || interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let total = start.elapsed();
        shown?;
        let written = !text.is_empty() || opens && self.opening.is_empty();
        if !self.json && written && !text.ends_with('\n') {
            writeln!(self.out)?;
            self.out.flush()?;
        }
        Ok(Outcome { reason: reason?, interrupted, text, tokens, accepted, depths, first_token, total })
    }

    fn show(&mut self, event: &Event) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, event)?;
            writeln!(self.out)?;
        } else {
            write!(self.out, "{}", std::mem::take(&mut self.opening))?;
            match event {
                Event::Prefill { .. } => {}
                Event::Token(token) => write!(self.out, "{}", self.painter.token(&token.text, token.depth))?,
                // Held back over several tokens, so that it has no single depth.
                Event::Finished { text, .. } => write!(self.out, "{text}")?,
            }
        }
        self.out.flush()
    }
}

impl Outcome {
    /// One line: tokens, speed, depth, adapter.
    pub fn summary(&self, rounds: u32, adapter: &str) -> String {
        let mut parts = vec![match self.tokens {
            1 => "1 token".to_owned(),
            tokens => format!("{tokens} tokens"),
        }];
        // The first token waits for the prompt; the speed of writing is that of those after it.
        let writing = self.total.saturating_sub(self.first_token.unwrap_or(self.total)).as_secs_f64();
        if self.tokens > 1 && writing > 0.0 {
            parts.push(format!("{:.1} tokens/s", (self.tokens - 1) as f64 / writing));
        }
        if let Some(first) = self.first_token {
            parts.push(format!("first after {:.2} s", first.as_secs_f64()));
            parts.push(format!("mean depth {:.2} of {rounds}", self.depths.mean()));
        }
        if self.accepted > 0 && self.tokens > self.accepted {
            let each = self.tokens as f64 / (self.tokens - self.accepted) as f64;
            parts.push(format!("{each:.2} tokens a pass by {} right guesses", self.accepted));
        }
        parts.push(
            match (self.interrupted, self.reason) {
                (true, _) | (_, FinishReason::Cancelled) => "interrupted",
                (_, FinishReason::EndOfSequence) => "the model ended it",
                (_, FinishReason::Stop) => "a stop text ended it",
                (_, FinishReason::Length) => "all tokens that were asked for",
                (_, FinishReason::ContextFull) => "the context is full",
            }
            .to_owned(),
        );
        format!("{}; {adapter}", parts.join(", "))
    }
}
