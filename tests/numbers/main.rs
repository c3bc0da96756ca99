//! **What is computed is what the models mean.** Logits, hidden states, chosen rows, depths and losses are those of the
//! reference implementations and of the twins on the CPU, within tolerances that each file names.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod deferring;
mod eval;
mod exits;
mod family;
mod golden;
mod guesses;
mod quantised;
mod range;
mod smollm2;
mod states;
#[path = "../support/mod.rs"]
mod support;
