//! **The house is in order.** Rules that no compiler checks, and shaders that every browser accepts. Needs no GPU: quick.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod shaders;
mod tidy;
