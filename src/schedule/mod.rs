//! Who computes what in the next tick: lanes, chunks of prompts and pages of the KV cache, as plain data.
//!
//! A [`Scheduler`] knows no GPU, clock, file or thread. Each *tick* its caller takes a [`TickPlan`] from
//! [`Scheduler::next_tick`], performs it in order, and brings what came of it to [`Scheduler::report`]: in order as
//! well, but as late as it likes, since the next plans do not wait for it. What the host cannot know yet is covered by
//! the worst case: a lane that may have ended still gets its pages, and the GPU alone stops it.
//!
//! | question | answered in |
//! | --- | --- |
//! | what may be asked for, what is told | `request`, `plan` |
//! | classes of the KV cache, and how many pages they need | `shape` |
//! | who waits, and who comes next | `queue` |
//! | which pages are free, a lane's, or kept for later prompts | `pool`, `table`, `prefix` |
//! | what is known of a running sequence | `lane` |
//! | the next tick; who gets in; who must leave | `next`, `admit` |
//! | late reports | `report` |
//!
//! **Invariants**
//! * A sequence that was taken in ends with exactly one [`End`], told by [`Scheduler::report`] or returned by
//!   [`Scheduler::end`]; each of its tokens is told once.
//! * Age is the order of submission and never changes. Pages are taken from the younger only, and a sequence that could
//!   not run alone is refused, so the oldest that runs always proceeds: nobody starves.
//! * A waiting sequence is overtaken by at most [`OVERTAKEN`] later ones, whatever their priority.
//! * Pages given back while tick n is planned are used again from tick n on: ticks run in order, and `stops` are the
//!   first thing in a tick.

mod admit;
mod lane;
mod next;
mod plan;
mod pool;
mod prefix;
mod queue;
mod report;
mod request;
mod scheduler;
mod shape;
mod table;

pub use plan::{Begin, Chunk, PageCopy, TableWrite, TickPlan};
pub use queue::OVERTAKEN;
pub use report::{Outcome, Report};
pub use request::{End, Refusal, SequenceId, Submission};
pub use scheduler::{Occupancy, Scheduler};
pub use shape::{PAGE, Shape};
