//! Repacks rows of weights for the GPU, so that no kernel reads unaligned data or needs 16-bit floats.
//!
//! A row is padded with zero weights to a multiple of 32 columns (`n_blocks` = ceil(columns / 32)) and laid out in
//! units of 16 bytes, four little-endian words each. f32 lie as they are, f16 and bf16 two to a word, low half first.
//! A quantised row is a plane of its weights' lower bits, one of their upper bits where they have any, and one or two of scales:
//!
//! | type | lower, upper bits | scales, as they stand in the file | bits a weight |
//! | --- | --- | --- | --- |
//! | q8_0 | 8 | f16 scale per 32 | 8.5 |
//! | q4_0, iq4_nl | 4 | f16 scale per 32 | 4.5 |
//! | q4_1 | 4 | f16 scale, f16 minimum per 32 | 5 |
//! | q5_0 | 4, 1 | f16 scale per 32 | 5.5 |
//! | q5_1 | 4, 1 | f16 scale, f16 minimum per 32 | 6 |
//! | q2_K | 2 | 16 bytes of scales and minimums per 256; f16 scale of both per 256 | 2.625 |
//! | q3_K | 2, 1 | 12 bytes of scales, f16 scale, 2 bytes of nothing per 256 | 3.5 |
//! | q4_K | 4 | two f16, 12 bytes of scales and minimums per 256 | 4.5 |
//! | q5_K | 4, 1 | two f16, 12 bytes of scales and minimums per 256 | 5.5 |
//! | q6_K | 4, 2 | 16 bytes of scales per 256; f16 scale of them per 256 | 6.5625 |
//! | iq4_xs | 4 | f16 scale, 6 bytes of scales per 256 | 4.25 |
//!
//! In a plane of n bits, weight i of the row has bits `n * i..` of the plane, the first word's lowest bits first. Each plane is
//! padded to 16 bytes; the last column does not count that.
//!
//! **Invariant:** [`unpack_row`] of a packed row equals [`dequantise_row`] of the file's bytes bit for bit.

mod format;

use std::ops::Range;

use half::{bf16, f16};

use self::format::{Format, GROUP, format, half, number, scale};
use crate::tensor::{DataType, Tensor};

/// Columns per block of the packed layout.
const BLOCK: usize = 32;
/// Most weights that a block of a file holds, and most bytes.
const MOST_WEIGHTS: usize = 256;
const MOST_BYTES: usize = 210;

/// Where the planes of a packed row begin, in words, and where the row ends.
struct Planes {
    high: usize,
    scales: [usize; 3],
}

impl Format {
    fn planes(&self, data_type: DataType, columns: usize) -> Planes {
        let plane = |words: usize| words.next_multiple_of(4);
        let n_blocks = columns.div_ceil(BLOCK);
        let entries = columns.div_ceil(data_type.block().0);
        let high = plane(n_blocks * self.low.bits);
        let upper = self.high.as_ref().map_or(0, |field| n_blocks * field.bits);
        let mut scales = [high + plane(upper); 3];
        for index in 0..2 {
            let bytes = self.scales.get(index).map_or(0, |range| entries * entry_bytes(range));
            scales[index + 1] = scales[index] + plane(bytes.div_ceil(4));
        }
        Planes { high, scales }
    }
}

/// Bytes that the scales of one block of the file take in their plane.
fn entry_bytes(range: &Range<usize>) -> usize {
    range.len().next_power_of_two()
}

/// Words of a packed row.
pub fn packed_row_words(data_type: DataType, columns: usize) -> usize {
    let n_blocks = columns.div_ceil(BLOCK);
    match format(data_type) {
        Some(format) => format.planes(data_type, columns).scales[2],
        None => n_blocks * BLOCK * data_type.block().1 / 4,
    }
}

/// Where in a block of a quantised type an f16 stands, of scales or of minimums; none for other types.
pub fn halves(data_type: DataType) -> &'static [usize] {
    format(data_type).map_or(&[], |format| format.halves)
}

/// Appends the packed rows to `out`. A tensor of one dimension is one row. The range must lie within the tensor.
pub fn pack_rows(tensor: &Tensor, rows: Range<usize>, out: &mut Vec<u32>) {
    let columns = tensor.shape.last().copied().unwrap_or(1);
    let (numbers, bytes) = tensor.data_type.block();
    let row_bytes = columns / numbers * bytes;
    let row_words = packed_row_words(tensor.data_type, columns);
    out.reserve(rows.len() * row_words);
    for row in rows {
        let start = out.len();
        out.resize(start + row_words, 0);
        let file = &tensor.data[row * row_bytes..(row + 1) * row_bytes];
        let words = &mut out[start..];
        match format(tensor.data_type) {
            Some(format) => pack_row(&format, tensor.data_type, file, columns, words),
            None => pack_bytes(file, words),
        }
    }
}

/// `words` is one row, all zero.
fn pack_row(format: &Format, data_type: DataType, file: &[u8], columns: usize, words: &mut [u32]) {
    let (numbers, block_bytes) = data_type.block();
    let planes = format.planes(data_type, columns);
    let mut quants = [0; MOST_WEIGHTS];
    let quants = &mut quants[..numbers];
    for (index, block) in file.chunks_exact(block_bytes).enumerate() {
        format.quants(block, quants);
        let first = index * numbers;
        put_bits(words, 0, format.low.bits, first, quants.iter().copied());
        if let Some(high) = &format.high {
            let above = quants.iter().map(|quant| quant >> format.low.bits);
            put_bits(words, planes.high, high.bits, first, above);
        }
        for (range, plane) in format.scales.iter().zip(planes.scales) {
            for (i, byte) in block[range.clone()].iter().enumerate() {
                let at = index * entry_bytes(range) + i;
                words[plane + at / 4] |= u32::from(*byte) << (8 * (at % 4));
            }
        }
    }
}

/// Bytes in little-endian order; the last word may be filled in part.
fn pack_bytes(bytes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
}

/// The lowest bits of each quant into a plane, from weight `first` on.
fn put_bits(words: &mut [u32], plane: usize, bits: usize, first: usize, quants: impl Iterator<Item = u8>) {
    let mask = u32::MAX >> (32 - bits);
    for (i, quant) in quants.enumerate() {
        let at = (first + i) * bits;
        words[plane + at / 32] |= (u32::from(quant) & mask) << (at % 32);
    }
}

/// Bits of weight `i` in a plane.
fn bits_of(words: &[u32], plane: usize, bits: usize, i: usize) -> u8 {
    (words[plane + i * bits / 32] >> (i * bits % 32) & (u32::MAX >> (32 - bits))) as u8
}

/// The weights of one row straight from the bytes of a file: what every kernel is judged by.
pub fn dequantise_row(data_type: DataType, bytes: &[u8], columns: usize, out: &mut [f32]) {
    let (numbers, block_bytes) = data_type.block();
    let format = format(data_type);
    let mut quants = [0; MOST_WEIGHTS];
    for (block, out) in bytes.chunks_exact(block_bytes).zip(out[..columns].chunks_exact_mut(numbers)) {
        match (&format, data_type) {
            (Some(format), _) => {
                format.quants(block, &mut quants[..numbers]);
                weights(data_type, block, &quants, out);
            }
            (None, DataType::F32) => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
            (None, DataType::Bf16) => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
            (None, _) => out[0] = half(block).to_f32(),
        }
    }
}

/// The weights of a block by its scales and the bits of each.
fn weights(data_type: DataType, block: &[u8], quants: &[u8], out: &mut [f32]) {
    for (group, (out, quants)) in out.chunks_mut(GROUP).zip(quants.chunks(GROUP)).enumerate() {
        let (scale, minimum) = scale(data_type, block, group);
        for (weight, quant) in out.iter_mut().zip(quants) {
            let product = scale * number(data_type, *quant);
            *weight = minimum.map_or(product, |minimum| product + minimum);
        }
    }
}

/// The weights of one packed row, read as the kernels read them.
pub fn unpack_row(data_type: DataType, words: &[u32], columns: usize, out: &mut [f32]) {
    let Some(format) = format(data_type) else {
        let half_at = |i: usize| (words[i / 2] >> (16 * (i % 2))) as u16;
        for (column, weight) in out[..columns].iter_mut().enumerate() {
            *weight = match data_type {
                DataType::F32 => f32::from_bits(words[column]),
                DataType::Bf16 => bf16::from_bits(half_at(column)).to_f32(),
                _ => f16::from_bits(half_at(column)).to_f32(),
            };
        }
        return;
    };
    let numbers = data_type.block().0;
    let planes = format.planes(data_type, columns);
    let (mut quants, mut block) = ([0; MOST_WEIGHTS], [0; MOST_BYTES]);
    for (index, out) in out[..columns].chunks_exact_mut(numbers).enumerate() {
        for (i, quant) in quants[..numbers].iter_mut().enumerate() {
            let at = index * numbers + i;
            let high = format.high.as_ref().map_or(0, |high| bits_of(words, planes.high, high.bits, at));
            *quant = bits_of(words, 0, format.low.bits, at) | high.checked_shl(format.low.bits as u32).unwrap_or(0);
        }
        for (range, plane) in format.scales.iter().zip(planes.scales) {
            for (i, byte) in block[range.clone()].iter_mut().enumerate() {
                *byte = bits_of(words, plane, 8, index * entry_bytes(range) + i);
            }
        }
        weights(data_type, &block, &quants, out);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// Any bytes that hold no NaN: a fixed sequence with the exponents of floats kept low.
    fn bytes(data_type: DataType, rows: usize, columns: usize) -> Vec<u8> {
        let mut state = 1u32;
        let n_bytes = data_type.bytes(&[rows, columns]).unwrap();
        let mut bytes: Vec<u8> = (0..n_bytes)
            .map(|_| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 24) as u8
            })
            .collect();
        let high_bytes: &[usize] = match data_type {
            DataType::F32 => &[3],
            DataType::F16 | DataType::Bf16 => &[1],
            quantised => &halves(quantised).iter().map(|at| at + 1).collect::<Vec<_>>(),
        };
        for block in bytes.chunks_exact_mut(data_type.block().1) {
            high_bytes.iter().for_each(|at| block[*at] &= 0xbb);
        }
        bytes
    }

    fn check(data_type: DataType, columns: usize) {
        let rows = 3;
        let data = bytes(data_type, rows, columns);
        let tensor = Tensor { data_type, shape: vec![rows, columns], data: Cow::Borrowed(&data) };
        let row_words = packed_row_words(data_type, columns);
        assert_eq!(row_words % 4, 0, "rows are whole units of 16 bytes");
        let mut packed = vec![7];
        pack_rows(&tensor, 1..3, &mut packed);
        assert_eq!(packed.len(), 1 + 2 * row_words, "appends to what is there");
        for row in 1..3 {
            let (mut want, mut got) = (vec![f32::NAN; columns], vec![f32::NAN; columns]);
            let row_bytes = data.len() / rows;
            dequantise_row(data_type, &data[row * row_bytes..][..row_bytes], columns, &mut want);
            unpack_row(data_type, &packed[1 + (row - 1) * row_words..][..row_words], columns, &mut got);
            for column in 0..columns {
                assert!(!want[column].is_nan(), "{data_type:?} {columns} [{row}, {column}]");
                assert_eq!(got[column].to_bits(), want[column].to_bits(), "{data_type:?} {columns} [{row}, {column}]");
            }
        }
    }

    #[test]
    fn unpacked_equals_dequantised() {
        for data_type in DataType::ALL {
            let widths: &[usize] = match data_type.block().0 {
                1 => &[1, 2, 31, 32, 33, 48, 64, 577],
                32 => &[32, 64, 96, 288, 576],
                _ => &[256, 512, 768, 2304],
            };
            widths.iter().for_each(|columns| check(data_type, *columns));
        }
    }

    #[test]
    fn padding_is_zero() {
        let data = [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat();
        let tensor = Tensor { data_type: DataType::F32, shape: vec![3], data: Cow::Borrowed(&data) };
        let mut packed = Vec::new();
        pack_rows(&tensor, 0..1, &mut packed);
        let mut want = vec![0; 32];
        want[..3].copy_from_slice(&[1.0f32, 2.0, 3.0].map(f32::to_bits));
        assert_eq!(packed, want);
    }

    #[test]
    fn weights_of_known_blocks() {
        let half = |value: f32| f16::from_f32(value).to_le_bytes();
        let mut out = [0.0; 32];
        // Byte j: weight j in the low nibble, weight j + 16 in the high one.
        let nibbles: Vec<u8> = (0..16u8).map(|j| j | (15 - j) << 4).collect();
        dequantise_row(DataType::Q4_0, &[&half(0.5)[..], &nibbles].concat(), 32, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (-4.0, 3.5, 3.5, -4.0));
        dequantise_row(DataType::Q4_1, &[&half(0.5)[..], &half(-1.0), &nibbles].concat(), 32, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (-1.0, 6.5, 6.5, -1.0));
    }
}
