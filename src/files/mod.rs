//! Model files, read and written: safetensors in folders, GGUF, PyTorch's checkpoints, kits, and tensors that are made up.

pub mod gguf;
pub mod index;
pub mod kit;
pub mod mixture;
pub mod random;
pub mod safetensors;
pub mod torch;
pub mod write;
