//! Rotary embeddings: which pairs of a head turn, and how far with each position.

use crate::error::{ModelError, refuse};

/// A rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Frequency `i` is `base^(-2i / turned)` before it is scaled.
    pub base: f32,
    /// What becomes of the frequencies.
    pub scaling: RopeScaling,
    /// First numbers of a head that turn, even; the others stay.
    pub turned: u32,
    /// Which numbers of a head turn together.
    pub pairs: Pairs,
}

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Number `i` of the first half with number `i` of the second.
    Halves,
    /// Numbers `2i` and `2i + 1`.
    Neighbours,
}

/// Frequencies other than `base^(-2i / turned)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// None.
    #[default]
    None,
    /// All are divided by the factor.
    Linear {
        /// At least 1.
        factor: f32,
    },
    /// Slow ones are divided by the factor, fast ones stay, those between are blended (Llama 3.1).
    Llama3 {
        /// At least 1.
        factor: f32,
        /// Turns within the original context below which a frequency counts as slow.
        low: f32,
        /// Turns above which it counts as fast.
        high: f32,
        /// Context of the first training.
        original: u32,
    },
    /// Each is divided by a number of its own, `[turned / 2]`.
    Factors(Vec<f32>),
}

impl Rotary {
    /// Radians per position of each pair, `[turned / 2]`.
    pub fn frequencies(&self) -> Vec<f32> {
        let plain = |i: u32| 1.0 / f64::from(self.base).powf(f64::from(2 * i) / f64::from(self.turned));
        (0..self.turned / 2).map(|i| self.scaling.apply(i as usize, plain(i)) as f32).collect()
    }
}

impl RopeScaling {
    /// Checks the numbers for heads of which `turned` numbers turn.
    ///
    /// # Errors
    /// [`ModelError::Config`] with field, value and range.
    pub(crate) fn check(&self, turned: u32) -> Result<(), ModelError> {
        let at_least_1 = |factor: f32| factor.is_finite() && factor >= 1.0;
        match self {
            Self::None => Ok(()),
            Self::Linear { factor } | Self::Llama3 { factor, .. } if !at_least_1(*factor) => {
                Err(refuse(format!("`rope_scaling.factor` is {factor}; it must be a finite number of at least 1")))
            }
            Self::Linear { .. } => Ok(()),
            Self::Llama3 { low, high, .. } if !(*low > 0.0 && low < high && high.is_finite()) => Err(refuse(format!(
                "`rope_scaling` has `low_freq_factor` {low} and `high_freq_factor` {high}; they must be finite, above 0, \
                 and the second above the first"
            ))),
            Self::Llama3 { original: 0, .. } => {
                Err(refuse("`rope_scaling.original_max_position_embeddings` is 0; it must be at least 1"))
            }
            Self::Llama3 { .. } => Ok(()),
            Self::Factors(factors) => {
                let wrong = factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0));
                match wrong {
                    Some(factor) => {
                        Err(refuse(format!("the rotary embedding's factors hold {factor}; they must be above 0")))
                    }
                    None if factors.len() != turned as usize / 2 => Err(refuse(format!(
                        "there are {} factors of the rotary embedding; there must be {}, half of `head_dim`",
                        factors.len(),
                        turned / 2
                    ))),
                    None => Ok(()),
                }
            }
        }
    }

    /// The frequency of pair `index` with this scaling.
    fn apply(&self, index: usize, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / f64::from(*factor),
            Self::Factors(factors) => frequency / f64::from(factors.get(index).copied().unwrap_or(1.0)),
            Self::Llama3 { factor, low, high, original } => {
                let (low, high) = (f64::from(*low), f64::from(*high));
                let turns = f64::from(*original) * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / f64::from(*factor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_keeps_fast_frequencies_and_stretches_slow_ones() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
        let turns = |n: f64| n * std::f64::consts::TAU / 8192.0;
        assert_eq!(scaling.apply(0, turns(4.5)), turns(4.5));
        assert_eq!(scaling.apply(0, turns(0.9)), turns(0.9) / 8.0);
        let middle = scaling.apply(0, turns(2.5)) / turns(2.5);
        assert!((middle - (0.5 + 0.5 / 8.0)).abs() < 1e-12, "{middle}");
        assert_eq!(RopeScaling::Factors(vec![1.0, 4.0]).apply(1, 2.0), 0.5);
        assert_eq!(RopeScaling::Linear { factor: 4.0 }.apply(1, 2.0), 0.5);
    }
}
