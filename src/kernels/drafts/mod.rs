//! Guesses: who makes them, and what is left of those that were refused.

pub mod carry;
pub mod entropy;
pub mod follow;
pub mod join;
pub mod keep;
pub mod linger;
pub mod lookup;
pub mod propose;
pub mod recall;
