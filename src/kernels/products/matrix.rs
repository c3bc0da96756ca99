//! A weight matrix on the GPU, in parts where one binding cannot show it all.

use crate::error::GpuError;
use crate::gpu::traits::Storage;
use crate::gpu::{Binding, Buffer, Gpu, Texture};
use crate::tensor::DataType;

/// Where weights lie.
#[derive(Debug, Clone)]
pub enum Stored {
    /// Row by row.
    Buffer(Buffer),
    /// [`SIDE_BY_SIDE`] rows together, for adapters that read a whole vector from a texture as fast as one word from a buffer.
    Texture(Texture),
}

/// Rows that stand side by side in a texture, vector by vector; see `shaders/lib/weights_texture.wgsl`.
pub const SIDE_BY_SIDE: u32 = 8;

impl Stored {
    /// Room for so many rows of `stride` vectors, in the kind of memory from which this device reads best.
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn new(gpu: &Gpu, label: &str, rows: u32, stride: u32) -> Result<Self, GpuError> {
        let bytes = |rows: u32| u64::from(rows) * u64::from(stride) * 16;
        match gpu.traits().weights {
            Storage::Texture => gpu.texture(label, bytes(rows.next_multiple_of(SIDE_BY_SIDE))).map(Self::Texture),
            Storage::Buffer => gpu.buffer(label, bytes(rows)).map(Self::Buffer),
        }
    }

    /// Most bytes that [`Stored::new`] has room for.
    pub fn max_bytes(gpu: &Gpu) -> u64 {
        match gpu.traits().weights {
            Storage::Texture => gpu.max_texture_bytes(),
            Storage::Buffer => gpu.max_binding_bytes(),
        }
    }

    /// Overwrites rows of `stride` vectors before the next submission, from `first` on: whole groups of [`SIDE_BY_SIDE`], but
    /// for the last rows there are.
    pub fn write(&self, gpu: &Gpu, first: u32, stride: u32, words: &[u32]) {
        let offset_bytes = u64::from(first) * u64::from(stride) * 16;
        match self {
            Self::Buffer(buffer) => gpu.write(buffer, offset_bytes, words),
            Self::Texture(texture) => gpu.write_texture(texture, offset_bytes, &side_by_side(words, stride as usize)),
        }
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Buffer(buffer) => buffer.bytes(),
            Self::Texture(texture) => texture.bytes(),
        }
    }

    pub(crate) fn read(&self) -> Binding<'_> {
        match self {
            Self::Buffer(buffer) => buffer.read(),
            Self::Texture(texture) => texture.read(),
        }
    }

    /// The part of a shader that declares the binding.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Buffer(_) => crate::kernels::WEIGHTS_BUFFER,
            Self::Texture(_) => crate::kernels::WEIGHTS_TEXTURE,
        }
    }
}

/// Rows of `stride` vectors in groups: the first vectors of its rows, their second vectors, and so on; what is missing of the last
/// group is zero.
fn side_by_side(words: &[u32], stride: usize) -> Vec<u32> {
    let group = SIDE_BY_SIDE as usize;
    let mut out = vec![0; (words.len() / (4 * stride)).next_multiple_of(group) * 4 * stride];
    for (row, vectors) in words.chunks_exact(4 * stride).enumerate() {
        let start = row / group * group * stride + row % group;
        for (i, vector) in vectors.chunks_exact(4).enumerate() {
            out[4 * (start + i * group)..][..4].copy_from_slice(vector);
        }
    }
    out
}

/// Consecutive rows of a matrix in one piece, repacked for the kernels (`tensor::pack`).
#[derive(Debug, Clone)]
pub struct Part {
    /// The rows.
    pub weights: Stored,
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
        let weights: u64 = self.parts.iter().map(|part| part.weights.bytes()).sum();
        weights + self.bias.as_ref().map_or(0, Buffer::bytes)
    }
}

/// Parts of `shaders/lib`, one behind the other.
macro_rules! joined {
    ($($name:literal),+) => {
        concat!($(include_str!(concat!("../../../shaders/lib/", $name, ".wgsl"))),+)
    };
}

/// The part of a shader that reads weights of this type.
pub(crate) fn loader(data_type: DataType) -> &'static str {
    match data_type {
        DataType::F32 => joined!("load_f32"),
        DataType::F16 => joined!("load_f16", "load_half"),
        DataType::Bf16 => joined!("load_bf16", "load_half"),
        DataType::Q8_0 => joined!("load_q8_0"),
        DataType::Q4_0 => joined!("load_q4_0"),
        DataType::Q4_1 => joined!("load_q4_1"),
        DataType::Q5_0 => joined!("load_q5_0", "fields"),
        DataType::Q5_1 => joined!("load_q5_1", "load_five_bits", "fields"),
        DataType::Q2K => joined!("load_q2_k", "fields"),
        DataType::Q3K => joined!("load_q3_k", "fields"),
        DataType::Q4K => joined!("load_q4_k", "load_k_scales", "fields"),
        DataType::Q5K => joined!("load_q5_k", "load_five_bits", "load_k_scales", "fields"),
        DataType::Q6K => joined!("load_q6_k", "fields"),
        DataType::Iq4Nl => joined!("load_iq4_nl", "load_choices", "fields"),
        DataType::Iq4Xs => joined!("load_iq4_xs", "load_choices", "fields"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_side_by_side_in_groups() {
        // Ten rows of two vectors; a vector's words tell its row and place.
        let words: Vec<u32> = (0..20).flat_map(|at| [at / 2, at % 2, 7, 7]).collect();
        let got = side_by_side(&words, 2);
        let want = |group: u32, i: u32, row: u32| if group + row < 10 { [group + row, i, 7, 7] } else { [0; 4] };
        let all = [0, 8]
            .into_iter()
            .flat_map(|group| (0..2).flat_map(move |i| (0..8).flat_map(move |row| want(group, i, row))));
        assert_eq!(got, all.collect::<Vec<_>>());
    }
}
