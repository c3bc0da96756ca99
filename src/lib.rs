//! Isobath runs language models whose tokens differ in depth (recursion, routing, early exit) on any GPU that speaks
//! WebGPU, natively and in browsers.
//!
//! ```
//! # fn main() -> Result<(), isobath::Error> {
//! let mut model = isobath::open("assets/stories")?;
//! for event in model.generate("The sea was", &isobath::Settings::of(16))? {
//!     if let isobath::Event::Token(token) = event? {
//!         print!("{}·{}", token.text, token.depth); // the text, and how many rounds it took to predict it
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! [`open()`] takes a folder in the manner of Hugging Face or a `.gguf` file, and [`Settings`] say how a text is written:
//! its length, sampling, a fixed depth, where it stops. `model.generate(prompt, &settings)?.text()?` is the whole text at
//! once, [`Model::chat`] answers a conversation.
//!
//! # Many at once
//!
//! Sequences that are written side by side share each pass over the weights. What a sequence says is the same to the bit
//! alone and in any company.
//!
//! ```
//! use isobath::{EngineOptions, Event, Settings};
//!
//! # fn main() -> Result<(), isobath::Error> {
//! let options = EngineOptions { lanes: 4, context: Some(64), ..EngineOptions::default() };
//! let mut model = isobath::open_with("tests/models/tiny", options)?;
//! for prompt in ["One day", "Long ago"] {
//!     model.submit(prompt, &Settings::of(8))?;
//! }
//! while let Some((sequence, event)) = model.wait()? {
//!     if let Event::Finished { tokens, reason, .. } = event {
//!         println!("{sequence:?}: {tokens} tokens, {reason:?}");
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Where nothing may wait
//!
//! In a browser, and in asynchronous code anywhere, the same is awaited. Bytes may come from anywhere
//! ([`FileBytes`](tensor::bytes::FileBytes)); none but [`disk`] opens a file, and that is not there in a browser.
//!
//! ```
//! use isobath::{EngineOptions, Event, Files, Gpu, Model, Settings};
//!
//! async fn write(config: String, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<String, isobath::Error> {
//!     let files = Files::folder(config, tokenizer, weights);
//!     let mut model = Model::load(&files, Gpu::open(None).await?, EngineOptions::default()).await?;
//!     let mut writing = model.generate("The sea was", &Settings::of(64))?;
//!     let mut text = String::new();
//!     while let Some(event) = writing.event().await? {
//!         if let Event::Token(token) = event {
//!             text += &token.text;
//!         }
//!     }
//!     Ok(text)
//! }
//! # let _ = write;
//! ```
//!
//! A [`Model`] is `Send`, its futures are not: see there. [`service`] puts one at the end of a wire: commands in, updates
//! out, a lost device replaced.
//!
//! # More
//!
//! | to do | see |
//! | --- | --- |
//! | decide on depth by a rule of one's own | [`Engine::set_policy`], [`ExitPolicy`] |
//! | put another gate in place, or move its thresholds | [`Engine::set_gate`], [`Engine::set_thresholds`] |
//! | requests by the token, events tick by tick, statistics | [`Engine`] (`model.engine`) |
//! | the loss of a text at every depth | [`eval`] |
//! | models out of models, quantised files | [`files`], `convert` |
//! | what can go wrong | [`Error`] |

pub mod depth;
#[cfg(not(target_arch = "wasm32"))]
pub mod disk;
pub mod engine;
pub mod error;
pub mod eval;
pub mod files;
pub mod network;
#[cfg(feature = "panel")]
pub mod panel;
pub mod race;
pub mod service;
pub mod tensor;
pub mod text;

#[cfg(feature = "convert")]
pub mod convert;
#[cfg(feature = "convert")]
pub mod draft;

// What is beneath the engine, for tests and benchmarks; it changes without notice.
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod gpu;
#[doc(hidden)]
pub mod judge;
#[doc(hidden)]
pub mod kernels;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod schedule;

pub use depth::policy::{ExitPolicy, Rule};
#[cfg(not(target_arch = "wasm32"))]
pub use disk::{open, open_with};
pub use engine::event::{Alternative, Event, FinishReason, TokenEvent};
pub use engine::request::{Request, Routing, Sampling};
pub use engine::{Engine, EngineOptions, SequenceId, Statistics};
pub use error::{Error, GpuError, ModelError, RequestError, TextError};
pub use gpu::{AdapterSummary, Gpu, SharedDevice};
pub use runtime::room::Cut;
pub use runtime::tick::Order;
pub use service::{Files, Model, Parts, Prompt, Settings, Writing};
pub use text::{ChatTemplate, Message, Role, Tokenizer};

/// A model may move to another thread, with all that it holds.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    const fn may_move<T: Send>() {}
    may_move::<Model>();
    may_move::<Engine>();
    may_move::<Gpu>();
    may_move::<Writing<'static>>();
};
