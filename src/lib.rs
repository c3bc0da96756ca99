//! Isobath runs language models whose tokens differ in depth, on any GPU that speaks WebGPU.

pub mod depth;
pub mod error;
pub mod gpu;
pub mod kernels;
pub mod model;
pub mod text;
