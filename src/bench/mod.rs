//! Measuring: does a token that stops early save time?
//!
//! ```text
//! ceiling    = (F0 + N Fr) / (F0 + mean depth Fr)      F0: prologue, epilogue and head; Fr: one round, in FLOPs
//! realised   = tokens/s adaptive / tokens/s at full depth, same weights, lanes and run
//! efficiency = realised / ceiling
//! ```
//!
//! [`work::Work`] is the depth experiment, [`drafting`] what guesses are worth, [`test::Test`] a single test of reading or writing, [`copy::CopySpeed`] the yardstick.
//!
//! **Invariant:** no clock of its own: the caller hands one in.

pub mod copy;
pub mod drafting;
pub mod ledger;
pub mod rates;
pub mod shape;
pub mod statistics;
pub mod test;
pub mod work;

pub use crate::depth::median;
