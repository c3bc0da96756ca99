//! Isobath runs language models whose tokens differ in depth, on any GPU that speaks WebGPU.

pub mod engine;
pub mod error;
pub mod model;
