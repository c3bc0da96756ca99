//! A model that says what a test tells it to.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use isobath::engine::event::{Event, FinishReason, TokenEvent};
use isobath::engine::request::{Request, Sampling};
use isobath::error::{Error, RequestError};
use isobath::network::generation::Generation;

use super::writer::{Role, Turn, Writer};

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
    Request {
        prompt: prompt.to_vec(),
        max_tokens,
        sampling: Sampling::GREEDY,
        stop: Vec::new(),
        ignore_end: false,
        depth: None,
        routing: Default::default(),
        priority: 0,
    }
}

impl Writer for Fake {
    fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(text.chars().map(u32::from).collect())
    }

    fn encode_turns(&self, turns: &[Turn]) -> Result<Option<Vec<u32>>, Error> {
        let line = |turn: &Turn| {
            let role = match turn.role {
                Role::System => 's',
                Role::User => 'u',
                Role::Assistant => 'a',
            };
            format!("<{role}:{}>", turn.content)
        };
        if !self.template {
            return Ok(None);
        }
        self.encode(&turns.iter().map(line).collect::<String>()).map(Some)
    }

    fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        if request.prompt.is_empty() {
            return Err(RequestError::EmptyPrompt.into());
        }
        self.asked.push(request.prompt.iter().filter_map(|&token| char::from_u32(token)).collect());
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
            let token = TokenEvent { position, token: 0, text, depth, scores, log_probability: -0.5, alternatives };
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
