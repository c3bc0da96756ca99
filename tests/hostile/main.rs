//! **A stranger's bytes are refused in words, in bounded time and memory, or read.** Never a panic, and each refusal stands
//! in `docs/refusals.md`.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod damage;
mod damaged_folder;
mod damaged_gguf;
mod kits;
#[path = "../support/hostile.rs"]
mod reader;
mod refusals;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

/// Counts for each thread, so that tests beside each other do not count as one.
#[global_allocator]
static ALLOCATOR: reader::Counting = reader::Counting;
