//! Quantisers of the types whose blocks hold 256 numbers: groups with scales of their own, and those under one or two
//! of f16. Each group is fitted by several scales of which the best is kept.
//!
//! The order of every sum is ggml's, and none is contracted, so that the result is its own to the bit.

use half::f16;

use super::simple::extreme;

/// Numbers per super-block.
pub(crate) const SUPER_BLOCK: usize = 256;
/// Numbers that share a scale in q6_K.
const SIXTEEN: usize = 16;
/// Numbers that share scale and minimum in q4_K and q5_K.
const GROUP: usize = 32;
/// Groups of a super-block of q4_K and q5_K.
const GROUPS: usize = SUPER_BLOCK / GROUP;
/// Below this a group counts as zero, as in ggml.
const NOTHING: f32 = 1e-15;

/// The nearest integer, the even one of two, of a number below 2^22: it moves into the low bits of the mantissa. What is
/// larger, infinite or no number gives what those bits then hold.
fn nearest(value: f32) -> i32 {
    ((value + 12_582_912.0).to_bits() & 0x7f_ffff) as i32 - 0x40_0000
}

fn six_bits(scaled: f32) -> i32 {
    nearest(scaled).clamp(-32, 31)
}

/// Scale and quants of 16 numbers with the least error, each number weighted by its square: the scale that maps the
/// extreme to -32, and 18 around it, each then fitted to what it rounds to by least squares.
fn fit(group: &[f32]) -> (f32, [i32; SIXTEEN]) {
    let extreme = extreme(group);
    if extreme.abs() < NOTHING {
        return (0.0, [-32; SIXTEEN]);
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
    let mut scale = if sum_qq == 0.0 { 0.0 } else { sum_xq / sum_qq };
    let mut best = scale * sum_xq;
    for step in (-9..=9).filter(|step| *step != 0) {
        let inverse = -(32.0 + 0.1 * step as f32) / extreme;
        let (sum_xq, sum_qq) = try_scale(inverse);
        if sum_qq > 0.0 && sum_xq * sum_xq > best * sum_qq {
            (chosen, scale) = (inverse, sum_xq / sum_qq);
            best = scale * sum_xq;
        }
    }
    (scale, std::array::from_fn(|i| six_bits(chosen * group[i])))
}

/// 16 scales of 8 bits under one f16, then each number to the scale that its group really has.
pub(crate) fn q6_k(block: &[f32], out: &mut Vec<u8>) {
    let fitted: Vec<(f32, [i32; SIXTEEN])> = block.chunks_exact(SIXTEEN).map(fit).collect();
    let scales: Vec<f32> = fitted.iter().map(|(scale, _)| *scale).collect();
    let largest = extreme(&scales);
    if largest.abs() < NOTHING {
        out.extend([0; 210]);
        return;
    }
    let inverse = -128.0 / largest;
    let d = f16::from_f32(1.0 / inverse);
    let scales: Vec<i8> = scales.iter().map(|scale| nearest(inverse * scale).min(127) as i8).collect();
    let mut values = [0u8; SUPER_BLOCK];
    for (index, value) in block.iter().enumerate() {
        let group = index / SIXTEEN;
        let scale = d.to_f32() * f32::from(scales[group]);
        let quant = if scale == 0.0 { fitted[group].1[index % SIXTEEN] } else { six_bits(value / scale) };
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

/// How the groups of a type with minimums are searched.
struct Search {
    /// The largest quant.
    most: u8,
    /// The first scale tried maps the range to that much more than `most` steps, each further one to 0.1 more.
    first: f32,
    /// The last of them.
    steps: u8,
}

const FOUR_BITS: Search = Search { most: 15, first: -1.0, steps: 20 };
const FIVE_BITS: Search = Search { most: 31, first: -0.5, steps: 15 };

/// 32 numbers as `scale * quant - minimum`.
struct Group {
    scale: f32,
    minimum: f32,
    quants: [u8; GROUP],
}

impl Search {
    fn quants(&self, group: &[f32], inverse: f32, low: f32) -> [u8; GROUP] {
        std::array::from_fn(|i| nearest(inverse * (group[i] - low)).clamp(0, i32::from(self.most)) as u8)
    }

    /// The group with the least error, each number weighted by its size and the mean size of all: the whole range, then
    /// by each scale tried the scale and minimum that fit best to what it rounds to.
    fn fit(&self, group: &[f32]) -> Group {
        let mean_square = group.iter().fold(0.0f32, |sum, value| sum + value * value) / GROUP as f32;
        let size = mean_square.sqrt();
        let weights: [f32; GROUP] = std::array::from_fn(|i| size + group[i].abs());
        let (mut low, mut high) = (group[0], group[0]);
        let (mut sum_w, mut sum_x) = (weights[0], weights[0] * group[0]);
        for (value, weight) in group.iter().zip(weights).skip(1) {
            low = if *value < low { *value } else { low };
            high = if *value > high { *value } else { high };
            sum_w += weight;
            sum_x += weight * value;
        }
        low = if low > 0.0 { 0.0 } else { low };
        if high == low {
            return Group { scale: 0.0, minimum: -low, quants: [0; GROUP] };
        }
        let most = f32::from(self.most);
        let inverse = most / (high - low);
        let (mut scale, mut quants) = (1.0 / inverse, self.quants(group, inverse, low));
        let mut least = error(group, &weights, &quants, scale, low);
        for step in 0..=self.steps {
            let inverse = (self.first + 0.1 * f32::from(step) + most) / (high - low);
            let tried = self.quants(group, inverse, low);
            let (mut sum_q, mut sum_qq, mut sum_xq) = (0.0f32, 0.0f32, 0.0f32);
            for ((value, weight), quant) in group.iter().zip(weights).zip(tried) {
                let quant = f32::from(quant);
                sum_q += weight * quant;
                sum_qq += weight * quant * quant;
                sum_xq += weight * quant * value;
            }
            let determinant = sum_w * sum_qq - sum_q * sum_q;
            if determinant > 0.0 {
                let mut fitted = (sum_w * sum_xq - sum_x * sum_q) / determinant;
                let mut fitted_low = (sum_qq * sum_x - sum_q * sum_xq) / determinant;
                if fitted_low > 0.0 {
                    (fitted, fitted_low) = (sum_xq / sum_qq, 0.0);
                }
                let found = error(group, &weights, &tried, fitted, fitted_low);
                if found < least {
                    (least, scale, low, quants) = (found, fitted, fitted_low, tried);
                }
            }
        }
        Group { scale, minimum: -low, quants }
    }

    /// f16 scales of scales and minimums, these in 6 bits, and each number to what its group really has.
    fn block(&self, block: &[f32], out: &mut Vec<u8>) -> [u8; SUPER_BLOCK] {
        let groups: [Group; GROUPS] = std::array::from_fn(|i| self.fit(&block[i * GROUP..(i + 1) * GROUP]));
        // Scales and minimums are positive: NaN and what is below zero are passed over.
        let largest = |part: &dyn Fn(&Group) -> f32| {
            groups.iter().map(part).fold(0.0f32, |most, value| if value > most { value } else { most })
        };
        let (most_scale, most_minimum) = (largest(&|group| group.scale), largest(&|group| group.minimum));
        let in_six_bits = |value: f32, most: f32| {
            let inverse = if most > 0.0 { 63.0 / most } else { 0.0 };
            (nearest(inverse * value) as u8).min(63)
        };
        let scales: [u8; GROUPS] = std::array::from_fn(|i| in_six_bits(groups[i].scale, most_scale));
        let minimums: [u8; GROUPS] = std::array::from_fn(|i| in_six_bits(groups[i].minimum, most_minimum));
        let (d, d_minimum) = (f16::from_f32(most_scale / 63.0), f16::from_f32(most_minimum / 63.0));
        out.extend(d.to_le_bytes());
        out.extend(d_minimum.to_le_bytes());
        // The first four whole, with the high bits of the others; then the low bits of these.
        out.extend((0..4).map(|i| scales[i] | scales[i + 4] >> 4 << 6));
        out.extend((0..4).map(|i| minimums[i] | minimums[i + 4] >> 4 << 6));
        out.extend((4..8).map(|i| scales[i] & 15 | (minimums[i] & 15) << 4));
        let mut values = [0u8; SUPER_BLOCK];
        for (index, value) in block.iter().enumerate() {
            let group = index / GROUP;
            let scale = d.to_f32() * f32::from(scales[group]);
            let minimum = d_minimum.to_f32() * f32::from(minimums[group]);
            values[index] = if scale == 0.0 {
                groups[group].quants[index % GROUP]
            } else {
                nearest((value + minimum) / scale).clamp(0, i32::from(self.most)) as u8
            };
        }
        values
    }
}

/// The sum of weighted squares of what is lost.
fn error(group: &[f32], weights: &[f32; GROUP], quants: &[u8; GROUP], scale: f32, low: f32) -> f32 {
    group.iter().zip(weights).zip(quants).fold(0.0, |sum, ((value, weight), quant)| {
        let lost = scale * f32::from(*quant) + low - value;
        sum + weight * (lost * lost)
    })
}

/// Two groups side by side: the first in the low nibbles, the second in the high ones.
fn write_nibbles(values: &[u8; SUPER_BLOCK], out: &mut Vec<u8>) {
    for pair in values.chunks_exact(2 * GROUP) {
        out.extend((0..GROUP).map(|l| pair[l] & 15 | (pair[l + GROUP] & 15) << 4));
    }
}

/// Four bits above a minimum.
pub(crate) fn q4_k(block: &[f32], out: &mut Vec<u8>) {
    let values = FOUR_BITS.block(block, out);
    write_nibbles(&values, out);
}

/// Five bits above a minimum; of the fifth bits, those of group g are bit g of 32 bytes.
pub(crate) fn q5_k(block: &[f32], out: &mut Vec<u8>) {
    let values = FIVE_BITS.block(block, out);
    out.extend((0..GROUP).map(|l| (0..GROUPS).map(|group| values[group * GROUP + l] >> 4 << group).sum::<u8>()));
    write_nibbles(&values, out);
}
