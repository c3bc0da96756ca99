//! A tensor as it lies in a model file, and the trait through which every file format is read.
//!
//! **Invariant:** nothing is copied or converted here unless the format forces it; data is borrowed from the
//! bytes of the file.

pub mod bytes;
pub mod finite;
pub mod pack;
pub mod quantise;

use std::borrow::Cow;
use std::future::ready;
use std::ops::Range;

use crate::error::ModelError;
use bytes::Awaited;

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
    /// Blocks of 32: f16 scale, 32 signed bytes.
    Q8_0,
    /// Blocks of 32: f16 scale, 32 nibbles minus 8.
    Q4_0,
    /// Blocks of 32: f16 scale, f16 minimum, 32 nibbles.
    Q4_1,
    /// Blocks of 32: f16 scale, 32 values of 5 bits minus 16.
    Q5_0,
    /// Blocks of 32: f16 scale, f16 minimum, 32 values of 5 bits.
    Q5_1,
    /// Blocks of 256: 2-bit values, scales and minimums of 4 bits for each 16, f16 scale of both.
    Q2K,
    /// Blocks of 256: 3-bit values minus 4, 6-bit scales minus 32 for each 16, f16 scale.
    Q3K,
    /// Blocks of 256: 4-bit values, scales and minimums of 6 bits for each 32, f16 scale of both.
    Q4K,
    /// Blocks of 256: 5-bit values, scales and minimums of 6 bits for each 32, f16 scale of both.
    Q5K,
    /// Blocks of 256: 6-bit values minus 32, signed 8-bit scales for each 16, f16 scale.
    Q6K,
    /// Blocks of 32: f16 scale, 32 nibbles that choose among 16 values.
    Iq4Nl,
    /// Blocks of 256: nibbles as in `Iq4Nl`, 6-bit scales minus 32 for each 32, f16 scale.
    Iq4Xs,
}

impl DataType {
    /// Numbers per block, bytes per block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
            Self::Iq4Nl => (32, 18),
            Self::Iq4Xs => (256, 136),
        }
    }

    /// Every type.
    pub const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    /// Bytes of a tensor of that shape, `None` where the last dimension is not a whole number of blocks or the
    /// size is beyond what can be addressed.
    pub fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (numbers, bytes) = self.block();
        let (columns, outer) = shape.split_last()?;
        let row = columns.is_multiple_of(numbers).then(|| (columns / numbers).checked_mul(bytes))??;
        outer.iter().try_fold(row, |total, size| total.checked_mul(*size))
    }

    /// Name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q2K => "q2_K",
            Self::Q3K => "q3_K",
            Self::Q4K => "q4_K",
            Self::Q5K => "q5_K",
            Self::Q6K => "q6_K",
            Self::Iq4Nl => "iq4_nl",
            Self::Iq4Xs => "iq4_xs",
        }
    }
}

/// One tensor: row-major, last dimension contiguous.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Storage type.
    pub data_type: DataType,
    /// Dimensions, outermost first: a linear weight is `[out, in]`.
    pub shape: Vec<usize>,
    /// The bytes, exactly as many as shape and type need.
    pub data: Cow<'a, [u8]>,
}

/// A model file, whatever its format: tensors under their canonical names.
///
/// Canonical names are Hugging Face's for the Llama family, where a layer shared by several recursions stands
/// once, under the smallest unrolled layer index that uses it (see `docs/models.md`). An importer of other
/// people's files is a new implementation of this trait.
pub trait TensorSource {
    /// All canonical names in the file.
    fn names(&self) -> Vec<String>;

    /// The tensor of that name, `None` where there is none.
    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError>;

    /// Type and shape of the tensor, without its data where the format allows; fails where [`TensorSource::tensor`]
    /// would.
    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        Ok(self.tensor(name)?.map(|tensor| (tensor.data_type, tensor.shape)))
    }

    /// Rows of a tensor (numbers, where it is a vector), also of a file that is not in memory.
    fn rows<'n, 's: 'n>(
        &'s self,
        name: &'n str,
        rows: Range<usize>,
    ) -> Awaited<'n, Result<Option<Tensor<'s>>, ModelError>> {
        Box::pin(ready(self.tensor(name).map(|found| found.map(|tensor| bytes::cut(tensor, rows)))))
    }
}

/// A tensor's numbers as f32, row by row.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let columns = tensor.shape.last().copied().unwrap_or(1).max(1);
    let mut numbers = vec![0.0; tensor.shape.iter().product()];
    let rows = (numbers.len() / columns).max(1);
    let bytes = tensor.data.chunks_exact((tensor.data.len() / rows).max(1));
    for (out, row) in numbers.chunks_exact_mut(columns).zip(bytes) {
        pack::dequantise_row(tensor.data_type, row, columns, out);
    }
    numbers
}
