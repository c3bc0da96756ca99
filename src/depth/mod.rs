//! Depth as plain data: how deep tokens went, summed up for tables and terminals.
//!
//! **Invariant:** pure rules and sums; no GPU, no clock, no files.

pub mod beta;
mod median;
pub mod palette;
pub mod policy;
pub mod trace;

pub use median::median;
pub use trace::{DepthHistogram, TokenTrace, Trace};
