//! Rows of numbers into the bytes of a data type: ggml's own quantisers without an importance matrix, bit for bit.
//!
//! **Invariant:** what is written is finite, or an error says which tensor and row could not be held.

mod simple;
mod super_blocks;

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::thread;

use half::{bf16, f16};

use self::simple::BLOCK;
use self::super_blocks::SUPER_BLOCK;
use crate::error::{ModelError, refuse};
use crate::tensor::finite::check_finite;
use crate::tensor::pack::dequantise_row;
use crate::tensor::{DataType, Tensor};

/// Types that can be written; the others are only read.
pub const WRITTEN: [DataType; 11] = [
    DataType::F32,
    DataType::F16,
    DataType::Bf16,
    DataType::Q8_0,
    DataType::Q4_0,
    DataType::Q4_1,
    DataType::Q5_0,
    DataType::Q5_1,
    DataType::Q4K,
    DataType::Q5K,
    DataType::Q6K,
];

/// The tensor's bytes in another type; its rows must be whole blocks of that type.
pub fn recode<'a>(name: &str, tensor: Tensor<'a>, data_type: DataType) -> Result<Cow<'a, [u8]>, ModelError> {
    if data_type == tensor.data_type {
        return Ok(tensor.data);
    }
    if !WRITTEN.contains(&data_type) {
        let names = WRITTEN.map(DataType::name).join(", ");
        return Err(refuse(format!(
            "tensor `{name}` cannot be written as {}, which is only read; choose one of {names}",
            data_type.name()
        )));
    }
    let unfit =
        || refuse(format!("tensor `{name}` has shape {:?}, which {} cannot store", tensor.shape, data_type.name()));
    let mut bytes = vec![0; data_type.bytes(&tensor.shape).ok_or_else(unfit)?];
    let columns = tensor.shape.last().copied().unwrap_or(1);
    let row_bytes = |data_type: DataType| data_type.bytes(&[columns]).filter(|size| *size > 0);
    let (Some(from), Some(to)) = (row_bytes(tensor.data_type), row_bytes(data_type)) else {
        return Ok(Cow::Owned(bytes));
    };
    check_finite(name, &tensor)?;
    let rows = tensor.data.len() / from;
    let piece = rows.div_ceil(workers(rows * columns)).max(1);
    let pieces = tensor.data.chunks(piece * from).zip(bytes.chunks_mut(piece * to)).enumerate();
    let recode = |(index, (file, out))| recode_rows(tensor.data_type, data_type, columns, file, out, index * piece);
    let outcomes: Vec<Result<(), Unheld>> = if piece >= rows {
        pieces.map(recode).collect()
    } else {
        thread::scope(|scope| {
            let started: Vec<_> = pieces.map(|piece| scope.spawn(move || recode(piece))).collect();
            started.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    };
    if let Some(Unheld { largest, row }) = outcomes.into_iter().find_map(Result::err) {
        return Err(refuse(format!(
            "tensor `{name}` holds {largest} in row {row}, which {} cannot hold; export as f32 or bf16",
            data_type.name()
        )));
    }
    Ok(Cow::Owned(bytes))
}

/// A row that is not finite once it is written.
struct Unheld {
    largest: f32,
    row: usize,
}

/// How many threads share so many numbers: one for each processor, as far as each has a good piece of work. One where
/// threads are not to be had.
fn workers(numbers: usize) -> usize {
    const WORTH: usize = 1 << 17;
    thread::available_parallelism().map_or(1, |processors| processors.get()).min(numbers / WORTH).max(1)
}

/// Whole rows of `file` into as many of `out`; `first` is the index of the first.
fn recode_rows(
    from: DataType,
    to: DataType,
    columns: usize,
    file: &[u8],
    out: &mut [u8],
    first: usize,
) -> Result<(), Unheld> {
    let count = |data_type: DataType| data_type.bytes(&[columns]).unwrap_or(1);
    let (mut row, mut bytes) = (vec![0.0; columns], Vec::with_capacity(count(to)));
    for (index, (file, out)) in file.chunks_exact(count(from)).zip(out.chunks_exact_mut(count(to))).enumerate() {
        dequantise_row(from, file, columns, &mut row);
        bytes.clear();
        write_row(to, &row, &mut bytes);
        out.copy_from_slice(&bytes);
        let written = Tensor { data_type: to, shape: vec![columns], data: Cow::Borrowed(&bytes) };
        if check_finite("", &written).is_err() {
            let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            return Err(Unheld { largest, row: first + index });
        }
    }
    Ok(())
}

/// Appends one row; its type must be one of [`WRITTEN`], its length a multiple of the type's block.
pub fn write_row(data_type: DataType, row: &[f32], out: &mut Vec<u8>) {
    match data_type {
        DataType::F32 => out.extend(row.iter().flat_map(|value| value.to_le_bytes())),
        DataType::F16 => out.extend(row.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes())),
        DataType::Bf16 => out.extend(row.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes())),
        DataType::Q8_0 => row.chunks_exact(BLOCK).for_each(|block| simple::q8_0(block, out)),
        DataType::Q4_0 => row.chunks_exact(BLOCK).for_each(|block| simple::q4_0(block, out)),
        DataType::Q4_1 => row.chunks_exact(BLOCK).for_each(|block| simple::q4_1(block, out)),
        DataType::Q5_0 => row.chunks_exact(BLOCK).for_each(|block| simple::q5_0(block, out)),
        DataType::Q5_1 => row.chunks_exact(BLOCK).for_each(|block| simple::q5_1(block, out)),
        DataType::Q4K => row.chunks_exact(SUPER_BLOCK).for_each(|block| super_blocks::q4_k(block, out)),
        DataType::Q5K => row.chunks_exact(SUPER_BLOCK).for_each(|block| super_blocks::q5_k(block, out)),
        DataType::Q6K => row.chunks_exact(SUPER_BLOCK).for_each(|block| super_blocks::q6_k(block, out)),
        _ => debug_assert!(WRITTEN.contains(&data_type), "{data_type:?} is only read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised() -> impl Iterator<Item = DataType> {
        WRITTEN.into_iter().filter(|data_type| data_type.block().0 > 1)
    }

    fn back(data_type: DataType, row: &[f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        write_row(data_type, row, &mut bytes);
        assert_eq!(bytes.len(), data_type.bytes(&[row.len()]).unwrap(), "{data_type:?}");
        let mut out = vec![f32::NAN; row.len()];
        dequantise_row(data_type, &bytes, row.len(), &mut out);
        out
    }

    #[test]
    fn errors_stay_within_a_step() {
        let row: Vec<f32> = (0..512).map(|i| ((i * i * 7 + i) % 401) as f32 / 100.0 - 2.0).collect();
        // Width of the range over the number of steps; types around zero have one more below it than above, and types
        // with scales of few bits lose a little to those.
        for (data_type, allowed) in [
            (DataType::Q8_0, 0.5 * 4.0 / 254.0),
            (DataType::Q4_0, 2.0 / 8.0),
            (DataType::Q4_1, 0.5 * 4.0 / 15.0),
            (DataType::Q5_0, 2.0 / 16.0),
            (DataType::Q5_1, 0.5 * 4.0 / 31.0),
            (DataType::Q4K, 1.1 * 0.5 * 4.0 / 15.0),
            (DataType::Q5K, 1.1 * 0.5 * 4.0 / 31.0),
            (DataType::Q6K, 2.0 / 31.0),
        ] {
            let worst = row.iter().zip(back(data_type, &row)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= allowed * 1.02, "{data_type:?}: {worst}, allowed {allowed}");
            assert!(worst > allowed * 0.3, "{data_type:?}: {worst} is too good to be true");
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        quantised().for_each(|data_type| assert_eq!(back(data_type, &[0.0; 256]), [0.0; 256], "{data_type:?}"));
    }

    #[test]
    fn one_value_alone_is_kept() {
        for data_type in quantised() {
            for at in [0, 15, 16, 31, 100, 255] {
                let mut row = [0.0; 256];
                row[at] = 2.0;
                let back = back(data_type, &row);
                assert!((back[at] - 2.0).abs() < 0.02, "{data_type:?} {at}: {}", back[at]);
                assert!(back.iter().enumerate().all(|(i, value)| i == at || *value == 0.0), "{data_type:?} {at}");
            }
        }
    }

    /// Many rows are shared out; each is what it is alone, and of several that cannot be held the first is named.
    #[test]
    fn rows_do_not_depend_on_who_writes_them() {
        let (rows, columns) = (4099, 256);
        let mut numbers: Vec<f32> = (0..rows * columns).map(|i| ((i * 7919) % 4001) as f32 / 1000.0 - 2.0).collect();
        let shape = vec![rows, columns];
        let recode = |numbers: &[f32]| {
            let data = numbers.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            let tensor = Tensor { data_type: DataType::F32, shape: shape.clone(), data: data.into() };
            recode("a", tensor, DataType::Q5_1).map(Cow::into_owned)
        };
        let mut want = Vec::new();
        numbers.chunks(columns).for_each(|row| write_row(DataType::Q5_1, row, &mut want));
        assert!(recode(&numbers).unwrap() == want);
        for row in [4098, 2050, 2049] {
            numbers[row * columns + 3] = 1e9;
            let message = recode(&numbers).unwrap_err().to_string();
            assert!(message.contains(&format!("in row {row},")), "{message}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let tensor = |data_type, value: f32, n: usize| {
            let data = [value].repeat(n).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            recode("a", Tensor { data_type: DataType::F32, shape: vec![1, n], data: data.into() }, data_type)
        };
        let check = |data_type, value, n, words: &[&str]| {
            let message = tensor(data_type, value, n).unwrap_err().to_string();
            words.iter().for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
        };
        check(DataType::F16, 1e6, 1, &["`a`", "1000000", "row 0", "f16"]);
        check(DataType::Q4_0, 1e7, 32, &["`a`", "10000000", "q4_0"]);
        check(DataType::Q8_0, 1.0, 33, &["`a`", "[1, 33]", "q8_0"]);
        check(DataType::Q8_0, f32::NAN, 32, &["`a`", "not finite"]);
        assert!(tensor(DataType::Q4_0, 1e5, 32).is_ok());
    }
}
