//! Tells the tokens that first layers drew and are sure of; their rows wait for the other layers.
//!
//! Shader: `shaders/deferring/commit.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::draw::alternatives::drawn_words;
use crate::kernels::exits::finish::LaneEvent;
use crate::kernels::{Control, DRAWN, EVENT, LANE, Row};
use crate::params;

/// What a lane is asked for.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Waiting {
    /// Of the score.
    pub threshold: f32,
    /// Rows that waited when the lane was read again, and count as waiting until a pass is whole.
    pub counted: u32,
}

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Commit<'a> {
    /// In it, `[count, rows...]`, one of each lane, and `[count, end tokens...]`
    pub lists: &'a Buffer,
    /// `[places, words]`, see [`drawn_words`]
    pub drawn: &'a Buffer,
    /// Alternatives to each drawn token.
    pub alternatives: u32,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[count, ...]`, see [`LaneEvent`]
    pub events: &'a Buffer,
    /// `[lanes]` of [`Waiting`]
    pub waiting: &'a Buffer,
    /// `[rows]`
    pub best: &'a Buffer,
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
    /// Where the list of rows begins.
    pub list: u32,
    /// Where the end tokens begin.
    pub ends: u32,
    /// Rounds that the listed rows have run.
    pub depth: u32,
    /// Rows of a lane that may be in use.
    pub most_rows: u32,
    /// 1: a score that is the threshold is enough.
    pub equal: u32,
    /// 1: who is not sure runs all layers.
    pub last: u32,
}
}

impl Kernel for Commit<'_> {
    const NAME: &'static str = "commit";
    const BLOCK_DECIDES: bool = true;
    type Params = Params;

    fn source(&self) -> Source {
        let parts =
            vec![include_str!("../../../shaders/deferring/commit.wgsl"), crate::kernels::SCAN, LANE, EVENT, DRAWN];
        Source { parts, constants: vec![("DRAWN", drawn_words(self.alternatives))] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.lists.read(),
            self.drawn.read(),
            self.rows.read(),
            self.scores.read(),
            self.control.write(),
            self.events.write(),
            self.waiting.write(),
            self.best.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the event of a row, if its token is told; its lane is brought up to date. `drawn` is the token and the logarithm of
/// its probability, `best` the row's.
pub fn cpu(
    params: &Params,
    (control, waiting, best): (&mut Control, &mut Waiting, &mut u32),
    (row, score): (&Row, f32),
    drawn: (u32, f32),
    ends: &[u32],
) -> Option<LaneEvent> {
    let tested = control.rows + waiting.counted < params.most_rows;
    let sure = score > waiting.threshold || (params.equal == 1 && score == waiting.threshold);
    if !tested || !sure {
        *best = if tested { *best } else { u32::MAX };
        waiting.counted = if params.last == 1 { 0 } else { waiting.counted };
        return None;
    }
    let ended = control.ends == 1 && ends.contains(&drawn.0);
    control.remaining = control.remaining.saturating_sub(1);
    let ended = if ended { 1 } else { u32::from(control.remaining == 0) * 2 };
    let event = LaneEvent {
        lane: row.lane,
        serial: control.serial,
        token: drawn.0,
        log_probability: drawn.1,
        depth: params.depth,
        position: row.position + 1,
        ended,
        guess: None,
        rows: control.rows,
        source: 0,
        checked: false,
        stays: true,
        compared: false,
        scores: vec![],
        alternatives: vec![],
    };
    control.rows += 1;
    control.phase = if ended > 0 { Control::IDLE } else { Control::WAITING };
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};
    use crate::kernels::exits::finish::{EVENTS_START, event_words};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, equal, last) in [(1u32, 3u32, 0u32, 1u32), (9, 2, 1, 0), (256, 4, 0, 1), (300, 5, 1, 1)] {
            let (rounds, depth, ends) = (3u32, 2u32, [3u32, 1]);
            let mut control: Vec<Control> = (0..lanes)
                .map(|i| Control {
                    phase: Control::READY,
                    serial: i + 9,
                    remaining: 1 + i % 4,
                    ends: i / 2 % 2,
                    rows: 1 + i / 3 % span,
                    ..Control::default()
                })
                .collect();
            let mut waiting: Vec<Waiting> =
                (0..lanes).map(|i| Waiting { threshold: 0.25 * (i % 3) as f32, counted: i % 5 / 4 }).collect();
            let n_rows = lanes * span;
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: i / span, position: 5 * i, round: 0, kv_index: 0 }).collect();
            let mut scores = numbers((n_rows * rounds) as usize, 7);
            // The newest row of every lane, the last one first.
            let newest = |lane: u32| lane * span + control[lane as usize].rows - 1;
            let listed: Vec<u32> = (0..lanes).rev().map(newest).collect();
            for row in listed.iter().step_by(5) {
                scores[(row * rounds + depth - 1) as usize] = waiting[rows[*row as usize].lane as usize].threshold;
            }
            let drawn: Vec<(u32, f32)> = (0..lanes).map(|i| (i % 5, -0.5 * i as f32)).collect();
            let words: Vec<u32> = drawn.iter().flat_map(|d| [d.0, d.1.to_bits(), d.0 + 1, 0]).collect();
            let mut best: Vec<u32> = (0..n_rows).map(|i| i % 7).collect();
            let (stride, most) = (event_words(rounds, 1), lanes + 1);
            // One event is there already.
            let mut start = vec![0u32; (EVENTS_START + most * stride) as usize];
            start[0] = 1;
            let list = [&[1, 7, 99, lanes], &listed[..], &[2, 3, 1]].concat();
            let (on, events) = (device.upload(&control), device.upload(&start));
            let (wait, first) = (device.upload(&waiting), device.upload(&best));
            let params = Params { rounds, stride, most, list: 3, ends: 4 + lanes, depth, most_rows: span, equal, last };
            device.run(&Commit {
                lists: &device.upload(&list),
                drawn: &device.upload(&words),
                alternatives: 1,
                rows: &device.upload(&rows),
                scores: &device.upload(&scores),
                control: &on,
                events: &events,
                waiting: &wait,
                best: &first,
                params,
            });
            let mut want = vec![];
            for (place, row) in listed.iter().map(|row| *row as usize).enumerate() {
                let lane = rows[row].lane as usize;
                let own = (&mut control[lane], &mut waiting[lane], &mut best[row]);
                let score = scores[row * rounds as usize + depth as usize - 1];
                let told = cpu(&params, own, (&rows[row], score), drawn[place], &ends);
                want.extend(told.map(|event| LaneEvent {
                    scores: scores[row * rounds as usize..][..rounds as usize].to_vec(),
                    alternatives: vec![(drawn[place].0 + 1, 0.0)],
                    ..event
                }));
            }
            assert!(lanes == 1 || !want.is_empty() && want.len() < listed.len(), "{lanes} lanes");
            assert_eq!(LaneEvent::parse(&device.words(&events), rounds, 1)[1..], want, "{lanes} lanes");
            assert_eq!(device.all::<Control>(&on)[..control.len()], control);
            assert_eq!(device.all::<Waiting>(&wait)[..waiting.len()], waiting);
            assert_eq!(device.words(&first)[..best.len()], best);
        }
    }
}
