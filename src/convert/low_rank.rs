//! The best low-rank approximation of a matrix, by its singular values.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::ModelError;

/// The two matrices of an adapter, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// A, `[rank, in]`: right singular vectors.
    pub a: Vec<f32>,
    /// B, `[out, rank]`: left singular vectors times singular values.
    pub b: Vec<f32>,
}

/// A and B with `B A` the nearest matrix of that rank to `matrix` `[out, in]`; in double precision. The rank must be at
/// most the smaller side. `name` is for the message where the numbers have no decomposition.
///
/// The singular vectors of the smaller side are the eigenvectors of M Mᵀ or Mᵀ M; those of the other side follow by a
/// product with M. An orthogonal basis of the whole smaller side loses nothing, so full rank is exact however small the
/// smallest singular value is.
pub fn factors(name: &str, matrix: &[f32], out: usize, input: usize, rank: usize) -> Result<Factors, ModelError> {
    let matrix = DMatrix::<f64>::from_fn(out, input, |row, column| f64::from(matrix[row * input + column]));
    let wide = out < input;
    let square = if wide { &matrix * matrix.transpose() } else { matrix.tr_mul(&matrix) };
    // Each step of the iteration settles about half an eigenvalue.
    let side = out.min(input);
    let eigen = SymmetricEigen::try_new(square, f64::EPSILON, 100 * side).ok_or_else(|| ModelError::Config {
        why: format!("the singular values of what `{name}` lost cannot be found; are all its numbers finite?"),
    })?;
    let mut order: Vec<usize> = (0..side).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let (mut a, mut b) = (vec![0.0; rank * input], vec![0.0; out * rank]);
    for (r, index) in order.into_iter().take(rank).enumerate() {
        let own = eigen.eigenvectors.column(index);
        let other = if wide { matrix.tr_mul(&own) } else { &matrix * own };
        let sigma = other.norm();
        // u sigma and v, whichever of them was found first.
        let unit = |value: f64| if sigma > 0.0 { value / sigma } else { 0.0 };
        for row in 0..out {
            b[row * rank + r] = (if wide { own[row] * sigma } else { other[row] }) as f32;
        }
        for column in 0..input {
            a[r * input + column] = (if wide { unit(other[column]) } else { own[column] }) as f32;
        }
    }
    Ok(Factors { a, b })
}

/// Adds `scale * B A` to a matrix `[out, in]`.
pub fn add(matrix: &mut [f32], input: usize, factors: &Factors, rank: usize, scale: f32) {
    for (row, b) in matrix.chunks_exact_mut(input).zip(factors.b.chunks_exact(rank.max(1))) {
        let mut sum = vec![0.0f64; input];
        for (b, a) in b.iter().zip(factors.a.chunks_exact(input)) {
            sum.iter_mut().zip(a).for_each(|(sum, a)| *sum += f64::from(*b) * f64::from(*a));
        }
        row.iter_mut().zip(sum).for_each(|(value, sum)| *value = (f64::from(*value) + f64::from(scale) * sum) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a matrix when its approximation is taken away: largest element, and sum of squares.
    fn left(matrix: &[f32], out: usize, input: usize, rank: usize) -> (f32, f64) {
        let factors = factors("m", matrix, out, input, rank).unwrap();
        assert_eq!((factors.a.len(), factors.b.len()), (rank * input, out * rank));
        let mut rest = matrix.to_vec();
        add(&mut rest, input, &factors, rank, -1.0);
        (rest.iter().fold(0.0, |a, x| a.max(x.abs())), rest.iter().map(|x| f64::from(*x).powi(2)).sum())
    }

    #[test]
    fn full_rank_is_exact_and_less_is_worse() {
        for (out, input) in [(5, 9), (9, 5), (16, 16)] {
            let matrix: Vec<f32> =
                (0..out * input).map(|i| ((i * i * 37 + 11 * i) % 101) as f32 / 50.0 - 1.0).collect();
            let full = out.min(input);
            assert!(left(&matrix, out, input, full).0 < 1e-5);
            let squares: Vec<f64> = (1..full).map(|rank| left(&matrix, out, input, rank).1).collect();
            assert!(squares.windows(2).all(|pair| pair[1] < pair[0]), "{squares:?}");
        }
    }

    #[test]
    fn the_largest_direction_comes_first() {
        // diag(3, 5): of rank 1 only the 5 remains.
        let factors = factors("m", &[3.0, 0.0, 0.0, 5.0], 2, 2, 1).unwrap();
        let mut got = [0.0; 4];
        add(&mut got, 2, &factors, 1, 1.0);
        got.iter().zip([0.0, 0.0, 0.0, 5.0]).for_each(|(got, want)| assert!((got - want).abs() < 1e-6, "{got:?}"));
    }

    #[test]
    fn nothing_lost_needs_nothing() {
        assert_eq!(left(&[0.0; 12], 3, 4, 2).0, 0.0);
    }
}
