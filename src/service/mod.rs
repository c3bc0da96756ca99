//! An engine at the end of a wire: commands in, updates out.
//!
//! [`run`] owns the engine. Natively it has a thread to itself, in a browser it is a task of the page; whoever draws
//! never waits for it. [`Command`] and [`Update`] are plain data, so that the updates of a run can be saved as JSON
//! lines and played again where there is no engine at all ([`trace`]).
//!
//! ```no_run
//! use futures_channel::mpsc::unbounded;
//! use isobath::gpu::Gpu;
//! use isobath::service::{self, Command, Files, Prompt, Settings, Start, Task, Update};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = std::fs::read("assets/stories/model.safetensors")?;
//! let files = Files::Folder {
//!     config: std::fs::read_to_string("assets/stories/config.json")?,
//!     tokenizer: std::fs::read("assets/stories/tokenizer.json")?,
//!     chat_template: None,
//!     special_tokens: Default::default(),
//!     tensors: vec![("model.safetensors".into(), Box::new(bytes))],
//! };
//! let (commands, received) = unbounded();
//! let sequences = vec![Task { name: 1, prompt: Prompt::Text("Once".into()) }];
//! commands.unbounded_send(Command::Submit { sequences, settings: Settings::default() })?;
//! drop(commands); // what was asked is still done
//! let begin = std::time::Instant::now();
//! pollster::block_on(service::run(
//!     Start::new("stories", files),
//!     || Gpu::open(None),
//!     received,
//!     &|| begin.elapsed().as_secs_f64(),
//!     &mut |stamped| println!("{:.3} {:?}", stamped.at, stamped.update),
//! ));
//! # Ok(()) }
//! ```
//!
//! **Invariant:** no thread, file or clock of its own: the caller brings the time, in seconds since any moment.

mod depth;
mod facts;
mod lanes;
mod load;
pub mod message;
mod meter;
mod race;
mod rebuild;
mod serve;
pub mod trace;

pub use facts::{Adapter, GateFacts, ModelFacts};
pub use lanes::{Lane, LaneState};
pub use load::{Bytes, Files, Start};
pub use message::{
    Command, Contestant, Failure, FailureKind, Heat, Prompt, Role, Settings, Stamped, Task, Tick, Turn, Update,
};
pub use serve::run;
