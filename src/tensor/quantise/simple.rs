//! Quantisers of the types whose blocks hold 32 numbers under one scale.

use half::f16;

/// Numbers per block.
pub(crate) const BLOCK: usize = 32;

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The value of largest magnitude, with its sign; the first of several.
pub(crate) fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0f32, |most, value| if value.abs() > most.abs() { *value } else { most })
}

/// The lowest and the highest value; of zeros of either sign the first.
fn range(block: &[f32]) -> (f32, f32) {
    block.iter().fold((f32::MAX, -f32::MAX), |(low, high), value| {
        (if *value < low { *value } else { low }, if *value > high { *value } else { high })
    })
}

/// The low byte of a number cut to an integer. The inverse of a scale near f32's smallest number is infinite; a number
/// that no `i32` holds then becomes zero, as in ggml's builds for x86.
fn low_byte(value: f32) -> u8 {
    if value.abs() < 2_147_483_648.0 { value as i32 as u8 } else { 0 }
}

/// d = max|x| / 127, q = round(x / d).
pub(crate) fn q8_0(block: &[f32], out: &mut Vec<u8>) {
    let scale = extreme(block).abs() / 127.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(block.iter().map(|value| low_byte((value * inverse).round())));
}

/// Quants 0..16 in the low nibbles, 16..32 in the high ones.
fn write_nibbles(quants: &[u8; BLOCK], out: &mut Vec<u8>) {
    let (low, high) = quants.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(low, high)| low & 15 | (high & 15) << 4));
}

/// The fifth bit of every quant, then the other four.
fn write_five_bits(quants: &[u8; BLOCK], out: &mut Vec<u8>) {
    let fifth = quants.iter().rev().fold(0u32, |bits, quant| bits << 1 | u32::from(quant >> 4 & 1));
    out.extend(fifth.to_le_bytes());
    write_nibbles(quants, out);
}

/// d = the value of largest magnitude / -half, q = floor(x / d + half + 0.5), at most 2 half - 1.
fn around_zero(block: &[f32], half: u8, out: &mut Vec<u8>) -> [u8; BLOCK] {
    let scale = extreme(block) / -f32::from(half);
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    let quant = |value: f32| low_byte(value * inverse + (f32::from(half) + 0.5)).min(2 * half - 1);
    std::array::from_fn(|i| quant(block[i]))
}

/// m = min, d = (max - min) / most, q = floor((x - m) / d + 0.5).
fn above_minimum(block: &[f32], most: u8, out: &mut Vec<u8>) -> [u8; BLOCK] {
    let (low, high) = range(block);
    let scale = (high - low) / f32::from(most);
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(f16::from_f32(low).to_le_bytes());
    std::array::from_fn(|i| low_byte((block[i] - low) * inverse + 0.5))
}

/// Four bits around zero.
pub(crate) fn q4_0(block: &[f32], out: &mut Vec<u8>) {
    let quants = around_zero(block, 8, out);
    write_nibbles(&quants, out);
}

/// Four bits above a minimum.
pub(crate) fn q4_1(block: &[f32], out: &mut Vec<u8>) {
    let quants = above_minimum(block, 15, out).map(|quant| quant.min(15));
    write_nibbles(&quants, out);
}

/// Five bits around zero.
pub(crate) fn q5_0(block: &[f32], out: &mut Vec<u8>) {
    let quants = around_zero(block, 16, out);
    write_five_bits(&quants, out);
}

/// Five bits above a minimum; what lies above 31 loses its sixth bit, as in ggml.
pub(crate) fn q5_1(block: &[f32], out: &mut Vec<u8>) {
    let quants = above_minimum(block, 31, out);
    write_five_bits(&quants, out);
}
