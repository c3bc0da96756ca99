//! Small networks that answer yes or no, trained on the CPU: two linears with ReLU between them, or
//! one, and a logistic function.
//!
//! **Invariant:** the same samples give the same network on every machine: there is no chance in it but a fixed start.

use nalgebra::DMatrix;

use super::ridge::{Ridge, Solved};
use crate::error::RequestError;

/// What is known of a case: its numbers, and the answer.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Numbers of one case.
    pub width: usize,
    /// `[cases, width]`
    pub inputs: Vec<f32>,
    /// `[cases]`
    pub answers: Vec<bool>,
}

/// Two linears, `[inner, width]` and `[1, inner]`, with biases.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Rows of the first.
    pub inner: usize,
    /// First weight.
    pub first: Vec<f32>,
    /// Its bias.
    pub first_bias: Vec<f32>,
    /// Second weight.
    pub second: Vec<f32>,
    /// Its bias.
    pub second_bias: f32,
}

/// Cases that move the weights together.
const BATCH: usize = 64;
/// Times that every case is seen.
const PASSES: usize = 16;
/// Size of a step at the start; it falls to nothing.
const RATE: f64 = 5e-3;

/// Steps of the fit of a logistic function.
const LOGISTIC: usize = 50;

/// A number that is trained, with Adam's running means of its slope and of its square.
#[derive(Clone, Copy, Default)]
struct Trained {
    value: f64,
    slope: f64,
    square: f64,
}

impl Samples {
    /// Cases of so many numbers each.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Takes in a case.
    pub fn add(&mut self, input: &[f32], answer: bool) {
        self.inputs.extend_from_slice(input);
        self.answers.push(answer);
    }

    fn case(&self, index: usize) -> &[f32] {
        &self.inputs[index * self.width..][..self.width]
    }

    /// Mean of each number, and one over its deviation.
    fn scales(&self) -> Vec<(f64, f64)> {
        let n = self.answers.len().max(1) as f64;
        let mut sums = vec![(0.0, 0.0); self.width];
        for case in self.inputs.chunks_exact(self.width.max(1)) {
            for (sum, x) in sums.iter_mut().zip(case) {
                *sum = (sum.0 + f64::from(*x), sum.1 + f64::from(*x).powi(2));
            }
        }
        let scale = |(sum, square): (f64, f64)| {
            let mean = sum / n;
            let variance = (square / n - mean * mean).max(0.0);
            (mean, if variance > 1e-12 { 1.0 / variance.sqrt() } else { 0.0 })
        };
        sums.into_iter().map(scale).collect()
    }
}

impl Network {
    /// The answer's probability.
    pub fn says(&self, input: &[f32]) -> f32 {
        let rows = self.first.chunks_exact(input.len().max(1)).zip(&self.first_bias).zip(&self.second);
        let sum = rows.map(|((row, bias), second)| {
            let z = row.iter().zip(input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(*bias);
            f64::from(*second) * z.max(0.0)
        });
        logistic(sum.sum::<f64>() + f64::from(self.second_bias)) as f32
    }

    /// A network of so many inner numbers that answers as the samples do, by cross-entropy.
    pub fn train(samples: &Samples, inner: usize) -> Self {
        let (scales, width) = (samples.scales(), samples.width);
        let mut state = 1u64;
        let mut start = |fan: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 33) as f64 / f64::from(1u32 << 31) * 2.0 - 1.0;
            Trained { value: unit * (3.0 / fan.max(1) as f64).sqrt(), ..Trained::default() }
        };
        let mut first: Vec<Trained> = (0..inner * width).map(|_| start(width)).collect();
        let mut rest: Vec<Trained> = (0..inner).map(|_| start(inner)).collect();
        rest.resize(2 * inner + 1, Trained::default());
        let order = shuffled(samples.answers.len());
        let steps = PASSES * order.len().div_ceil(BATCH);
        let mut step = 0;
        for _ in 0..PASSES {
            for batch in order.chunks(BATCH) {
                let input = DMatrix::from_fn(width, batch.len(), |row, column| {
                    let (mean, scale) = scales[row];
                    (f64::from(samples.case(batch[column])[row]) - mean) * scale
                });
                let answers: Vec<bool> = batch.iter().map(|index| samples.answers[*index]).collect();
                step += 1;
                let rate = RATE * (1.0 - step as f64 / (steps + 1) as f64);
                one_step((&mut first, &mut rest), &input, &answers, (step, rate));
            }
        }
        Self::folded(&first, &rest, &scales)
    }

    /// The network on numbers as they are, without means and deviations.
    fn folded(first: &[Trained], rest: &[Trained], scales: &[(f64, f64)]) -> Self {
        let inner = rest.len() / 2;
        let (mut weight, mut first_bias) = (Vec::with_capacity(first.len()), Vec::with_capacity(inner));
        for (row, bias) in first.chunks_exact(scales.len().max(1)).zip(&rest[inner..2 * inner]) {
            let shift: f64 = row.iter().zip(scales).map(|(w, (mean, scale))| w.value * mean * scale).sum();
            weight.extend(row.iter().zip(scales).map(|(w, (_, scale))| (w.value * scale) as f32));
            first_bias.push((bias.value - shift) as f32);
        }
        let second = rest[..inner].iter().map(|w| w.value as f32).collect();
        Self { inner, first: weight, first_bias, second, second_bias: rest[2 * inner].value as f32 }
    }
}

/// One linear, `[1, width]`, with a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Weight.
    pub weight: Vec<f32>,
    /// Bias.
    pub bias: f32,
}

impl Linear {
    /// The answer's probability, if both answers were as frequent.
    pub fn says(&self, input: &[f32]) -> f32 {
        logistic(self.sum(input)) as f32
    }

    fn sum(&self, input: &[f32]) -> f64 {
        let sum: f64 = self.weight.iter().zip(input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        sum + f64::from(self.bias)
    }

    /// The direction that parts yes and no best, by least squares; along it the logistic function that fits them best, where
    /// yes and no weigh alike however rare one of them is.
    ///
    /// # Errors
    /// Where rounding leaves no solution.
    pub fn train(samples: &Samples, ridge: f64) -> Result<Self, RequestError> {
        let mut sums = Ridge::new(samples.width, 1);
        let answer = |index: usize| f64::from(u8::from(samples.answers[index]));
        (0..samples.answers.len()).for_each(|index| sums.add(samples.case(index), &[answer(index) as f32]));
        let Solved { weight, bias } = sums.solve(ridge)?;
        let found = Self { weight, bias: bias[0] };
        let yes = samples.answers.iter().filter(|answer| **answer).count();
        let share = |count: usize| 0.5 / count.max(1) as f64;
        let weights = [share(samples.answers.len() - yes), share(yes)];
        let scores: Vec<f64> = (0..samples.answers.len()).map(|index| found.sum(samples.case(index))).collect();
        let (mut slope, mut shift) = (1.0, 0.0);
        for _ in 0..LOGISTIC {
            // Newton's step on two numbers, with a little held back so that what is parted without fault stays finite.
            let (mut gradient, mut curve) = ([1e-4 * slope, 0.0], [1e-4, 0.0, 1e-9]);
            for (index, score) in scores.iter().enumerate() {
                let (p, weight) = (logistic(slope * score + shift), weights[usize::from(samples.answers[index])]);
                let off = weight * (p - answer(index));
                let bend = weight * p * (1.0 - p);
                gradient = [gradient[0] + off * score, gradient[1] + off];
                curve = [curve[0] + bend * score * score, curve[1] + bend * score, curve[2] + bend];
            }
            let determinant = curve[0] * curve[2] - curve[1] * curve[1];
            let step = |a: f64, b: f64| if determinant > 1e-300 { (a - b) / determinant } else { 0.0 };
            slope -= step(curve[2] * gradient[0], curve[1] * gradient[1]).clamp(-10.0, 10.0);
            shift -= step(curve[0] * gradient[1], curve[1] * gradient[0]).clamp(-10.0, 10.0);
        }
        let weight = found.weight.iter().map(|w| (f64::from(*w) * slope) as f32).collect();
        Ok(Self { weight, bias: (f64::from(found.bias) * slope + shift) as f32 })
    }
}

/// Moves all weights once; `rest` is the second weight, the first bias, and the second bias.
fn one_step(
    (first, rest): (&mut [Trained], &mut [Trained]),
    input: &DMatrix<f64>,
    answers: &[bool],
    (step, rate): (usize, f64),
) {
    let (inner, width, n) = (rest.len() / 2, input.nrows(), answers.len());
    let weight = DMatrix::from_row_iterator(inner, width, first.iter().map(|w| w.value));
    let mut hidden = weight * input;
    for mut column in hidden.column_iter_mut() {
        column.iter_mut().zip(&rest[inner..]).for_each(|(z, bias)| *z = (*z + bias.value).max(0.0));
    }
    let mut slopes = vec![0.0; rest.len()];
    let mut back = DMatrix::zeros(inner, n);
    for (case, answer) in answers.iter().enumerate() {
        let sum: f64 = hidden.column(case).iter().zip(&rest[..inner]).map(|(x, w)| x * w.value).sum();
        let wanted = f64::from(u8::from(*answer));
        let off = (logistic(sum + rest[2 * inner].value) - wanted) / n as f64;
        for (row, second) in rest[..inner].iter().enumerate() {
            let x = hidden[(row, case)];
            slopes[row] += off * x;
            if x > 0.0 {
                back[(row, case)] = off * second.value;
                slopes[inner + row] += back[(row, case)];
            }
        }
        slopes[2 * inner] += off;
    }
    let of_first = back * input.transpose();
    let moved = first.iter_mut().zip(of_first.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>()));
    moved.chain(rest.iter_mut().zip(slopes)).for_each(|(weight, slope)| weight.go(slope, step, rate));
}

impl Trained {
    /// A step of Adam.
    fn go(&mut self, slope: f64, step: usize, rate: f64) {
        self.slope += 0.1 * (slope - self.slope);
        self.square += 0.001 * (slope * slope - self.square);
        let mean = self.slope / (1.0 - 0.9f64.powi(step as i32));
        let square = self.square / (1.0 - 0.999f64.powi(step as i32));
        self.value -= rate * mean / (square.sqrt() + 1e-8);
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// All cases once, neighbours apart.
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|index| (*index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_line_can_tell_is_learned() {
        // Yes within a ring, whose numbers have very different sizes and places.
        let mut samples = Samples::new(2);
        for i in 0..3000usize {
            let unit = |seed: usize| ((i * 2_654_435_761 + seed) % 1009) as f32 / 504.5 - 1.0;
            let (x, y) = (unit(0), unit(i * i * 17 + 5));
            samples.add(&[100.0 * x + 7.0, 0.01 * y], x * x + y * y < 0.4);
        }
        let network = Network::train(&samples, 16);
        let right = |i: usize| (network.says(samples.case(i)) > 0.5) == samples.answers[i];
        let share = (0..3000).filter(|i| right(*i)).count() as f64 / 3000.0;
        assert!(share > 0.93, "{share}");
        assert_eq!(Network::train(&samples, 16), network);
    }

    #[test]
    fn a_rare_answer_weighs_as_much_for_a_linear() {
        let mut samples = Samples::new(2);
        for i in 0..1000usize {
            let yes = i % 50 == 0;
            samples.add(&[if yes { 30.0 } else { 10.0 } + (i % 7) as f32, (i % 11) as f32], yes);
        }
        let linear = Linear::train(&samples, 1e-3).unwrap();
        let wrong = (0..1000).filter(|i| (linear.says(samples.case(*i)) > 0.5) != samples.answers[*i]).count();
        assert_eq!(wrong, 0, "{linear:?}");
    }
}
