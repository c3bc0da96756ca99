//! ggml's blocks of quantised weights as tables: where in a block which bits of a weight lie, and what they mean.
//!
//! A weight is `scale * number`, or `scale * number + minimum`. A scale has at most 19 significant bits and a number 7, so
//! their product is exact in an f32, and whether a device fuses the multiplication with the addition changes nothing.

use std::ops::Range;

use half::f16;

use crate::tensor::DataType;

/// Bits of the weights of a block, several weights to a byte.
///
/// The bytes come in runs. Bits `k * bits..` of byte `l` of a run belong to its weight `k * run + l`.
pub(crate) struct Field {
    pub(crate) bytes: Range<usize>,
    pub(crate) run: usize,
    pub(crate) bits: usize,
}

/// A quantised type.
pub(crate) struct Format {
    /// The lower bits of each weight.
    pub(crate) low: Field,
    /// Its upper bits.
    pub(crate) high: Option<Field>,
    /// Bytes that hold scales and minimums.
    pub(crate) scales: &'static [Range<usize>],
    /// Where an f16 stands among them.
    pub(crate) halves: &'static [usize],
}

fn field(bytes: Range<usize>, run: usize, bits: usize) -> Field {
    Field { bytes, run, bits }
}

/// What is known of a type, `None` for one that stores its numbers as they are.
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
pub(crate) fn format(data_type: DataType) -> Option<Format> {
    Some(match data_type {
        DataType::F32 | DataType::F16 | DataType::Bf16 => return None,
        DataType::Q8_0 => Format { low: field(2..34, 32, 8), high: None, scales: &[0..2], halves: &[0] },
        DataType::Q4_0 | DataType::Iq4Nl => {
            Format { low: field(2..18, 16, 4), high: None, scales: &[0..2], halves: &[0] }
        }
        DataType::Q4_1 => Format { low: field(4..20, 16, 4), high: None, scales: &[0..4], halves: &[0, 2] },
        DataType::Q5_0 => {
            Format { low: field(6..22, 16, 4), high: Some(field(2..6, 1, 1)), scales: &[0..2], halves: &[0] }
        }
        DataType::Q5_1 => {
            Format { low: field(8..24, 16, 4), high: Some(field(4..8, 1, 1)), scales: &[0..4], halves: &[0, 2] }
        }
        DataType::Q2K => Format { low: field(16..80, 32, 2), high: None, scales: &[0..16, 80..84], halves: &[80, 82] },
        DataType::Q3K => {
            Format { low: field(32..96, 32, 2), high: Some(field(0..32, 32, 1)), scales: &[96..110], halves: &[108] }
        }
        DataType::Q4K => Format { low: field(16..144, 32, 4), high: None, scales: &[0..16], halves: &[0, 2] },
        DataType::Q5K => {
            Format { low: field(48..176, 32, 4), high: Some(field(16..48, 32, 1)), scales: &[0..16], halves: &[0, 2] }
        }
        DataType::Q6K => Format {
            low: field(0..128, 64, 4),
            high: Some(field(128..192, 32, 2)),
            scales: &[192..208, 208..210],
            halves: &[208],
        },
        DataType::Iq4Xs => Format { low: field(8..136, 16, 4), high: None, scales: &[0..8], halves: &[0] },
    })
}

impl Format {
    /// The bits of each weight of a block, `[32]` or `[256]`.
    pub(crate) fn quants(&self, block: &[u8], out: &mut [u8]) {
        self.low.read(block, out, 0);
        if let Some(high) = &self.high {
            high.read(block, out, self.low.bits);
        }
    }
}

impl Field {
    /// Puts the bits into place from bit `shift` on; those of shift 0 replace what is there.
    fn read(&self, block: &[u8], out: &mut [u8], shift: usize) {
        let of_run = 8 / self.bits * self.run;
        let mask = (0xff >> (8 - self.bits)) as u8;
        for (bytes, out) in block[self.bytes.clone()].chunks_exact(self.run).zip(out.chunks_exact_mut(of_run)) {
            for (k, out) in out.chunks_exact_mut(self.run).enumerate() {
                for (quant, byte) in out.iter_mut().zip(bytes) {
                    let bits = (byte >> (k * self.bits) & mask) << shift;
                    *quant = if shift == 0 { bits } else { *quant | bits };
                }
            }
        }
    }
}

/// Consecutive weights that share scale and minimum in every type.
pub(crate) const GROUP: usize = 16;

/// Scale and minimum of the 16 weights number `group` of a block, of which only the bytes of scales are looked at.
pub(crate) fn scale(data_type: DataType, block: &[u8], group: usize) -> (f32, Option<f32>) {
    let half = |at: usize| half(&block[at..]).to_f32();
    match data_type {
        DataType::Q4_1 | DataType::Q5_1 => (half(0), Some(half(2))),
        DataType::Q2K => {
            let both = block[group];
            (half(80) * f32::from(both & 15), Some(-(half(82) * f32::from(both >> 4))))
        }
        DataType::Q3K => {
            let low = block[96 + group % 8] >> (4 * (group / 8)) & 15;
            let high = block[104 + group % 4] >> (2 * (group / 4)) & 3;
            (half(108) * (f32::from(low | high << 4) - 32.0), None)
        }
        DataType::Q4K | DataType::Q5K => {
            // Six bits each: those of the first four of eight together, those of the last four as nibbles and pairs.
            let (index, bytes) = (group / 2, &block[4..16]);
            let (scale, minimum) = if index < 4 {
                (bytes[index] & 63, bytes[index + 4] & 63)
            } else {
                let pair = |byte: u8| byte >> 6 << 4;
                let both = bytes[index + 4];
                (both & 15 | pair(bytes[index - 4]), both >> 4 | pair(bytes[index]))
            };
            (half(0) * f32::from(scale), Some(-(half(2) * f32::from(minimum))))
        }
        DataType::Q6K => (half(208) * f32::from(block[192 + group] as i8), None),
        DataType::Iq4Xs => {
            let index = group / 2;
            let low = block[4 + index / 2] >> (4 * (index % 2)) & 15;
            let high = block[2 + index / 4] >> (2 * (index % 4)) & 3;
            (half(0) * (f32::from(low | high << 4) - 32.0), None)
        }
        _ => (half(0), None),
    }
}

/// Of iq4_nl and iq4_xs.
const CHOICES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// What the bits of a weight mean.
pub(crate) fn number(data_type: DataType, quant: u8) -> f32 {
    let less = |offset: f32| f32::from(quant) - offset;
    match data_type {
        DataType::Q8_0 => f32::from(quant as i8),
        DataType::Q3K => less(4.0),
        DataType::Q4_0 => less(8.0),
        DataType::Q5_0 => less(16.0),
        DataType::Q6K => less(32.0),
        DataType::Iq4Nl | DataType::Iq4Xs => f32::from(CHOICES[usize::from(quant)]),
        _ => less(0.0),
    }
}

/// The f16 that stands first.
pub(crate) fn half(bytes: &[u8]) -> f16 {
    f16::from_le_bytes([bytes[0], bytes[1]])
}
