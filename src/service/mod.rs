//! An engine at the end of a wire: commands in, updates out.
//!
//! [`run`] owns the engine. Natively it has a thread to itself, in a browser it is a task of the page; whoever draws
//! never waits for it. [`Command`] and [`Update`] are plain data, so that the updates of a run can be saved as JSON
//! lines and played again where there is no engine at all ([`trace`]).
//!
//! ```no_run
//! use futures_channel::mpsc::unbounded;
//! use isobath::gpu::Gpu;
//! use isobath::service::{self, Command, Settings, Start, Task};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (commands, received) = unbounded();
//! let sequences = vec![Task { name: 1, prompt: "Once".into() }];
//! commands.unbounded_send(Command::Submit { sequences, settings: Settings::default() })?;
//! drop(commands); // what was asked is still done
//! let begin = std::time::Instant::now();
//! pollster::block_on(service::run(
//!     Start::new("stories", isobath::disk::files("assets/stories")?),
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
mod draft;
mod draft_kit;
mod facts;
mod lanes;
mod load;
mod mailbox;
pub mod message;
mod meter;
mod model;
mod prompt;
pub mod prompts;
mod rebuild;
mod serve;
pub mod trace;

pub use draft::{Draft, Drafting};
pub use facts::{Adapter, GateFacts, ModelFacts};
pub use lanes::{Lane, LaneState};
pub use load::{Bytes, Clock, Files, FolderFiles, GgufFile, Parts, Progress, Step, chat_template, generation};
pub use message::{Command, Contestant, Failure, FailureKind, Heat, Stamped, Task, Tick, Update};
pub use model::{Model, Writing};
pub use prompt::{Prompt, Settings};
pub use serve::{Start, run};
