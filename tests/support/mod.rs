//! What tests of several groups need: models and files made on the spot, where real ones are, and the command.

#![allow(dead_code, reason = "no group needs all of it")]

pub mod case;
pub mod command;
pub mod gguf;
pub mod gguf_metadata;
pub mod golden_dir;
pub mod kits;
pub mod networks;
pub mod smollm2;
pub mod smollm2_mixture;
pub mod tiny_model;
