//! From guesses whose truth is known to thresholds: how sure must a guess be to be right so often?

use crate::network::kit::{BUCKETS, Bucket, Calibration, LEVELS, Mark, Threshold};

/// Guesses that must pass a threshold before it is believed.
const LEAST: usize = 20;

/// A guess, and whether it was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// It is the token that the whole model finds best.
    pub right: bool,
    /// Entropy of its distribution, in nats.
    pub entropy: f32,
    /// The largest probability less the second largest.
    pub confidence: f32,
}

impl Guess {
    /// The guess that logits make, and whether it is the token that is wanted.
    pub fn of(logits: impl Iterator<Item = f32> + Clone, wanted: u32) -> Self {
        let (mut best, mut first, mut second) = (0u32, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (token, logit) in (0..).zip(logits.clone()) {
            if logit > first {
                (best, second, first) = (token, first, logit);
            } else if logit > second {
                second = logit;
            }
        }
        let (mut sum, mut weighed) = (0.0f64, 0.0f64);
        for logit in logits {
            let below = f64::from(logit - first);
            sum += below.exp();
            weighed += below * below.exp();
        }
        let entropy = (sum.ln() - weighed / sum).max(0.0) as f32;
        let confidence = ((1.0 - f64::from(second - first).exp()) / sum) as f32;
        Self { right: best == wanted, entropy, confidence }
    }
}

/// What guesses say of the part that made them.
pub fn calibrate(guesses: &[Guess]) -> Calibration {
    let mut buckets = vec![Bucket::default(); BUCKETS];
    for guess in guesses {
        let bucket = &mut buckets[((guess.confidence * BUCKETS as f32) as usize).min(BUCKETS - 1)];
        bucket.tokens += 1;
        bucket.agreed += u64::from(guess.right);
    }
    let entropies: Vec<(f32, bool)> = guesses.iter().map(|guess| (guess.entropy, guess.right)).collect();
    // Confidence is the other way round.
    let doubts: Vec<(f32, bool)> = guesses.iter().map(|guess| (-guess.confidence, guess.right)).collect();
    let agreed = guesses.iter().filter(|guess| guess.right).count();
    let believed = |guesses: &[(f32, bool)], agreement: f64| {
        let enough = |mark: &Mark| mark.coverage.is_some_and(|share| share * guesses.len() as f32 >= LEAST as f32);
        most_coverage(guesses, agreement).filter(enough)
    };
    let threshold = |agreement: f64| Threshold {
        agreement,
        entropy: believed(&entropies, agreement),
        confidence: believed(&doubts, agreement).map(|mark| Mark { at: -mark.at, ..mark }),
    };
    Calibration {
        tokens: guesses.len() as u64,
        agreement: (!guesses.is_empty()).then(|| agreed as f64 / guesses.len() as f64),
        buckets,
        thresholds: LEVELS.map(threshold).to_vec(),
    }
}

/// The greatest threshold such that, of all guesses whose measure is below it, at least that share is right; none where even
/// the surest are not.
pub fn most_coverage(guesses: &[(f32, bool)], agreement: f64) -> Option<Mark> {
    let mut sorted = guesses.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut right, mut found) = (0usize, None);
    for (index, (measure, is_right)) in sorted.iter().enumerate() {
        right += usize::from(*is_right);
        // Guesses of the same measure pass together.
        let last = sorted.get(index + 1).is_none_or(|(next, _)| next > measure);
        if last && right as f64 >= agreement * (index + 1) as f64 {
            let coverage = Some((index + 1) as f32 / sorted.len() as f32);
            found = Some(Mark { at: measure.next_up(), coverage });
        }
    }
    found
}

/// Learn-then-test: the last of thresholds, from the safest on, at which the mean loss is at most `most` with probability
/// `1 - risk`, whatever the distribution; `None` where not even the first is. `losses` holds those of each threshold, between
/// 0 and 1, on the same independent samples.
///
/// A threshold is tested by Hoeffding's bound, and only after all safer ones have passed: so many tests in a row need no
/// correction.
pub fn learn_then_test(losses: &[Vec<f64>], most: f64, risk: f64) -> Option<usize> {
    let passes = |losses: &&Vec<f64>| {
        let n = losses.len().max(1) as f64;
        let mean = losses.iter().sum::<f64>() / n;
        (-2.0 * n * (most - mean).max(0.0).powi(2)).exp() <= risk
    };
    losses.iter().take_while(passes).count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_what_its_logits_say() {
        let logits = [1.0f32, 3.0, 2.0];
        let guess = Guess::of(logits.iter().copied(), 1);
        let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        let p: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp() / sum).collect();
        let entropy: f64 = -p.iter().map(|p| p * p.ln()).sum::<f64>();
        assert!(guess.right && (f64::from(guess.entropy) - entropy).abs() < 1e-6, "{guess:?}");
        assert!((f64::from(guess.confidence) - (p[1] - p[2])).abs() < 1e-6, "{guess:?}");
        // Of equals the first is the guess, and it is not sure at all.
        let equal = Guess::of([2.0f32, 2.0].into_iter(), 0);
        assert!(equal.right && equal.confidence == 0.0 && (equal.entropy - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_threshold_lets_as_many_pass_as_can() {
        // Right, right, wrong, right: two thirds after the third, three quarters after the fourth.
        let guesses = [(0.4, true), (0.1, true), (0.3, false), (0.2, true)];
        let mark = |agreement| most_coverage(&guesses, agreement).map(|mark| (mark.at, mark.coverage));
        assert_eq!(mark(0.75), Some((0.4f32.next_up(), Some(1.0))));
        assert_eq!(mark(0.8), Some((0.2f32.next_up(), Some(0.5))));
        assert_eq!(most_coverage(&[(0.1, false), (0.2, true)], 0.9), None);
        // What cannot be told apart passes together or not at all.
        assert_eq!(most_coverage(&[(0.1, true), (0.1, false)], 0.9), None);
    }

    #[test]
    fn thresholds_hold_for_the_guesses_they_were_made_from() {
        let guess = |i: usize| {
            let confidence = ((i * 37) % 100) as f32 / 100.0;
            Guess {
                right: (i * 7919) % 100 < (confidence * 100.0) as usize,
                entropy: 5.0 * (1.0 - confidence),
                confidence,
            }
        };
        let guesses: Vec<Guess> = (0..1000).map(guess).collect();
        let made = calibrate(&guesses);
        assert_eq!(made.buckets.iter().map(|bucket| bucket.tokens).sum::<u64>(), 1000);
        for Threshold { agreement, entropy, confidence } in made.thresholds {
            for (mark, passes) in [
                (entropy, Box::new(move |g: &Guess, at: f32| g.entropy < at) as Box<dyn Fn(&Guess, f32) -> bool>),
                (confidence, Box::new(move |g: &Guess, at: f32| g.confidence > at)),
            ] {
                let Some(Mark { at, coverage }) = mark else { continue };
                let passed: Vec<&Guess> = guesses.iter().filter(|guess| passes(guess, at)).collect();
                let right = passed.iter().filter(|guess| guess.right).count();
                assert!(right as f64 >= agreement * passed.len() as f64, "{agreement}: {right} of {}", passed.len());
                assert_eq!(coverage, Some(passed.len() as f32 / 1000.0));
            }
        }
    }

    #[test]
    fn what_is_tested_holds_with_the_risk_that_was_taken() {
        // 200 samples, 5 % lost: by Hoeffding exp(-400 * 0.05^2) = 0.37 is not below 0.05, exp(-400 * 0.1^2) = 0.018 is.
        let losses = |share: usize| -> Vec<f64> { (0..200).map(|i| f64::from(u8::from(i % 100 < share))).collect() };
        assert_eq!(learn_then_test(&[losses(5)], 0.10, 0.05), None);
        assert_eq!(learn_then_test(&[losses(5)], 0.15, 0.05), Some(0));
        // The first that fails ends it, even where a later one would pass.
        assert_eq!(learn_then_test(&[losses(0), losses(5), losses(14), losses(1)], 0.15, 0.05), Some(1));
        assert_eq!(learn_then_test(&[], 0.1, 0.05), None);
    }
}
