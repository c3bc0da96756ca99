//! Tells whether all layers find the same token most probable as the first ones.
//!
//! Shader: `shaders/deferring/agree.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::exits::finish::LaneEvent;
use crate::kernels::{Control, EVENT, LANE, Row};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Agree<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]`: the first layers' token
    pub best: &'a Buffer,
    /// `[rows]`: that of all layers
    pub whole: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[count, ...]`, see [`LaneEvent`]
    pub events: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Scores per row.
    pub rounds: u32,
    /// Words per event.
    pub stride: u32,
    /// Events that the buffer holds.
    pub most: u32,
    /// Rounds behind which the first layers end.
    pub depth: u32,
}
}

impl Kernel for Agree<'_> {
    const NAME: &'static str = "agree";
    const BLOCK_DECIDES: bool = true;
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/deferring/agree.wgsl"), LANE, EVENT];
        Source { parts, constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.list.read(),
            self.rows.read(),
            self.control.read(),
            self.best.read(),
            self.whole.read(),
            self.scores.read(),
            self.events.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the event of one row; both tokens are given, the first layers' first.
pub fn cpu(params: &Params, control: &Control, row: &Row, (best, whole): (u32, u32)) -> LaneEvent {
    LaneEvent {
        lane: u32::MAX,
        serial: control.serial,
        token: whole,
        log_probability: 0.0,
        depth: params.depth,
        position: row.position + 1,
        ended: 0,
        guess: Some(best).filter(|best| *best != u32::MAX),
        rows: control.rows,
        source: 0,
        checked: false,
        stays: false,
        compared: true,
        scores: vec![],
        alternatives: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::exits::finish::{EVENTS_START, event_words};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_rows, lanes) in [(1u32, 1u32), (40, 9), (700, 30)] {
            let (rounds, n) = (2u32, n_rows as usize);
            let control: Vec<Control> =
                (0..lanes).map(|i| Control { serial: i + 4, rows: 1 + i % 3, ..Control::default() }).collect();
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: i % lanes, position: 3 * i, round: 0, kv_index: 0 }).collect();
            let best: Vec<u32> = (0..n_rows).map(|i| if i % 6 == 5 { u32::MAX } else { i % 4 }).collect();
            let whole: Vec<u32> = (0..n_rows).map(|i| i % 3).collect();
            let scores = numbers(n * rounds as usize, 3);
            let listed: Vec<u32> = (0..n_rows).rev().filter(|i| i % 5 != 3).collect();
            let (stride, most) = (event_words(rounds, 0), n_rows + 2);
            let mut start = vec![0u32; (EVENTS_START + most * stride) as usize];
            start[0] = 2;
            let events = device.upload(&start);
            let params = Params { rounds, stride, most, depth: 1 };
            device.run(&Agree {
                list: &device.upload(&[&[listed.len() as u32], &listed[..]].concat()),
                rows: &device.upload(&rows),
                control: &device.upload(&control),
                best: &device.upload(&best),
                whole: &device.upload(&whole),
                scores: &device.upload(&scores),
                events: &events,
                params,
            });
            let got = LaneEvent::parse(&device.words(&events), rounds, 0);
            assert_eq!(got.len(), 2 + listed.len());
            for (got, row) in got[2..].iter().zip(listed.iter().map(|row| *row as usize)) {
                let lane = &control[rows[row].lane as usize];
                let scores = scores[row * rounds as usize..][..rounds as usize].to_vec();
                assert_eq!(*got, LaneEvent { scores, ..cpu(&params, lane, &rows[row], (best[row], whole[row])) });
            }
        }
    }
}
