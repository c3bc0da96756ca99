//! From the bytes of a model file to weights on the GPU and the order in which its layers run.

pub mod block;
pub mod config;
mod config_block;
mod config_check;
mod config_json;
pub mod export;
pub mod folder;
pub mod forward;
pub mod gguf;
mod gguf_config;
mod gguf_layout;
pub mod gguf_metadata;
mod gguf_names;
mod gguf_tokenizer;
mod json_fields;
pub mod lora;
pub mod memory;
pub mod names;
pub mod pack;
pub mod plan;
pub mod random;
pub mod reference;
pub mod rounds;
pub mod state;
pub mod tensor;
pub mod tick;
pub mod weights;
