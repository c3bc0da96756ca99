//! Whether rows that were measured go on or leave, by the rule of an exit mode.
//!
//! Shader: `shaders/exits/verdict.wgsl`.

use crate::depth::policy::Rule;
use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{GRANTED, LANE};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[rows]` of [`Row`](crate::kernels::Row)
    pub rows: &'a Buffer,
    /// `[lanes]` of [`Control`](crate::kernels::Control)
    pub control: &'a Buffer,
    /// `[context]`: what the threshold is multiplied by, by tokens decided before
    pub fade: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows]` of [`Granted`](crate::kernels::Granted)
    pub granted: &'a Buffer,
    /// By which a row goes on.
    pub rule: Rule,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Scores kept per row.
    pub rounds: u32,
    /// Rounds that the rows have run.
    pub depth: u32,
    /// Rounds that a row is granted in all which goes on.
    pub next: u32,
    /// Factors in `fade`.
    pub context: u32,
    /// What the score is compared with.
    pub threshold: f32,
}
}

/// The text with a rule.
pub fn source(rule: Rule) -> Source {
    let own = include_str!("../../../shaders/exits/verdict.wgsl");
    Source { parts: vec![own, LANE, GRANTED, rule.text()], constants: vec![] }
}

impl Kernel for Verdict<'_> {
    const NAME: &'static str = "verdict";
    type Params = Params;

    fn source(&self) -> Source {
        source(self.rule)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.scores.read(),
            self.rows.read(),
            self.control.read(),
            self.fade.read(),
            self.list.read(),
            self.granted.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows.div_ceil(64), 1, 1]
    }
}

/// CPU twin: whether a row goes on which stands so many tokens behind its prompt.
pub fn cpu(params: &Params, rule: Rule, score: f32, fade: &[f32], decided: u32) -> bool {
    let factor = fade[(decided as usize).min(fade.len() - 1)];
    rule.goes_on(score, score, params.threshold * factor, params.depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::{Control, Granted, Row};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        let (n_rows, lanes, context) = (90u32, 7u32, 64u32);
        let fade: Vec<f32> = (0..context).map(|t| 1.0 - 0.01 * t as f32).collect();
        let control: Vec<Control> = (0..lanes).map(|i| Control { begins: 3 * i, ..Control::default() }).collect();
        let rows: Vec<Row> =
            (0..n_rows).map(|i| Row { lane: i % lanes, position: i * 2 / 3, round: 0, kv_index: 0 }).collect();
        let scores = numbers((n_rows * 5) as usize, 31);
        let list: Vec<u32> = (0..n_rows).rev().step_by(2).collect();
        for (rule, depth, threshold) in [(Rule::Below, 2, 0.4), (Rule::AtLeast, 4, -0.2), (Rule::AtMost, 0, 0.1)] {
            let params = Params { rounds: 5, depth, next: depth + 3, context, threshold };
            let before = vec![Granted { rounds: depth, forced: 0 }; n_rows as usize];
            let granted = device.upload(&before);
            device.run(&Verdict {
                scores: &device.upload(&scores),
                rows: &device.upload(&rows),
                control: &device.upload(&control),
                fade: &device.upload(&fade),
                list: &device.upload(&[&[list.len() as u32], &list[..]].concat()),
                granted: &granted,
                rule,
                n_rows,
                params,
            });
            let got: Vec<Granted> = device.all(&granted);
            for row in 0..n_rows {
                let info = rows[row as usize];
                let decided = info.position.saturating_sub(control[info.lane as usize].begins);
                let goes = cpu(&params, rule, scores[(row * 5 + depth) as usize], &fade, decided);
                let want = depth + 3 * u32::from(list.contains(&row) && goes);
                assert_eq!(got[row as usize], Granted { rounds: want, forced: 0 }, "row {row} by {rule:?}");
            }
        }
    }
}
