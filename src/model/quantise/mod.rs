//! Rows of numbers into the bytes of a data type: ggml's own quantisers without an importance matrix, bit for bit.
//!
//! **Invariant:** what is written is finite, or an error says which tensor and row could not be held.

mod simple;
mod super_blocks;

use std::borrow::Cow;

use half::{bf16, f16};

use self::simple::BLOCK;
use self::super_blocks::SUPER_BLOCK;
use super::folder::check_finite;
use super::json_fields::refuse;
use super::pack::dequantise_row;
use super::tensor::{DataType, Tensor};
use crate::error::ModelError;

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
    let mut bytes = Vec::with_capacity(data_type.bytes(&tensor.shape).ok_or_else(unfit)?);
    let columns = tensor.shape.last().copied().unwrap_or(1);
    let Some(row_bytes) = tensor.data_type.bytes(&[columns]).filter(|size| *size > 0) else {
        return Ok(Cow::Owned(bytes));
    };
    check_finite(name, &tensor)?;
    let mut row = vec![0.0; columns];
    for (index, file) in tensor.data.chunks_exact(row_bytes).enumerate() {
        dequantise_row(tensor.data_type, file, columns, &mut row);
        let start = bytes.len();
        write_row(data_type, &row, &mut bytes);
        let written = Tensor { data_type, shape: vec![columns], data: Cow::Borrowed(&bytes[start..]) };
        if check_finite(name, &written).is_err() {
            let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            return Err(refuse(format!(
                "tensor `{name}` holds {largest} in row {index}, which {} cannot hold; export as f32 or bf16",
                data_type.name()
            )));
        }
    }
    Ok(Cow::Owned(bytes))
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
