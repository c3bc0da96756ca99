//! FREE's threshold, fitted to how sure first layers were where all layers agreed with them, and where not.
//!
//! Two Beta distributions over confidences, one of guesses that were wrong and one of those that were right; the threshold is the
//! point of a grid behind which the right ones prevail. Follows what the method's authors released, where labels are hard.

/// Confidences are kept so far from 0 and 1; a guess of the other class has so much weight.
const FLOOR: f64 = 1e-4;
/// A point of the grid passes where the surer class has more than this share.
const SHARE: f64 = 0.4;
/// Points at which both distributions are compared, and thresholds that can be.
const POINTS: usize = 10;
/// No fit where a variance is less.
const LEAST_VARIANCE: f64 = 1e-12;

/// A Beta distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// First parameter, positive.
    pub alpha: f64,
    /// Second parameter, positive.
    pub beta: f64,
}

/// What was fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Of guesses that were wrong.
    pub wrong: Beta,
    /// Of guesses that were right.
    pub right: Beta,
}

impl Beta {
    fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// Natural logarithm of the density.
    fn log_density(self, x: f64) -> f64 {
        let Self { alpha, beta } = self;
        let scale = log_gamma(alpha + beta) - log_gamma(alpha) - log_gamma(beta);
        scale + (alpha - 1.0) * x.ln() + (beta - 1.0) * (-x).ln_1p()
    }

    /// By the moments of those confidences that are of its class, all others with next to no weight.
    fn of(history: &[(f32, bool)], right: bool) -> Option<Self> {
        let weight = |own: bool| if own == right { 1.0 / (1.0 + FLOOR) } else { FLOOR / (1.0 + FLOOR) };
        let value = |confidence: f32| f64::from(confidence).clamp(FLOOR, 1.0 - FLOOR);
        let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
            history.iter().map(|(confidence, own)| weight(*own) * of(value(*confidence))).sum()
        };
        let all = sum(&|_| 1.0);
        let mean = sum(&|x| x) / all;
        let variance = sum(&|x| (x - mean).powi(2)) / all;
        if variance < LEAST_VARIANCE {
            return None;
        }
        let alpha = mean * (mean * (1.0 - mean) / variance - 1.0);
        let beta = alpha * (1.0 - mean) / mean;
        (alpha > 0.0 && beta > 0.0).then_some(Self { alpha, beta })
    }
}

impl Fit {
    /// Of confidences, each with whether its guess was right; none where there are only right or only wrong ones, or they do not
    /// differ enough for a distribution.
    pub fn of(history: &[(f32, bool)]) -> Option<Self> {
        if history.iter().all(|one| one.1) || history.iter().all(|one| !one.1) {
            return None;
        }
        Some(Self { wrong: Beta::of(history, false)?, right: Beta::of(history, true)? })
    }

    /// Share of the surer class at each point of the grid.
    pub fn shares(&self) -> [f64; POINTS] {
        let surer_is_right = self.right.mean() > self.wrong.mean();
        let (own, other) = if surer_is_right { (self.right, self.wrong) } else { (self.wrong, self.right) };
        std::array::from_fn(|i| 1.0 / (1.0 + (other.log_density(point(i)) - own.log_density(point(i))).exp()))
    }

    /// The threshold.
    pub fn threshold(&self) -> f64 {
        let passing = self.shares().iter().filter(|share| **share > SHARE).count();
        point((POINTS - passing).min(POINTS - 1))
    }
}

/// A point of the grid from 0.3 to 0.9.
fn point(i: usize) -> f64 {
    0.3 + 0.6 * i as f64 / (POINTS - 1) as f64
}

/// Natural logarithm of the gamma function of a positive number, by Stirling's series from 10 on.
fn log_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0f64);
    let mut lifted = 0.0;
    while x < 10.0 {
        product *= x;
        x += 1.0;
        if product > 1e200 {
            lifted += product.ln();
            product = 1.0;
        }
    }
    let square = 1.0 / (x * x);
    let terms = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    let series = terms.iter().rev().fold(0.0, |sum, term| sum * square + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln() - lifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_gamma_is_that_of_factorials() {
        let mut factorial = 0.0;
        for n in 1..40 {
            assert!((log_gamma(f64::from(n)) - factorial).abs() < 1e-12 * (1.0 + factorial), "{n}");
            factorial += f64::from(n).ln();
        }
        let half = std::f64::consts::PI.sqrt().ln();
        assert!((log_gamma(0.5) - half).abs() < 1e-13);
        assert!((log_gamma(1e-4) - 9.210_282_658_633_96).abs() < 1e-11);
    }

    #[test]
    fn nothing_is_fitted_to_one_class_or_one_number() {
        assert_eq!(Fit::of(&[]), None);
        assert_eq!(Fit::of(&[(0.2, true), (0.6, true)]), None);
        assert_eq!(Fit::of(&[(0.5, true), (0.5, false)]), None);
        assert!(Fit::of(&[(0.8, true), (0.9, true), (0.2, false), (0.3, false)]).is_some());
    }
}
