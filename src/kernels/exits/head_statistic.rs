//! A gate by a statistic of the tokens' probabilities: how far the most probable one is ahead, how probable it is, the entropy.
//!
//! Shader: `shaders/exits/head_statistic.wgsl`.

use crate::depth::policy::Rule;
use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct HeadStatistic<'a> {
    /// `[places, stride]`; not read for rows that have run no round
    pub logits: &'a Buffer,
    /// `[rounds]`: minus the thresholds
    pub bias: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]`: rounds
    pub granted: &'a Buffer,
    /// Which statistic.
    pub statistic: Statistic,
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
    /// Number of tokens.
    pub vocabulary: u32,
    /// Numbers per row of logits.
    pub stride: u32,
    /// Scores kept per row.
    pub rounds: u32,
    /// Rounds to run whatever the score, or [`NOT_FORCED`](super::scorer::NOT_FORCED).
    pub forced: u32,
}
}

/// What is made of a row's logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The largest probability less the second largest.
    TopTwoGap,
    /// The largest.
    Largest,
    /// Entropy in nats.
    Entropy,
}

impl Statistic {
    /// Every statistic.
    pub const ALL: [Self; 3] = [Self::TopTwoGap, Self::Largest, Self::Entropy];

    /// What measures it, in WGSL.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TopTwoGap => include_str!("../../../shaders/lib/statistic_gap.wgsl"),
            Self::Largest => include_str!("../../../shaders/lib/statistic_largest.wgsl"),
            Self::Entropy => include_str!("../../../shaders/lib/statistic_entropy.wgsl"),
        }
    }
}

/// The text of a statistic with a rule of one's own.
pub fn source(statistic: Statistic, rule: &'static str) -> Source {
    let own = include_str!("../../../shaders/exits/head_statistic.wgsl");
    let parts = vec![own, statistic.text(), crate::kernels::DRAW, crate::kernels::FOLD, crate::kernels::DECIDE, rule];
    Source { parts, constants: vec![] }
}

impl Kernel for HeadStatistic<'_> {
    const NAME: &'static str = "head_statistic";
    type Params = Params;

    fn foreign(&self) -> bool {
        !Rule::is_ours(self.rule)
    }

    fn source(&self) -> Source {
        source(self.statistic, self.rule)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.logits.read(), self.bias.read(), self.list.read(), self.scores.write(), self.granted.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }
}

/// CPU twin: the score of one row.
pub fn cpu(statistic: Statistic, logits: &[f32]) -> f32 {
    let best = (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
    let top = f64::from(logits[best]);
    let exponential = |i: usize| (f64::from(logits[i]) - top).exp();
    let sum = (0..logits.len()).map(exponential).sum::<f64>();
    let score = match statistic {
        Statistic::TopTwoGap => {
            let second = (0..logits.len()).filter(|i| *i != best).map(exponential).fold(0.0, f64::max);
            (1.0 - second) / sum
        }
        Statistic::Largest => 1.0 / sum,
        Statistic::Entropy => {
            let below: f64 = (0..logits.len()).map(|i| (f64::from(logits[i]) - top) * exponential(i)).sum();
            sum.ln() - below / sum
        }
    };
    score as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::policy::Rule;
    use crate::kernels::Granted;
    use crate::kernels::check::{Device, assert_close};
    use crate::kernels::exits::scorer::NOT_FORCED;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        let mut close = 0;
        let shapes = [(2u32, NOT_FORCED), (255, NOT_FORCED), (256, 2), (4099, NOT_FORCED)];
        for ((vocabulary, forced), statistic) in
            shapes.into_iter().flat_map(|shape| Statistic::ALL.map(|statistic| (shape, statistic)))
        {
            let (n_rows, rounds) = (9u32, 3u32);
            let logits: Vec<f32> = device.rows(n_rows, vocabulary, 71).values.iter().map(|x| x * 6.0).collect();
            // The last row is the first of the list; it holds a tie.
            let mut logits = logits;
            logits[1] = logits[0].max(50.0);
            logits[0] = logits[1];
            let list: Vec<u32> = std::iter::once(n_rows).chain((0..n_rows).rev()).collect();
            let before: Vec<u32> = (0..n_rows).map(|row| row % 4).collect();
            let bias = [-0.5f32, -0.3, -0.05];
            let (scores, granted) = (
                device.poisoned(n_rows * rounds),
                device.upload(&before.iter().map(|&rounds| Granted { rounds, forced: 0 }).collect::<Vec<_>>()),
            );
            device.run(&HeadStatistic {
                logits: &device.upload(&logits),
                bias: &device.upload(&bias),
                list: &device.upload(&list),
                scores: &scores,
                granted: &granted,
                statistic,
                rule: Rule::AtMost.text(),
                n_rows,
                params: Params { vocabulary, stride: vocabulary, rounds, forced },
            });
            let (scores, granted) = (device.floats(&scores), device.all::<Granted>(&granted));
            for place in 0..n_rows {
                let (row, round) = (n_rows - 1 - place, before[(n_rows - 1 - place) as usize]);
                let kept = &scores[(row * rounds) as usize..][..rounds as usize];
                if round >= rounds {
                    assert_eq!((granted[row as usize].rounds, kept), (round, &[9.0; 3][..]), "row {row} has run all");
                    continue;
                }
                let own = &logits[(place * vocabulary) as usize..][..vocabulary as usize];
                let want = if round == 0 { 0.0 } else { cpu(statistic, own) };
                assert_close("statistic", &kept[round as usize..][..1], &[want], 2e-6);
                let threshold = -bias[round as usize];
                close += u32::from((want - threshold).abs() < 1e-5);
                let goes = round == 0 || want <= threshold;
                let open = if forced == NOT_FORCED { goes } else { round < forced };
                assert_eq!(
                    granted[row as usize].rounds,
                    round + u32::from(open),
                    "row {row} of {vocabulary} tokens: {want}"
                );
            }
        }
        assert_eq!(close, 0, "decisions too close to judge");
    }

    #[test]
    fn statistics_of_what_is_known() {
        assert!((cpu(Statistic::Entropy, &[2.0; 8]) - 8.0f32.ln()).abs() < 1e-6);
        assert!((cpu(Statistic::Largest, &[2.0; 8]) - 0.125).abs() < 1e-7);
        assert_eq!(cpu(Statistic::TopTwoGap, &[1.0, 3.0, 3.0]), 0.0);
        assert!((cpu(Statistic::TopTwoGap, &[0.0, 0.0, 90.0]) - 1.0).abs() < 1e-7);
    }
}
