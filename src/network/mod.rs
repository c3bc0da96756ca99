//! What a network is, in plain data: its config, the names of its tensors, the order of its layers. Knows no GPU and no file.

pub mod config;
pub mod exit;
pub mod family;
pub mod flops;
pub mod form;
pub mod gate;
pub mod generation;
pub(crate) mod json_fields;
pub mod kit;
pub mod lora;
pub mod names;
pub mod plan;
mod trained;
