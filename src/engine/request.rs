//! What is asked of the engine, checked once before it runs.

use crate::error::RequestError;

/// How the next token is drawn. Order: repeat penalty, temperature, top-k, top-p, min-p, draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the most probable token.
    pub temperature: f32,
    /// Only the k most probable tokens; 0 keeps all.
    pub top_k: u32,
    /// Only the most probable tokens whose probabilities sum up to this; 1 keeps all.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the best; 0 keeps all.
    pub min_p: f32,
    /// Logits of tokens seen in the sequence are divided (if positive) or multiplied (if negative) by this; 1 is off.
    pub repeat_penalty: f32,
    /// Seed of the random numbers; the same seed gives the same text.
    pub seed: u64,
}

impl Sampling {
    /// Always the most probable token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, seed: 0 };

    /// Refuses settings outside their range.
    pub fn check(&self) -> Result<(), RequestError> {
        let setting = |name, value: f32, ok: bool, range: &str| {
            if ok { Ok(()) } else { Err(RequestError::Setting { name, value: value.to_string(), range: range.into() }) }
        };
        setting("temperature", self.temperature, (0.0..=100.0).contains(&self.temperature), "between 0 and 100")?;
        setting("top-p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1")?;
        setting("min-p", self.min_p, (0.0..=1.0).contains(&self.min_p), "between 0 and 1")?;
        let penalty = self.repeat_penalty;
        setting("repeat-penalty", penalty, penalty > 0.0 && penalty <= 100.0, "above 0 and at most 100")
    }
}

/// Over whom a gate decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// Each token by its own score: causal, the same in prefill and decoding.
    #[default]
    Threshold,
    /// The k best of all tokens in the call, where the model was trained so; not causal, for parity with released code only.
    TopK,
}

/// One sequence to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt's tokens, begin-of-sequence included where the model wants it.
    pub prompt: Vec<u32>,
    /// Most tokens to write.
    pub max_tokens: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Writing ends before the first of these texts.
    pub stop: Vec<String>,
    /// The model's end-of-sequence tokens are written like any other.
    pub ignore_end: bool,
    /// Every token runs exactly this many rounds; `None` leaves it to the model.
    pub depth: Option<u32>,
    /// Over whom the gate decides.
    pub routing: Routing,
    /// Higher comes first; 0 is normal. At most 64 later ones overtake a sequence.
    pub priority: u8,
}

impl Request {
    /// The most probable continuation of a prompt, at the depth that the model chooses.
    pub fn new(prompt: Vec<u32>, max_tokens: u32) -> Self {
        Self {
            prompt,
            max_tokens,
            sampling: Sampling::GREEDY,
            stop: Vec::new(),
            ignore_end: false,
            depth: None,
            routing: Routing::Threshold,
            priority: 0,
        }
    }
}
