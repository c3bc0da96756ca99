//! Repacks rows of weights for the GPU, so that no kernel reads unaligned data or needs 16-bit floats.
//!
//! A row is padded with zero weights to a multiple of 32 columns (`n_blocks` = ceil(columns / 32)) and laid out in
//! units of 16 bytes, four little-endian words each:
//!
//! | type | units per block | then per row |
//! | --- | --- | --- |
//! | f32 | 8: bit patterns | |
//! | f16, bf16 | 4: two numbers per word, low half first | |
//! | q8_0 | 2: four signed bytes per word | f16 scales, two per word |
//! | q4_0 | 1: weight `8w + i` at bits `4i` of word `w` | f16 scales, two per word |
//! | q4_1 | 1: as q4_0 | per block a word: f16 d low, f16 m high |
//! | q6_K | 2: low nibbles as q4_0; high pairs of weights 0..16 (weight i at bits 2i), of weights 16..32, f32 scale of weights 0..16, of weights 16..32 | |
//!
//! What stands in "then per row" is padded to 16 bytes.
//!
//! **Invariant:** [`unpack_row`] of a packed row equals [`dequantise_row`] of the file's bytes bit for bit.

use std::ops::Range;

use half::{bf16, f16};

use super::tensor::{DataType, Tensor};

/// Columns per block of the packed layout.
const BLOCK: usize = 32;

/// Words of a packed row.
pub fn packed_row_words(data_type: DataType, columns: usize) -> usize {
    let n_blocks = columns.div_ceil(BLOCK);
    match data_type {
        DataType::F32 => n_blocks * 32,
        DataType::F16 | DataType::Bf16 => n_blocks * 16,
        DataType::Q8_0 => n_blocks * 8 + n_blocks.div_ceil(2).next_multiple_of(4),
        DataType::Q4_0 => n_blocks * 4 + n_blocks.div_ceil(2).next_multiple_of(4),
        DataType::Q4_1 => n_blocks * 4 + n_blocks.next_multiple_of(4),
        DataType::Q6K => n_blocks * 8,
    }
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
        pack_row(tensor.data_type, file, columns, &mut out[start..]);
    }
}

/// `words` is one row, all zero.
fn pack_row(data_type: DataType, file: &[u8], columns: usize, words: &mut [u32]) {
    let n_blocks = columns.div_ceil(BLOCK);
    match data_type {
        DataType::F32 => pack_bytes(file, words),
        DataType::F16 | DataType::Bf16 => pack_bytes(file, words),
        DataType::Q8_0 => {
            let (quants, scales) = words.split_at_mut(n_blocks * 8);
            for (index, block) in file.chunks_exact(34).enumerate() {
                pack_bytes(&block[2..], &mut quants[index * 8..]);
                scales[index / 2] |= u32::from(half_bits(block)) << (16 * (index % 2));
            }
        }
        DataType::Q4_0 => {
            let (quants, scales) = words.split_at_mut(n_blocks * 4);
            for (index, block) in file.chunks_exact(18).enumerate() {
                pack_nibbles(&mut quants[index * 4..], |i| ggml_nibble(&block[2..], i));
                scales[index / 2] |= u32::from(half_bits(block)) << (16 * (index % 2));
            }
        }
        DataType::Q4_1 => {
            let (quants, scales) = words.split_at_mut(n_blocks * 4);
            for (index, block) in file.chunks_exact(20).enumerate() {
                pack_nibbles(&mut quants[index * 4..], |i| ggml_nibble(&block[4..], i));
                scales[index] = u32::from(half_bits(block)) | u32::from(half_bits(&block[2..])) << 16;
            }
        }
        DataType::Q6K => {
            for (super_block, words) in file.chunks_exact(210).zip(words.chunks_exact_mut(64)) {
                for (index, words) in words.chunks_exact_mut(8).enumerate() {
                    pack_q6(super_block, index, words);
                }
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

/// Weight i at bits 4 * (i % 8) of word i / 8.
fn pack_nibbles(words: &mut [u32], nibble: impl Fn(usize) -> u32) {
    for i in 0..BLOCK {
        words[i / 8] |= nibble(i) << (4 * (i % 8));
    }
}

/// ggml keeps weights 0..16 in the low nibbles of 16 bytes and weights 16..32 in the high ones.
fn ggml_nibble(bytes: &[u8], i: usize) -> u32 {
    u32::from(if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

/// Bits of the f16 that stands first.
fn half_bits(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// The 32 weights number `index` of a q6_K super-block.
fn pack_q6(super_block: &[u8], index: usize, words: &mut [u32]) {
    pack_nibbles(words, |i| q6_weight(super_block, index * BLOCK + i) & 15);
    for i in 0..BLOCK {
        words[4 + i / 16] |= (q6_weight(super_block, index * BLOCK + i) >> 4) << (2 * (i % 16));
    }
    for part in 0..2 {
        words[6 + part] = q6_scale(super_block, index * 2 + part).to_bits();
    }
}

/// Weight `at`, 0..63, of a super-block: ql 128 bytes, qh 64 bytes, 16 scales, d.
///
/// Each half of 128 weights has 64 bytes of ql and 32 of qh. With l = at % 32 and quarter = at / 32 % 4, the low
/// nibble is in byte l (+ 32 for odd quarters) of ql, low half first; the high pair is bits 2 * quarter of qh\[l\].
fn q6_weight(super_block: &[u8], at: usize) -> u32 {
    let (half, quarter, l) = (at / 128, at / 32 % 4, at % 32);
    let low = super_block[half * 64 + quarter % 2 * 32 + l] >> (4 * (quarter / 2)) & 15;
    let high = super_block[128 + half * 32 + l] >> (2 * quarter) & 3;
    u32::from(low | high << 4)
}

/// Scale of the 16 weights number `index`. In ggml's order the scales are those of consecutive 16 weights.
fn q6_scale(super_block: &[u8], index: usize) -> f32 {
    f16::from_bits(half_bits(&super_block[208..])).to_f32() * f32::from(super_block[192 + index] as i8)
}

/// The weights of one row straight from the bytes of a file: what every kernel is judged by.
pub fn dequantise_row(data_type: DataType, bytes: &[u8], columns: usize, out: &mut [f32]) {
    let (numbers, block_bytes) = data_type.block();
    let blocks = bytes.chunks_exact(block_bytes).zip(out[..columns].chunks_exact_mut(numbers));
    for (block, out) in blocks {
        let scale = f16::from_bits(half_bits(block)).to_f32();
        match data_type {
            DataType::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
            DataType::F16 => out[0] = scale,
            DataType::Bf16 => out[0] = bf16::from_bits(half_bits(block)).to_f32(),
            DataType::Q8_0 => {
                for (weight, quant) in out.iter_mut().zip(&block[2..]) {
                    *weight = scale * f32::from(*quant as i8);
                }
            }
            DataType::Q4_0 => {
                for (i, weight) in out.iter_mut().enumerate() {
                    *weight = scale * (ggml_nibble(&block[2..], i) as f32 - 8.0);
                }
            }
            DataType::Q4_1 => {
                let minimum = f16::from_bits(half_bits(&block[2..])).to_f32();
                for (i, weight) in out.iter_mut().enumerate() {
                    *weight = scale * ggml_nibble(&block[4..], i) as f32 + minimum;
                }
            }
            DataType::Q6K => dequantise_q6(block, out),
        }
    }
}

/// ggml's own loop, so that it judges the index arithmetic of [`q6_weight`] instead of repeating it.
fn dequantise_q6(block: &[u8], out: &mut [f32]) {
    let d = f16::from_bits(half_bits(&block[208..])).to_f32();
    for half in 0..2 {
        let (ql, qh) = (&block[half * 64..], &block[128 + half * 32..]);
        let scale = |index: usize| d * f32::from(block[192 + half * 8 + index] as i8);
        let out = &mut out[half * 128..];
        for l in 0..32 {
            let high = |shift: u32| (qh[l] >> shift & 3) << 4;
            let weight = |low: u8, high: u8| f32::from(low | high) - 32.0;
            out[l] = scale(l / 16) * weight(ql[l] & 15, high(0));
            out[l + 32] = scale(l / 16 + 2) * weight(ql[l + 32] & 15, high(2));
            out[l + 64] = scale(l / 16 + 4) * weight(ql[l] >> 4, high(4));
            out[l + 96] = scale(l / 16 + 6) * weight(ql[l + 32] >> 4, high(6));
        }
    }
}

/// The weights of one packed row, read as the kernels read them.
pub fn unpack_row(data_type: DataType, words: &[u32], columns: usize, out: &mut [f32]) {
    let n_blocks = columns.div_ceil(BLOCK);
    let half_at = |base: usize, i: usize| (words[base + i / 2] >> (16 * (i % 2))) as u16;
    let scale = |base: usize, i: usize| f16::from_bits(half_at(base, i)).to_f32();
    let nibble = |base: usize, i: usize| (words[base + i / 8] >> (4 * (i % 8)) & 15) as f32;
    for (column, weight) in out[..columns].iter_mut().enumerate() {
        let (block, i) = (column / BLOCK, column % BLOCK);
        *weight = match data_type {
            DataType::F32 => f32::from_bits(words[column]),
            DataType::F16 => scale(0, column),
            DataType::Bf16 => bf16::from_bits(half_at(0, column)).to_f32(),
            DataType::Q8_0 => {
                let quant = (words[column / 4] >> (8 * (column % 4))) as u8 as i8;
                scale(n_blocks * 8, block) * f32::from(quant)
            }
            DataType::Q4_0 => scale(n_blocks * 4, block) * (nibble(0, column) - 8.0),
            DataType::Q4_1 => {
                let base = n_blocks * 4 + block;
                scale(base, 0) * nibble(0, column) + scale(base, 1)
            }
            DataType::Q6K => {
                let base = block * 8;
                let high = (words[base + 4 + i / 16] >> (2 * (i % 16)) & 3) as f32;
                f32::from_bits(words[base + 6 + i / 16]) * (nibble(base, i) + 16.0 * high - 32.0)
            }
        };
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
            DataType::F16 | DataType::Bf16 | DataType::Q8_0 | DataType::Q4_0 => &[1],
            DataType::Q4_1 => &[1, 3],
            DataType::Q6K => &[209],
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
        for data_type in [DataType::F32, DataType::F16, DataType::Bf16] {
            [1, 2, 31, 32, 33, 48, 64, 577].into_iter().for_each(|columns| check(data_type, columns));
        }
        for data_type in [DataType::Q8_0, DataType::Q4_0, DataType::Q4_1] {
            [32, 64, 96, 288, 576].into_iter().for_each(|columns| check(data_type, columns));
        }
        [256, 512, 768].into_iter().for_each(|columns| check(DataType::Q6K, columns));
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
