//! A model that says what a test tells it to.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use isobath::engine::event::{Event, FinishReason, TokenEvent};
use isobath::engine::request::{Request, Sampling};
use isobath::error::{Error, RequestError};
use isobath::network::generation::Generation;
use isobath::service::{Prompt, Settings};
use isobath::text::{ChatTemplate, SpecialTokens, Tokenizer};

use super::writer::Writer;

/// Answers each request with the next of `answers`: texts with their depths.
#[derive(Debug, Default)]
pub struct Fake {
    pub answers: VecDeque<Vec<(&'static str, u32)>>,
    pub template: bool,
    pub asked: Vec<String>,
    pub sampled: Vec<Sampling>,
    pub generation: Generation,
}

/// A request of that prompt.
pub fn request(prompt: &[u32], max_tokens: u32) -> Request {
    Request::new(prompt.to_vec(), max_tokens)
}

/// It spells any text, and adds nothing.
const TOKENIZER: &[u8] = include_bytes!("../../tests/models/tiny/tokenizer.json");

/// Every turn between brackets.
const TEMPLATE: &str = "{% for turn in messages %}<{{ turn.role[0] }}:{{ turn.content }}>{% endfor %}";

impl Writer for Fake {
    fn request(&self, prompt: &Prompt, settings: &Settings) -> Result<Request, Error> {
        let template = self.template.then(|| ChatTemplate::new(TEMPLATE, &SpecialTokens::default())).transpose()?;
        Ok(prompt.request(settings, &Tokenizer::from_json(TOKENIZER)?, template.as_ref())?)
    }

    fn has_template(&self) -> bool {
        self.template
    }

    fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let asked = Tokenizer::from_json(TOKENIZER)?.decode(&request.prompt, false);
        if asked.is_empty() {
            return Err(RequestError::EmptyPrompt.into());
        }
        self.asked.push(asked);
        self.sampled.push(request.sampling);
        let total = request.prompt.len() as u32;
        let mut tokens = 0;
        let mut flow = sink(&Event::Prefill { done: total, total });
        for (text, depth) in self.answers.pop_front().unwrap_or_default() {
            if flow.is_break() || tokens == request.max_tokens {
                break;
            }
            let (position, scores) = (total + tokens, Vec::new());
            let (text, alternatives) = (text.into(), Vec::new());
            let token = TokenEvent {
                position,
                token: 0,
                text,
                depth,
                scores,
                log_probability: -0.5,
                guess: None,
                alternatives,
            };
            flow = sink(&Event::Token(token));
            tokens += 1;
        }
        let reason = if flow.is_break() { FinishReason::Cancelled } else { FinishReason::Length };
        if flow.is_continue() {
            let _ = sink(&Event::Finished { reason, text: String::new(), tokens });
        }
        Ok(reason)
    }

    fn rounds(&self) -> u32 {
        3
    }

    fn adapter(&self) -> &str {
        "fake adapter"
    }

    fn profile(&self) -> Option<String> {
        None
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }
}
