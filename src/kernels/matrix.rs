//! A weight matrix on the GPU, in parts where one binding cannot show it all.

use crate::gpu::Buffer;
use crate::model::tensor::DataType;

/// Consecutive rows of a matrix in one buffer, repacked for the kernels (`model::pack`).
#[derive(Debug, Clone)]
pub struct Part {
    /// The rows.
    pub buffer: Buffer,
    /// Their storage type.
    pub data_type: DataType,
    /// Vectors (16 bytes) per row.
    pub stride: u32,
    /// Place of the first row among the outputs.
    pub first: u32,
    /// Number of rows.
    pub rows: u32,
}

/// `[rows, columns]`, one output per row.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Inputs.
    pub columns: u32,
    /// Parts in order.
    pub parts: Vec<Part>,
    /// `[rows]`, added to the outputs.
    pub bias: Option<Buffer>,
}

impl Matrix {
    /// Outputs.
    pub fn rows(&self) -> u32 {
        self.parts.last().map_or(0, |part| part.first + part.rows)
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| &part.buffer).chain(&self.bias).map(Buffer::bytes).sum()
    }
}

/// The part of a shader that reads weights of this type.
pub(crate) fn loader(data_type: DataType) -> &'static str {
    match data_type {
        DataType::F32 => include_str!("../../shaders/lib/load_f32.wgsl"),
        DataType::F16 => {
            concat!(include_str!("../../shaders/lib/load_f16.wgsl"), include_str!("../../shaders/lib/load_half.wgsl"))
        }
        DataType::Bf16 => {
            concat!(include_str!("../../shaders/lib/load_bf16.wgsl"), include_str!("../../shaders/lib/load_half.wgsl"))
        }
        DataType::Q8_0 => include_str!("../../shaders/lib/load_q8_0.wgsl"),
        DataType::Q4_0 => include_str!("../../shaders/lib/load_q4_0.wgsl"),
        DataType::Q4_1 => include_str!("../../shaders/lib/load_q4_1.wgsl"),
        DataType::Q6K => include_str!("../../shaders/lib/load_q6_k.wgsl"),
    }
}

/// All storage types.
pub const DATA_TYPES: [DataType; 7] =
    [DataType::F32, DataType::F16, DataType::Bf16, DataType::Q8_0, DataType::Q4_0, DataType::Q4_1, DataType::Q6K];
