//! **What a user is told is so.** The command by its binary, the library's engine, and the service behind window and page: what
//! they write, refuse and say.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod batch_command;
mod bench;
mod cli;
mod cli_generate;
mod draft;
mod engine;
mod model_defaults;
mod service;
#[path = "../support/mod.rs"]
mod support;
