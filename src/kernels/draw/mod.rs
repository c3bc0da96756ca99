//! From logits to tokens, and what they tell of themselves.

pub mod alternatives;
pub mod cross_entropy;
pub mod sample;
