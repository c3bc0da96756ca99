//! Rows of numbers into the bytes of a data type: ggml's own quantisers, bit for bit.
//!
//! **Invariant:** what is written is finite, or an error says which tensor and row could not be held.

use std::borrow::Cow;

use half::{bf16, f16};

use super::folder::check_finite;
use super::json_fields::refuse;
use super::pack::dequantise_row;
use super::tensor::{DataType, Tensor};
use crate::error::ModelError;

/// Numbers per block of the simple types.
const BLOCK: usize = 32;
/// Numbers that share a scale in q6_K, and scales per super-block.
const GROUP: usize = 16;
/// Below this a group counts as zero, as in ggml.
const NOTHING: f32 = 1e-15;

/// Types that can be written; the others are only read.
pub const WRITTEN: [DataType; 7] =
    [DataType::F32, DataType::F16, DataType::Bf16, DataType::Q8_0, DataType::Q4_0, DataType::Q4_1, DataType::Q6K];

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
        DataType::Q8_0 => row.chunks_exact(BLOCK).for_each(|block| q8_0(block, out)),
        DataType::Q4_0 => row.chunks_exact(BLOCK).for_each(|block| q4_0(block, out)),
        DataType::Q4_1 => row.chunks_exact(BLOCK).for_each(|block| q4_1(block, out)),
        DataType::Q6K => row.chunks_exact(GROUP * GROUP).for_each(|block| q6_k(block, out)),
        _ => debug_assert!(WRITTEN.contains(&data_type), "{data_type:?} is only read"),
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The value of largest magnitude, with its sign; the first of several.
fn extreme(block: &[f32]) -> f32 {
    block.iter().fold(0.0f32, |most, value| if value.abs() > most.abs() { *value } else { most })
}

/// d = max|x| / 127, q = round(x / d).
fn q8_0(block: &[f32], out: &mut Vec<u8>) {
    let scale = extreme(block).abs() / 127.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(block.iter().map(|value| (value * inverse).round() as i8 as u8));
}

/// Weights 0..16 in the low nibbles, 16..32 in the high ones.
fn write_nibbles(block: &[f32], out: &mut Vec<u8>, nibble: impl Fn(f32) -> u8) {
    let (low, high) = block.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(low, high)| nibble(*low) | nibble(*high) << 4));
}

/// d = the value of largest magnitude / -8, q = floor(x / d + 8.5), at most 15.
fn q4_0(block: &[f32], out: &mut Vec<u8>) {
    let scale = extreme(block) / -8.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    write_nibbles(block, out, |value| ((value * inverse + 8.5) as u8).min(15));
}

/// m = min, d = (max - min) / 15, q = floor((x - m) / d + 0.5), at most 15.
fn q4_1(block: &[f32], out: &mut Vec<u8>) {
    let (low, high) = block.iter().fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let scale = (high - low) / 15.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(f16::from_f32(low).to_le_bytes());
    write_nibbles(block, out, |value| (((value - low) * inverse + 0.5) as u8).min(15));
}

fn six_bits(scaled: f32) -> i32 {
    (scaled.round_ties_even() as i32).clamp(-32, 31)
}

/// Scale and quants of 16 numbers with the least error, each number weighted by its square: the scale that maps the
/// extreme to -32, and 18 around it, each then fitted to what it rounds to by least squares.
fn fit(group: &[f32]) -> (f32, [i32; GROUP]) {
    let extreme = extreme(group);
    if extreme.abs() < NOTHING {
        return (0.0, [-32; GROUP]);
    }
    let try_scale = |inverse: f32| {
        let (mut sum_xq, mut sum_qq) = (0.0f32, 0.0f32);
        for value in group {
            let (quant, weight) = (six_bits(inverse * value) as f32, value * value);
            sum_xq += weight * value * quant;
            sum_qq += weight * quant * quant;
        }
        (sum_xq, sum_qq)
    };
    let mut chosen = -32.0 / extreme;
    let (sum_xq, sum_qq) = try_scale(chosen);
    let mut scale = if sum_qq > 0.0 { sum_xq / sum_qq } else { 0.0 };
    let mut best = scale * sum_xq;
    for step in (-9..=9).filter(|step| *step != 0) {
        let inverse = -(32.0 + 0.1 * step as f32) / extreme;
        let (sum_xq, sum_qq) = try_scale(inverse);
        if sum_qq > 0.0 && sum_xq * sum_xq > best * sum_qq {
            (chosen, scale) = (inverse, sum_xq / sum_qq);
            best = scale * sum_xq;
        }
    }
    let mut quants = [0; GROUP];
    quants.iter_mut().zip(group).for_each(|(quant, value)| *quant = six_bits(chosen * value));
    (scale, quants)
}

/// 256 numbers: 16 scales of 8 bits under one f16, then each number to the scale that its group really has.
fn q6_k(block: &[f32], out: &mut Vec<u8>) {
    let fitted: Vec<(f32, [i32; GROUP])> = block.chunks_exact(GROUP).map(fit).collect();
    let scales: Vec<f32> = fitted.iter().map(|(scale, _)| *scale).collect();
    let largest = extreme(&scales);
    if largest.abs() < NOTHING {
        out.extend([0; 210]);
        return;
    }
    let inverse = -128.0 / largest;
    let d = f16::from_f32(1.0 / inverse);
    let scales: Vec<i8> = scales.iter().map(|scale| (inverse * scale).round_ties_even().min(127.0) as i8).collect();
    let mut values = [0u8; GROUP * GROUP];
    for (index, value) in block.iter().enumerate() {
        let group = index / GROUP;
        let scale = d.to_f32() * f32::from(scales[group]);
        let quant = if scale == 0.0 { fitted[group].1[index % GROUP] } else { six_bits(value / scale) };
        values[index] = (quant + 32) as u8;
    }
    // Each half of 128 has four quarters of 32: low nibbles of quarters 0 and 2, of 1 and 3, then the high pairs.
    for half in values.chunks_exact(128) {
        for quarter in 0..2 {
            out.extend((0..32).map(|l| half[quarter * 32 + l] & 15 | (half[quarter * 32 + 64 + l] & 15) << 4));
        }
    }
    for half in values.chunks_exact(128) {
        out.extend((0..32).map(|l| (0..4).map(|quarter| half[quarter * 32 + l] >> 4 << (2 * quarter)).sum::<u8>()));
    }
    out.extend(scales.iter().map(|scale| *scale as u8));
    out.extend(d.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTISED: [DataType; 4] = [DataType::Q8_0, DataType::Q4_0, DataType::Q4_1, DataType::Q6K];

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
        // Width of the range over the number of steps; q4_0 has one more below zero than above, q6_K two roundings.
        for (data_type, allowed) in
            [(DataType::Q8_0, 0.5 * 4.0 / 254.0), (DataType::Q4_0, 2.0 / 8.0), (DataType::Q4_1, 0.5 * 4.0 / 15.0)]
                .into_iter()
                .chain([(DataType::Q6K, 2.0 / 31.0)])
        {
            let worst = row.iter().zip(back(data_type, &row)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= allowed * 1.02, "{data_type:?}: {worst}, allowed {allowed}");
            assert!(worst > allowed * 0.3, "{data_type:?}: {worst} is too good to be true");
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        QUANTISED.iter().for_each(|data_type| assert_eq!(back(*data_type, &[0.0; 256]), [0.0; 256], "{data_type:?}"));
    }

    #[test]
    fn one_value_alone_is_kept() {
        for data_type in QUANTISED {
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
