//! Ridge regression in closed form: sums of products as rows come, a Cholesky decomposition at the end.
//!
//! **Invariant:** how large a feature's numbers are does not change what is found: each is held back by its own spread.

use nalgebra::{Cholesky, DMatrix};

use crate::error::RequestError;

/// Rows that are multiplied at once.
const ROWS: usize = 512;

/// The sums so far. A feature that is always 1 stands last.
pub struct Ridge {
    inputs: usize,
    outputs: usize,
    rows: usize,
    /// `[rows, inputs + 1]` and `[rows, outputs]` that are not yet in the sums.
    waiting: (Vec<f64>, Vec<f64>),
    /// Sums of products of features with each other.
    features: DMatrix<f64>,
    /// Sums of products of features with targets, `[inputs + 1, outputs]`.
    targets: DMatrix<f64>,
}

/// `target = weight input + bias`.
pub struct Solved {
    /// `[outputs, inputs]`
    pub weight: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
}

impl Ridge {
    /// Nothing summed up.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            rows: 0,
            waiting: (vec![], vec![]),
            features: DMatrix::zeros(inputs + 1, inputs + 1),
            targets: DMatrix::zeros(inputs + 1, outputs),
        }
    }

    /// Takes in a row.
    pub fn add(&mut self, input: &[f32], target: &[f32]) {
        let (features, targets) = &mut self.waiting;
        features.extend(input.iter().map(|x| f64::from(*x)));
        features.push(1.0);
        targets.extend(target.iter().map(|x| f64::from(*x)));
        self.rows += 1;
        if targets.len() >= ROWS * self.outputs {
            self.sum_up();
        }
    }

    fn sum_up(&mut self) {
        let (features, targets) = std::mem::take(&mut self.waiting);
        let rows = targets.len() / self.outputs.max(1);
        if rows == 0 {
            return;
        }
        // A row of features is a column here.
        let features = DMatrix::from_vec(self.inputs + 1, rows, features);
        let targets = DMatrix::from_vec(self.outputs, rows, targets).transpose();
        self.features.gemm(1.0, &features, &features.transpose(), 1.0);
        self.targets.gemm(1.0, &features, &targets, 1.0);
    }

    /// For each feature one over the root of its mean square; 1 where it is always 0.
    pub fn scales(&mut self) -> Vec<f32> {
        self.sum_up();
        let scale = |feature: usize| {
            let square = self.features[(feature, feature)] / self.rows.max(1) as f64;
            if square > 1e-24 { (1.0 / square.sqrt()) as f32 } else { 1.0 }
        };
        (0..self.inputs).map(scale).collect()
    }

    /// The weights with the least sum of squares, of errors and, `strength` times, of what the weights make of each feature's
    /// spread.
    ///
    /// # Errors
    /// Where rounding leaves no solution.
    pub fn solve(mut self, strength: f64) -> Result<Solved, RequestError> {
        self.sum_up();
        let (n, rows) = (self.inputs, self.rows.max(1) as f64);
        let spread = |feature: usize| {
            let sum = self.features[(feature, n)];
            (self.features[(feature, feature)] - sum * sum / rows).max(0.0)
        };
        let spreads: Vec<f64> = (0..n).map(spread).collect();
        // A feature that never changes, or hardly, must not make the equations singular.
        let least = 1e-9 * spreads.iter().sum::<f64>() / n.max(1) as f64 + f64::MIN_POSITIVE;
        for (feature, spread) in spreads.iter().enumerate() {
            self.features[(feature, feature)] += strength * spread + least;
        }
        self.features[(n, n)] += 1e-9;
        let unsolved = || RequestError::Setting {
            name: "ridge",
            value: strength.to_string(),
            range: "larger: with so little text the equations have no single solution".into(),
        };
        let solution = Cholesky::new(self.features).ok_or_else(unsolved)?.solve(&self.targets);
        // `[inputs + 1, outputs]`, column by column: the numbers of one output stand side by side.
        let (mut weight, mut bias) = (Vec::with_capacity(n * self.outputs), Vec::with_capacity(self.outputs));
        for column in solution.column_iter() {
            weight.extend(column.iter().take(n).map(|x| *x as f32));
            bias.push(column[n] as f32);
        }
        if weight.iter().chain(&bias).any(|x| !x.is_finite()) {
            return Err(unsolved());
        }
        Ok(Solved { weight, bias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern that a linear map could use.
    fn noise(i: usize) -> f32 {
        ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0
    }

    #[test]
    fn a_linear_map_is_found_whatever_the_size_of_its_features() {
        let (inputs, outputs) = (5, 3);
        let truth = |o: usize, i: usize| (o * inputs + i) as f32 / 7.0 - 0.9;
        let size = [1.0, 1000.0, 0.001, 1.0, 0.0];
        let mut ridge = Ridge::new(inputs, outputs);
        for row in 0..1300 {
            let input: Vec<f32> = (0..inputs).map(|i| (noise(row * 31 + i * 17 + i * i) + 0.5) * size[i]).collect();
            let target: Vec<f32> =
                (0..outputs).map(|o| 2.0 + (0..inputs).map(|i| truth(o, i) * input[i]).sum::<f32>()).collect();
            ridge.add(&input, &target);
        }
        let scales = ridge.scales();
        assert!(scales[1] < 0.01 && scales[2] > 100.0 && scales[4] == 1.0, "{scales:?}");
        let Solved { weight, bias } = ridge.solve(1e-9).unwrap();
        for o in 0..outputs {
            assert!((bias[o] - 2.0).abs() < 1e-2, "{bias:?}");
            for i in (0..inputs).filter(|i| size[*i] > 0.0) {
                let (got, want) = (weight[o * inputs + i], truth(o, i));
                assert!((got - want).abs() * size[i] < 1e-2, "weight {o} {i}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn a_strong_ridge_leaves_the_mean() {
        let mut ridge = Ridge::new(1, 1);
        for row in 0..100 {
            let x = noise(row);
            ridge.add(&[x], &[3.0 * x + 5.0]);
        }
        let Solved { weight, bias } = ridge.solve(1e9).unwrap();
        let mean = (0..100).map(|row| 3.0 * noise(row) + 5.0).sum::<f32>() / 100.0;
        assert!(weight[0].abs() < 1e-6 && (bias[0] - mean).abs() < 1e-4, "{weight:?} {bias:?} {mean}");
    }
}
