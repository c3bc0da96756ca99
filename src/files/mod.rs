//! Model files, read and written: safetensors in folders, GGUF, PyTorch's checkpoints, and tensors that are made up.

pub mod gguf;
pub mod index;
pub mod mixture;
pub mod random;
pub mod safetensors;
pub mod torch;
pub mod write;
