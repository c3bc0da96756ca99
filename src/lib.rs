//! Isobath runs language models whose tokens differ in depth (recursion, routing, early exit) on any GPU that speaks
//! WebGPU, natively and in browsers.
//!
//! The way of the data, which is also the order in which to read:
//!
//! | stage | where |
//! | --- | --- |
//! | a model file: tensors, config, tokenizer | [`files::safetensors`], [`files::gguf`], [`network::config`], [`text`] |
//! | the order of layers: prologue, rounds, epilogue | [`network::plan`] |
//! | weights on the GPU | [`runtime::weights`] |
//! | rows, lanes, the paged KV cache | [`runtime::state`] |
//! | one step: embed, rounds with their gates, head, draw | [`runtime::step`], [`runtime::layer`], [`kernels`] |
//! | text, with the depth of each token | [`engine`], [`depth`] |
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use isobath::engine::{Engine, EngineOptions, event::Event, request::Request};
//! use isobath::gpu::Gpu;
//! use isobath::network::config::ModelConfig;
//! use isobath::files::safetensors::Safetensors;
//! use isobath::text::Tokenizer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { pollster::block_on(async {
//! let config = ModelConfig::from_json(&std::fs::read_to_string("assets/stories/config.json")?)?;
//! let tokenizer = Tokenizer::from_json(&std::fs::read("assets/stories/tokenizer.json")?)?;
//! let bytes = std::fs::read("assets/stories/model.safetensors")?;
//! let source = Safetensors::parse(&bytes, "model.safetensors")?;
//! let prompt = tokenizer.encode_prompt("the sea", true)?;
//! let gpu = Gpu::open(None).await?;
//! let options = EngineOptions::default();
//! let mut engine = Engine::load(gpu, &config, &source, tokenizer, options, &mut |_, _| {}).await?;
//! engine
//!     .generate(&Request::new(prompt, 32), &mut |event| {
//!         if let Event::Token(token) = event {
//!             print!("{}[{}]", token.text, token.depth);
//!         }
//!         ControlFlow::Continue(())
//!     })
//!     .await?;
//! # Ok(()) }) }
//! ```

pub mod bench;
#[cfg(feature = "convert")]
pub mod convert;
pub mod depth;
pub mod engine;
pub mod error;
pub mod eval;
pub mod files;
pub mod gpu;
pub mod judge;
pub mod kernels;
pub mod network;
#[cfg(feature = "panel")]
pub mod panel;
pub mod runtime;
pub mod schedule;
pub mod service;
pub mod tensor;
pub mod text;
