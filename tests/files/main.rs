//! **What stands in people's files is what is read, and what is written is read by others.** The same model in every format,
//! text in the pieces of its own tokenizer, models made out of models.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod convert;
mod generation;
mod kits;
mod model_files;
mod quantise;
mod sources;
mod splits;
#[path = "../support/mod.rs"]
mod support;
mod texts;
mod tokenizer;
