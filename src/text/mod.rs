//! Text in, text out: tokenizers, streaming of tokens as text, and chat templates.
//!
//! **Invariant:** no files, no clocks, no GPU: everything here is given bytes, numbers and strings.

pub mod chat;
mod detokenizer;
mod end_tokens;
mod parts;
mod splitting;
mod splitting_rules;
pub mod stream;
mod strftime;
mod template_json;
#[cfg(test)]
mod tests;
mod to_gguf;
mod to_gguf_pieces;
pub mod tokenizer;
mod vocabulary;

pub use chat::{ChatTemplate, Message};
pub use end_tokens::EndKeys;
pub use stream::{StreamStep, TextStream};
pub use tokenizer::Tokenizer;
pub use vocabulary::GgufVocabulary;
