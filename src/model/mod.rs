//! From the bytes of a model file to weights on the GPU and the order in which its layers run.

pub mod config;
pub mod tensor;
