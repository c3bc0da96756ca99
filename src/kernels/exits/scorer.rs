//! A scorer: a small network's scores of a row, what they weigh, and the rounds that they grant.
//!
//! Shader: `shaders/exits/scorer.wgsl`.

use crate::depth::policy::Rule;
use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{DECIDE, ERROR_FUNCTION, Granted, REDUCE};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Scorer<'a> {
    /// `[rows, input_stride]`
    pub input: &'a Buffer,
    /// `[rounds or 1, outputs, width]`
    pub weight: &'a Buffer,
    /// `[rounds]`, added to what decides and not to the factor
    pub bias: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]`
    pub factors: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// The text of `goes_on`: see [`ExitPolicy::rule`](crate::depth::policy::ExitPolicy::rule).
    pub rule: &'static str,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Vectors per input row.
    pub width: u32,
    /// Vectors from one input row to the next.
    pub input_stride: u32,
    /// Scores per row.
    pub outputs: u32,
    /// Scores kept per row.
    pub rounds: u32,
    /// Vectors from one round's weight to the next.
    pub bank_stride: u32,
    /// 1: exact GELU before the product.
    pub gelu: u32,
    /// [`IDENTITY`], [`SIGMOID`], [`TANH`] or [`SOFTMAX`].
    pub function: u32,
    /// 1: the depth is chosen at once.
    pub at_once: u32,
    /// 1: scores are kept.
    pub write_scores: u32,
    /// 1: the factor is kept; where the depth is chosen at once, it always is.
    pub write_factor: u32,
    /// 1: rounds are granted.
    pub decide: u32,
    /// 1: round 0 is granted whatever the score.
    pub first_free: u32,
    /// Rounds to run whatever the score, or [`NOT_FORCED`].
    pub forced: u32,
    /// The input is multiplied by this.
    pub inverse_temperature: f32,
    /// Multiplies the factor.
    pub alpha: f32,
}
}

/// The factor is the score.
pub const IDENTITY: u32 = 0;
/// Logistic function.
pub const SIGMOID: u32 = 1;
/// Hyperbolic tangent.
pub const TANH: u32 = 2;
/// Over the scores of a row.
pub const SOFTMAX: u32 = 3;
/// The score decides.
pub const NOT_FORCED: u32 = u32::MAX;

/// The text with a rule of one's own.
pub fn source(rule: &'static str) -> Source {
    let parts = vec![include_str!("../../../shaders/exits/scorer.wgsl"), ERROR_FUNCTION, REDUCE, DECIDE, rule];
    Source { parts, constants: vec![] }
}

impl Kernel for Scorer<'_> {
    const NAME: &'static str = "scorer";
    type Params = Params;

    fn foreign(&self) -> bool {
        !Rule::is_ours(self.rule)
    }

    fn source(&self) -> Source {
        source(self.rule)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.input.read(),
            self.weight.read(),
            self.bias.read(),
            self.list.read(),
            self.scores.write(),
            self.factors.write(),
            self.granted.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        let Params { outputs, width, .. } = self.params;
        Some(outputs * (width / crate::kernels::SUBGROUP + 20) + 4)
    }
}

/// What a scorer makes of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// One score per output.
    pub scores: Vec<f32>,
    /// Factor of the block's output.
    pub factor: f32,
    /// Rounds granted.
    pub granted: u32,
}

/// Error function by its Maclaurin series, or its continued fraction where that converges better.
pub(crate) fn error_function(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 3.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let tail = (1..60).rev().fold(a, |fraction, n| a + f64::from(n) / 2.0 / fraction);
        1.0 - (-a * a).exp() / (tail * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

/// CPU twin: one row and what was granted to it so far; `weight` is `[outputs, columns]`.
pub fn cpu(params: &Params, input: &[f32], weight: &[f32], bias: &[f32], before: Granted) -> Verdict {
    let round = before.rounds;
    let activate = |x: f32| {
        let x = f64::from(x) * f64::from(params.inverse_temperature);
        if params.gelu == 1 { 0.5 * x * (1.0 + error_function(x / std::f64::consts::SQRT_2)) } else { x }
    };
    let dot = |w: &[f32]| w.iter().zip(input).map(|(&w, &x)| f64::from(w) * activate(x)).sum::<f64>();
    let scores: Vec<f64> = weight.chunks_exact(input.len()).map(dot).collect();
    let alpha = f64::from(params.alpha);
    let top = scores.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
    let factor_of = |score: f64| match params.function {
        SIGMOID => alpha / (1.0 + (-score).exp()),
        TANH => alpha * score.tanh(),
        SOFTMAX => alpha * (score - top).exp() / sum,
        _ => score,
    };
    let forced = if before.forced > 0 { before.forced } else { params.forced };
    let forced = (forced != NOT_FORCED).then_some(forced);
    let (factor, granted) = if params.at_once == 1 {
        let factors: Vec<f64> = scores.iter().map(|&s| factor_of(s)).collect();
        let value = |j: usize| factors[j] + f64::from(bias[j]);
        let best = (1..factors.len()).fold(0, |best, j| if value(j) > value(best) { j } else { best });
        let best = forced.map_or(best, |rounds| (rounds.max(1) as usize - 1).min(factors.len() - 1));
        (factors[best], forced.unwrap_or(best as u32 + 1))
    } else {
        let open = scores[0] + f64::from(bias[round as usize]) >= 0.0 || (params.first_free == 1 && round == 0);
        (factor_of(scores[0]), round + u32::from(forced.map_or(open, |rounds| round < rounds)))
    };
    Verdict { scores: scores.iter().map(|&s| s as f32).collect(), factor: factor as f32, granted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    fn plain(width: u32) -> Params {
        Params {
            width: width / 4,
            input_stride: width / 4,
            outputs: 1,
            rounds: 4,
            bank_stride: width / 4,
            gelu: 0,
            function: SIGMOID,
            at_once: 0,
            write_scores: 1,
            write_factor: 1,
            decide: 1,
            first_free: 1,
            forced: NOT_FORCED,
            inverse_temperature: 1.0,
            alpha: 0.1,
        }
    }

    /// Returns how many rows were too close to the threshold to be judged.
    fn check(device: &Device, params: &Params) -> u32 {
        let (n_rows, width) = (37u32, params.width * 4);
        let input = device.rows(n_rows, width, 61);
        let banks = if params.at_once == 1 { 1 } else { 4 };
        let weight = device.rows(banks * params.outputs, width, 62);
        let bias = numbers(4, 63);
        let rounds = |row: u32| if params.at_once == 1 { 0 } else { row % 3 };
        let before: Vec<Granted> =
            (0..n_rows).map(|row| Granted { rounds: rounds(row), forced: row / 3 % 5 }).collect();
        let scores = device.poisoned(n_rows * 4);
        let factors = device.poisoned(n_rows);
        let granted = device.upload(&before);
        device.run(&Scorer {
            input: &input.buffer,
            weight: &weight.buffer,
            bias: &device.upload(&bias),
            list: &device.upload(&std::iter::once(n_rows).chain(0..n_rows).collect::<Vec<_>>()),
            scores: &scores,
            factors: &factors,
            granted: &granted,
            rule: crate::depth::policy::AT_LEAST,
            n_rows,
            params: *params,
        });
        let (scores, factors, granted) =
            (device.floats(&scores), device.floats(&factors), device.all::<Granted>(&granted));
        let mut close = 0;
        for row in 0..n_rows {
            let round = before[row as usize].rounds;
            let bank: Vec<f32> =
                (0..params.outputs).flat_map(|j| weight.row(round * params.outputs + j).to_vec()).collect();
            let want = cpu(params, input.row(row), &bank, &bias, before[row as usize]);
            let at = if params.at_once == 1 { row * 4 } else { row * 4 + round } as usize;
            assert_close("scores", &scores[at..][..params.outputs as usize], &want.scores, 1e-5);
            if params.at_once == 0 && (want.scores[0] + bias[round as usize]).abs() < 1e-5 {
                close += 1;
                continue;
            }
            let after = Granted { rounds: want.granted, ..before[row as usize] };
            assert_eq!(granted[row as usize], after, "row {row}");
            assert_close("factor", &factors[row as usize..][..1], &[want.factor], 1e-5);
        }
        close
    }

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        let mut close = 0;
        for width in [32, 64, 576] {
            let expert = plain(width);
            for params in [
                expert,
                Params { function: TANH, first_free: 0, inverse_temperature: 0.5, ..expert },
                Params { function: IDENTITY, ..expert },
                Params { gelu: 1, forced: 2, ..expert },
                Params { gelu: 1, inverse_temperature: 5.0, ..expert },
            ] {
                close += check(&device, &params);
            }
            let token = Params { at_once: 1, outputs: 4, bank_stride: 0, alpha: 1.0, ..expert };
            for params in [token, Params { function: SOFTMAX, ..token }, Params { forced: 3, ..token }] {
                close += check(&device, &params);
            }
        }
        assert!(close < 5, "{close} decisions were too close to judge");
    }

    #[test]
    fn error_function_is_exact() {
        for (x, want) in
            [(0.0, 0.0), (0.5, 0.520_499_877_813_046_5), (2.0, 0.995_322_265_018_952_7), (3.5, 0.999_999_256_901_627_7)]
        {
            assert!((error_function(x) - want).abs() < 1e-14 && (error_function(-x) + want).abs() < 1e-14, "{x}");
        }
    }
}
