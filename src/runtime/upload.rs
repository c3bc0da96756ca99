//! From a file to the GPU, piece by piece: tensors are fetched by rows, checked, repacked and written into their place.
//!
//! **Invariant:** of a matrix never more than `PIECE_BYTES` and a few rows are in memory, and copies of these, wherever the file is.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use crate::error::{Error, GpuError, ModelError};
use crate::gpu::Gpu;
use crate::kernels::products::matrix::{Matrix, Part, SIDE_BY_SIDE, Stored};
use crate::runtime::weights::Loader;
use crate::tensor::finite::check_finite;
use crate::tensor::{DataType, Tensor, pack, values};

/// Largest part of a matrix that lies in one piece.
const PART_BYTES: u64 = 64 << 20;

/// Largest piece of a matrix that is read and repacked at once.
const PIECE_BYTES: u64 = 8 << 20;

/// A matrix of numbers in memory, row by row, rounded to half precision, with a bias where there is one.
///
/// # Errors
/// No room on the device.
pub fn matrix_of(
    gpu: &Gpu,
    label: &str,
    numbers: &[f32],
    columns: usize,
    bias: Option<&[f32]>,
) -> Result<Matrix, GpuError> {
    let halves: Vec<half::f16> = numbers.iter().map(|number| half::f16::from_f32(*number)).collect();
    matrix_of_type(gpu, label, (DataType::F16, bytemuck::cast_slice(&halves)), columns, bias)
}

/// The same of numbers that keep their last bit: as f16 where all of them are such, or else as f32.
///
/// # Errors
/// As [`matrix_of`].
pub fn exact_matrix_of(gpu: &Gpu, label: &str, numbers: &[f32], columns: usize) -> Result<Matrix, GpuError> {
    if numbers.iter().all(|number| half::f16::from_f32(*number).to_f32() == *number) {
        return matrix_of(gpu, label, numbers, columns, None);
    }
    matrix_of_type(gpu, label, (DataType::F32, bytemuck::cast_slice(numbers)), columns, None)
}

fn matrix_of_type(
    gpu: &Gpu,
    label: &str,
    (data_type, bytes): (DataType, &[u8]),
    columns: usize,
    bias: Option<&[f32]>,
) -> Result<Matrix, GpuError> {
    let rows = bytes.len() / data_type.bytes(&[columns.max(1)]).unwrap_or(1);
    let tensor = Tensor { data_type, shape: vec![rows, columns], data: bytes.into() };
    let words = pack::packed_row_words(data_type, columns);
    let most = whole_groups(Stored::max_bytes(gpu).min(PART_BYTES), 4 * words as u64);
    let mut parts = vec![];
    for first in (0..rows).step_by(most) {
        let end = rows.min(first + most);
        let weights = Stored::new(gpu, label, (end - first) as u32, words as u32 / 4)?;
        let mut packed = vec![];
        pack::pack_rows(&tensor, first..end, &mut packed);
        weights.write(gpu, 0, words as u32 / 4, &packed);
        let (rows, first) = ((end - first) as u32, first as u32);
        parts.push(Part { weights, data_type, stride: words as u32 / 4, first, rows });
    }
    let bias = bias.map(|bias| gpu.upload("bias", bias)).transpose()?;
    Ok(Matrix { columns: columns as u32, parts, bias })
}

impl<'a> Loader<'a> {
    /// A whole tensor.
    pub(super) async fn tensor(&mut self, name: &str) -> Result<Tensor<'a>, ModelError> {
        self.rows(name, 0..usize::MAX).await
    }

    /// Rows of a tensor.
    async fn rows(&mut self, name: &str, rows: Range<usize>) -> Result<Tensor<'a>, ModelError> {
        // Whoever waits for the model may have had enough of it.
        yield_now().await;
        let (source, first) = (self.source, rows.start);
        let tensor = source.rows(name, rows).await?.ok_or_else(|| missing(name))?;
        check_finite(name, &tensor).map_err(|error| match error {
            ModelError::NotFinite { name, row } => ModelError::NotFinite { name, row: first + row },
            other => other,
        })?;
        self.done += tensor.data.len() as u64;
        (self.progress)(self.done.min(self.total), self.total);
        Ok(tensor)
    }

    /// Matrices stacked by rows, and their biases, if they have any, one for each: neighbours of one type share a part as
    /// far as a binding can show it. Piece by piece from the file to the GPU, so that no large tensor is ever in memory.
    pub(super) async fn matrix(&mut self, stack: &[String], biases: &[String]) -> Result<Matrix, Error> {
        let key = stack.join("+");
        if let Some(found) = self.matrices.get(&key) {
            return Ok(found.clone());
        }
        let mut layouts = Vec::with_capacity(stack.len());
        for name in stack {
            layouts.push(self.source.info(name)?.ok_or_else(|| missing(name))?);
        }
        let columns = layouts.first().map_or(0, |(_, shape)| shape[1]);
        let mut parts: Vec<Part> = Vec::new();
        // Rows that are still to come of the last part.
        let mut room = 0;
        let mut words = Vec::new();
        for (place, name) in stack.iter().enumerate() {
            let (data_type, all) = (layouts[place].0, layouts[place].1[0]);
            let row_words = pack::packed_row_words(data_type, columns);
            let row_bytes = 4 * row_words as u64;
            let piece = whole_groups(PIECE_BYTES, row_bytes);
            let mut row = 0;
            while row < all {
                if room == 0 {
                    let alike = layouts[place + 1..].iter().take_while(|(kind, _)| *kind == data_type);
                    let run = all - row + alike.map(|(_, shape)| shape[0]).sum::<usize>();
                    room = run.min(whole_groups(Stored::max_bytes(self.gpu).min(PART_BYTES), row_bytes));
                    parts.push(self.part(&key, data_type, columns, parts.last(), room)?);
                }
                let Some(part) = parts.last() else { break };
                let end = all.min(row + piece.min(room));
                let tensor = self.rows(name, row..end).await?;
                pack::pack_rows(&tensor, 0..end - row, &mut words);
                room -= end - row;
                row = end;
                // Whole groups of rows, and the part's last ones.
                let waiting = words.len() / row_words;
                let now = if room == 0 { waiting } else { waiting - waiting % SIDE_BY_SIDE as usize };
                let first = part.rows - (room + waiting) as u32;
                part.weights.write(self.gpu, first, part.stride, &words[..now * row_words]);
                words.drain(..now * row_words);
            }
        }
        let mut numbers = Vec::new();
        for name in biases {
            numbers.extend(values(&self.tensor(name).await?));
        }
        let bias = if numbers.is_empty() { None } else { Some(self.gpu.upload("bias", &numbers)?) };
        let matrix = Matrix { columns: columns as u32, parts, bias };
        self.matrices.insert(key, matrix.clone());
        Ok(matrix)
    }

    /// An empty part behind the one before it.
    fn part(
        &self,
        label: &str,
        data_type: DataType,
        columns: usize,
        before: Option<&Part>,
        rows: usize,
    ) -> Result<Part, Error> {
        let words = pack::packed_row_words(data_type, columns);
        let (rows, stride) = (rows as u32, words as u32 / 4);
        let weights = Stored::new(self.gpu, label, rows, stride)?;
        let first = before.map_or(0, |part| part.first + part.rows);
        Ok(Part { weights, data_type, stride, first, rows })
    }
}

/// As many rows as there is room for, in whole groups where that is possible.
fn whole_groups(bytes: u64, row_bytes: u64) -> usize {
    let (rows, group) = ((bytes / row_bytes).max(1), u64::from(SIDE_BY_SIDE));
    (if rows < group { rows } else { rows - rows % group }) as usize
}

fn missing(name: &str) -> ModelError {
    ModelError::MissingTensor { name: name.to_owned(), because: "the plan uses it".into() }
}

/// Lets the caller of a long work have a look at other things.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
