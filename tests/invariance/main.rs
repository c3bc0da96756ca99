//! **Nobody can tell from a text what ran beside it.** Tokens, depths and log-probabilities are the same to the bit, alone or
//! in company, in whatever order rounds are run, with prefixes shared and pages run out, on a device that has little and
//! after one that was lost.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod batch;
mod deferring;
mod exits;
mod gates;
mod guesses;
mod loss;
mod models;
mod pages;
mod policy;
mod room;
#[path = "../support/mod.rs"]
mod support;
mod tick;
