//! Models out of models: checkpoints of others under our names, dense models made recursive, recursive ones unrolled.
//!
//! Each of these is a [`TensorSource`](crate::tensor::TensorSource) that computes a tensor when it is asked
//! for one, so that a model is converted tensor by tensor while it is written.
//!
//! **Invariant:** nothing is guessed in silence: what was inferred or assumed is told, with where it came from, and
//! what contradicts itself is refused.

pub mod facts;
pub mod import;
pub mod low_rank;
mod official;
pub mod recursive;
pub mod renamed;
pub mod training;
pub mod unrolled;
