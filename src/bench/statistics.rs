//! Repetitions in figures: mean and spread, and what looks wrong with them.

use crate::depth::median;

/// Mean and sample standard deviation.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// Places of values that lie far from the median: by more than a tenth of it, and by more than 5 standard deviations as the
/// median distance from it tells them (1.4826 makes the two alike where values are normal).
pub fn outliers(values: &[f64]) -> Vec<usize> {
    let middle = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let usual = 5.0 * 1.4826 * median(&distances);
    let far = |distance: f64| distance > usual && distance > 0.1 * middle.abs();
    (0..values.len()).filter(|&at| values.len() > 2 && far(distances[at])).collect()
}

/// What is wrong with the seconds that repetitions took, and what to try.
pub fn warnings(seconds: &[f64]) -> Vec<String> {
    let (mean, deviation) = spread(seconds);
    let far = outliers(seconds);
    let times = |at: usize| format!("{:.2} times the median", seconds[at] / median(seconds));
    let mut found = vec![];
    if far == [0] && seconds[0] > median(seconds) {
        found.push(format!(
            "the first repetition took {}: the device may not have been at its speed; try more repetitions",
            times(0)
        ));
    } else if !far.is_empty() {
        let each: Vec<String> = far.iter().map(|&at| format!("repetition {} took {}", at + 1, times(at))).collect();
        let why = "something else may have used the machine; close other programs, or try more repetitions";
        found.push(format!("{}: {why}", each.join(", ")));
    } else if deviation > 0.1 * mean {
        let share = 100.0 * deviation / mean;
        found.push(format!(
            "times spread by {share:.0} % of their mean: close other programs, fix clocks and power, or measure longer"
        ));
    }
    if median(seconds) < 0.01 {
        let most = 1000.0 * median(seconds);
        found.push(format!("a repetition took {most:.1} ms: too short to tell; try more tokens"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_deviation_and_median() {
        assert_eq!(spread(&[1.0, 2.0, 3.0]), (2.0, 1.0));
        assert_eq!(spread(&[4.0]), (4.0, 0.0));
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn only_what_is_far_by_both_measures_is_an_outlier() {
        let check = |values: &[f64], want: &[usize]| assert_eq!(outliers(values), want, "{values:?}");
        check(&[1.0, 1.01, 0.99, 1.0, 2.0], &[4]);
        check(&[3.0, 1.01, 0.99, 1.0, 1.02], &[0]);
        // Far by deviations, near by size.
        check(&[1.0, 1.0, 1.0, 1.0, 1.05], &[]);
        // Far by size, as all are.
        check(&[1.0, 2.0, 3.0, 4.0, 5.0], &[]);
        check(&[1.0, 9.0], &[]);
        check(&[], &[]);
    }

    #[test]
    fn warnings_say_what_to_try() {
        let check = |seconds: &[f64], words: &[&str]| {
            let found = warnings(seconds);
            assert_eq!(found.len(), words.len(), "{found:?}");
            for (found, word) in found.iter().zip(words) {
                assert!(found.contains(word), "{found}");
            }
        };
        check(&[1.0, 1.01, 0.99, 1.0, 1.02], &[]);
        check(&[2.0, 1.01, 0.99, 1.0, 1.02], &["first repetition took 1.98 times"]);
        check(&[1.0, 1.01, 0.99, 1.5, 1.0], &["repetition 4 took 1.50 times the median"]);
        check(&[1.0, 2.0, 3.0, 2.0, 1.5], &["spread by"]);
        check(&[0.001, 0.001, 0.001], &["too short"]);
    }
}
