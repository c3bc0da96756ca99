//! Text in, text out: tokenizers, streaming of tokens as text, and chat templates.
//!
//! **Invariant:** no files, no clocks, no GPU: everything here is given bytes, numbers and strings.

pub mod chat;
mod detokenizer;
mod end_tokens;
mod parts;
mod special_tokens;
mod splitting;
mod splitting_rules;
pub mod stream;
mod template;
#[cfg(test)]
mod tests;
mod to_gguf;
mod to_gguf_pieces;
pub mod tokenizer;
mod vocabulary;

pub use chat::{ChatTemplate, Message, Role};
pub use end_tokens::EndKeys;
pub use special_tokens::SpecialTokens;
pub use stream::{StreamStep, TextStream};
pub use template::LocalTime;
pub use tokenizer::Tokenizer;
pub use vocabulary::GgufVocabulary;
