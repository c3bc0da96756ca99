//! Matrices times rows: by their number and the device, what products read and add, adapters.

pub mod bias;
pub mod gather;
pub mod lora_down;
pub mod lora_up;
pub mod matmul;
pub mod matrix;
pub mod matvec;
pub mod matvec_glu;
pub mod matvec_serial;
