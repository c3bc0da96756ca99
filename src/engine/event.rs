//! What leaves the engine: the command, the panel and the page know nothing else of it.

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model wrote an end-of-sequence token.
    EndOfSequence,
    /// A stop text of the request was written.
    Stop,
    /// The requested number of tokens is reached.
    Length,
    /// The context is full.
    ContextFull,
    /// The caller cancelled.
    Cancelled,
}

/// One token that the model wrote.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenEvent {
    /// Position in the sequence, 0 is the prompt's first token.
    pub position: u32,
    /// The token.
    pub token: u32,
    /// Its text; empty while a character is incomplete, so that the concatenation is always valid.
    pub text: String,
    /// Rounds that were run to predict it.
    pub depth: u32,
    /// What the gate measured before the rounds that it was asked for, first round first; empty without a gate.
    pub scores: Vec<f32>,
    /// Natural logarithm of the probability the model gave it (before temperature and filters).
    pub log_probability: f32,
    /// What was guessed in its place and checked; none where nobody guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guess: Option<Guess>,
    /// The most probable tokens there, best first, the written one among them where it belongs; as many as
    /// [`EngineOptions::alternatives`](super::EngineOptions::alternatives) asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// What was guessed of a token before the whole network had computed it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Guess {
    /// The token that was guessed.
    pub token: u32,
    /// Its text by itself.
    pub text: String,
    /// Who guessed it.
    pub by: Guesser,
    /// It is what the network wrote, and saved a pass.
    pub accepted: bool,
}

/// Who guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guesser {
    /// The text itself, by what followed its last tokens where they stood before.
    Lookup,
    /// A text that was given, for measurements.
    Recall,
    /// The model's own first rounds.
    Rounds,
    /// The first layers, at one of several exits.
    Exits,
    /// One matrix, from the state that the token before was written from.
    Jump,
}

/// A token that might have stood there.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Alternative {
    /// The token.
    pub token: u32,
    /// Its text by itself.
    pub text: String,
    /// Natural logarithm of the probability the model gave it (before temperature and filters).
    pub log_probability: f32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Part of the prompt has been read.
    Prefill {
        /// Tokens read so far.
        done: u32,
        /// Tokens of the prompt.
        total: u32,
    },
    /// A token was written.
    Token(TokenEvent),
    /// The sequence ended; nothing follows.
    Finished {
        /// Why.
        reason: FinishReason,
        /// Text that was held back for a stop text or an incomplete character, now released.
        text: String,
        /// Tokens written.
        tokens: u32,
    },
}
