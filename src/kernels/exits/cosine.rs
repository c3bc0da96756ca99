//! A gate by the cosine between a row's stream and what it was a round before.
//!
//! Shader: `shaders/exits/cosine.wgsl`.

use crate::depth::policy::Rule;
use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Cosine<'a> {
    /// `[rows, width]`
    pub stream: &'a Buffer,
    /// `[rounds]`: minus the thresholds
    pub bias: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows, width]`: the stream as it was at the measure before
    pub previous: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]`: rounds
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
    /// Vectors per row.
    pub width: u32,
    /// Scores kept per row.
    pub rounds: u32,
    /// Rounds to run whatever the score, or [`NOT_FORCED`](super::scorer::NOT_FORCED).
    pub forced: u32,
}
}

/// The text with a rule of one's own.
pub fn source(rule: &'static str) -> Source {
    let own = include_str!("../../../shaders/exits/cosine.wgsl");
    Source { parts: vec![own, crate::kernels::REDUCE, crate::kernels::DECIDE, rule], constants: vec![] }
}

impl Kernel for Cosine<'_> {
    const NAME: &'static str = "cosine";
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
            self.stream.read(),
            self.bias.read(),
            self.list.read(),
            self.previous.write(),
            self.scores.write(),
            self.granted.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(self.params.width / crate::kernels::SUBGROUP + 60)
    }
}

/// CPU twin: the score of one row.
pub fn cpu(stream: &[f32], previous: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let squares = dot(stream, stream) * dot(previous, previous);
    if squares > 0.0 { (dot(stream, previous) / squares.sqrt()) as f32 } else { 0.0 }
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
        for (width, forced) in [(32u32, NOT_FORCED), (96, 2), (288, NOT_FORCED), (576, NOT_FORCED)] {
            let (n_rows, rounds) = (23u32, 3u32);
            let mut stream = device.rows(n_rows, width, 81);
            stream.values[..width as usize].fill(0.0);
            let stream = device.again(stream);
            let mut previous = device.rows(n_rows, width, 82);
            // Every other row has hardly turned.
            for (i, (was, is)) in previous.values.iter_mut().zip(&stream.values).enumerate() {
                if i / width as usize % 2 == 1 {
                    *was = is + 0.2 * *was;
                }
            }
            let previous = device.again(previous);
            let (_, list, listed) = device.every_other(n_rows, 1);
            let before: Vec<u32> = (0..n_rows).map(|row| row / 2 % 4).collect();
            let bias = [-0.5f32, -0.3, -0.9];
            let (scores, granted) = (
                device.poisoned(n_rows * rounds),
                device.upload(&before.iter().map(|&rounds| Granted { rounds, forced: 0 }).collect::<Vec<_>>()),
            );
            device.run(&Cosine {
                stream: &stream.buffer,
                bias: &device.upload(&bias),
                list: &list,
                previous: &previous.buffer,
                scores: &scores,
                granted: &granted,
                rule: Rule::Below.text(),
                n_rows,
                params: Params { width: stream.stride / 4, rounds, forced },
            });
            let kept = device.floats(&previous.buffer);
            let (scores, granted) = (device.floats(&scores), device.all::<Granted>(&granted));
            for row in 0..n_rows {
                let round = before[row as usize];
                let own = &scores[(row * rounds) as usize..][..rounds as usize];
                let now = &kept[(row * stream.stride) as usize..][..width as usize];
                if round >= rounds || !listed.contains(&row) {
                    assert_eq!((granted[row as usize].rounds, own), (round, &[9.0; 3][..]), "row {row} is left alone");
                    assert_eq!(now, previous.row(row), "row {row} is left alone");
                    continue;
                }
                assert_eq!(now, stream.row(row), "row {row} is kept");
                let want = if round == 0 { 0.0 } else { cpu(stream.row(row), previous.row(row)) };
                assert_close("cosine", &own[round as usize..][..1], &[want], 2e-6);
                let threshold = -bias[round as usize];
                close += u32::from((want - threshold).abs() < 1e-5);
                let goes = round == 0 || want < threshold;
                let open = if forced == NOT_FORCED { goes } else { round < forced };
                assert_eq!(granted[row as usize].rounds, round + u32::from(open), "row {row} of {width}: {want}");
            }
        }
        assert_eq!(close, 0, "decisions too close to judge");
    }

    #[test]
    fn directions_are_compared_and_not_lengths() {
        assert_eq!([cpu(&[2.0, 0.0], &[7.0, 0.0]), cpu(&[0.0, 1.0], &[3.0, 0.0])], [1.0, 0.0]);
        assert_eq!(cpu(&[0.0, 0.0], &[3.0, 0.0]), 0.0);
    }
}
