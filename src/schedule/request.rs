//! What a caller may ask for, why it may be refused, and how it may end.

use std::fmt;

/// Names a sequence; an engine uses none twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct SequenceId(pub u64);

/// A sequence to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Its name; no other that waits or runs may have it.
    pub id: SequenceId,
    /// Tokens to read first; at least one, and fewer than the context holds.
    pub prompt: Vec<u32>,
    /// Most tokens to write; at least one.
    pub max_tokens: u32,
    /// Every token runs so many rounds. Classes of further rounds need no pages then.
    pub depth: Option<u32>,
    /// Higher comes first; 0 is normal.
    pub priority: u8,
    /// Whatever changes the numbers beside the tokens, such as a forced depth or a threshold: entries of the prefix
    /// cache are shared among equal keys only.
    pub key: u64,
    /// So many tokens at the beginning of the prompt must be read in one chunk, because their rows are judged together; 0
    /// where none are. The sequence takes nothing from the prefix cache and adds nothing to it then, and what stands behind
    /// them is read a token at a time, as it was drawn.
    pub together: u32,
    /// Entries of so many tokens at the beginning are shared with prompts that begin alike; of those behind them none are.
    pub shared: u32,
}

/// Why a scheduler or a sequence was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Sizes that contradict one another.
    Shape {
        /// What is wrong.
        what: &'static str,
    },
    /// A sequence of that name waits or runs.
    NameInUse(SequenceId),
    /// There is no token to read.
    EmptyPrompt,
    /// There is no token to write.
    NothingToWrite,
    /// The prompt leaves no room in the context.
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// The most that fit.
        most: u32,
    },
    /// Tokens must be read in one chunk, and are more.
    PromptExceedsChunk {
        /// Tokens that must be read together.
        tokens: u32,
        /// The most that fit.
        most: u32,
    },
    /// The KV cache could not hold the sequence even if it ran alone.
    CacheTooSmall {
        /// Pages that it may need, of both pools.
        needed: [u32; 2],
        /// Pages that there are.
        pages: [u32; 2],
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { what } => write!(f, "{what}"),
            Self::NameInUse(SequenceId(id)) => write!(f, "sequence {id} waits or runs already"),
            Self::EmptyPrompt => write!(f, "the prompt is empty"),
            Self::NothingToWrite => write!(f, "no token is to be written"),
            Self::PromptTooLong { tokens, most } => {
                write!(f, "the prompt has {tokens} tokens, the context leaves room for {most}")
            }
            Self::PromptExceedsChunk { tokens, most } => {
                write!(f, "the prompt has {tokens} tokens and must be read in one chunk, which holds {most}")
            }
            Self::CacheTooSmall { needed, pages } => write!(
                f,
                "the sequence may need {} and {} pages of the KV cache, which has {} and {}",
                needed[0], needed[1], pages[0], pages[1]
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The model drew its end-of-sequence token.
    EndOfSequence,
    /// As many tokens were written as were asked for.
    Length,
    /// The context is full.
    ContextFull,
    /// The caller wanted no more.
    Cancelled,
    /// A stop token was drawn, or the caller found a stop text.
    Stop,
}
