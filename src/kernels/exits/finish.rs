//! Tells of drawn tokens, checks guesses, and ends sequences on the GPU: by an end token, or by their length.
//!
//! Shader: `shaders/exits/finish.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::draw::alternatives::drawn_words;
use crate::kernels::{Control, DRAWN, EVENT, GRANTED, Granted, LANE, Row};
use crate::params;

/// Words of an event before its scores.
pub const EVENT_HEAD: u32 = 11;
/// Words before the first event.
pub const EVENTS_START: u32 = 4;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Finish<'a> {
    /// In it, `[count, rows...]` of those whose token was drawn, rows of a lane side by side, and `[count, end tokens...]`
    pub lists: &'a Buffer,
    /// `[places, words]`, see [`drawn_words`]
    pub drawn: &'a Buffer,
    /// Alternatives to each drawn token.
    pub alternatives: u32,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[rows, rounds]`
    pub scores: &'a Buffer,
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[count, ...]`, see [`LaneEvent`]
    pub events: &'a Buffer,
    /// `[rows]`: tokens of guesses
    pub tokens: &'a Buffer,
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
    /// First row of lane 0.
    pub base: u32,
    /// Rows of a lane.
    pub span: u32,
}
}

/// What the GPU tells of one drawn token.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneEvent {
    /// The lane; `u32::MAX` where it was switched off before, an earlier token of its span has ended it, or the row does not
    /// stay.
    pub lane: u32,
    /// Its sequence's serial number.
    pub serial: u32,
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub log_probability: f32,
    /// Rounds that were run to predict it.
    pub depth: u32,
    /// Its position.
    pub position: u32,
    /// 0: the lane goes on; 1: it ended by an end token; 2: by its length.
    pub ended: u32,
    /// What was guessed in its place, whether that was checked or not.
    pub guess: Option<u32>,
    /// Rows of the lane that were computed together.
    pub rows: u32,
    /// Who guessed.
    pub source: u32,
    /// The guess stood as a row behind.
    pub checked: bool,
    /// No guess before it was refused.
    pub stays: bool,
    /// No token is told: `token` is what the whole network finds most probable, `guess` what its first layers did.
    pub compared: bool,
    /// Router logits of all rounds; those that were not scored hold older numbers.
    pub scores: Vec<f32>,
    /// The most probable tokens and the natural logarithms of their probabilities.
    pub alternatives: Vec<(u32, f32)>,
}

/// Words of an event.
pub const fn event_words(rounds: u32, alternatives: u32) -> u32 {
    EVENT_HEAD + rounds + 2 * alternatives
}

impl LaneEvent {
    /// The events of a buffer that was read back.
    pub fn parse(words: &[u32], rounds: u32, alternatives: u32) -> Vec<Self> {
        let scored = (EVENT_HEAD as usize)..(EVENT_HEAD + rounds) as usize;
        let count = words.first().map_or(0, |&count| count as usize);
        let event = |w: &[u32]| Self {
            lane: w[0],
            serial: w[1],
            token: w[2],
            log_probability: f32::from_bits(w[3]),
            depth: w[4],
            position: w[5],
            ended: w[6],
            guess: Some(w[7]).filter(|&guess| guess != u32::MAX),
            rows: w[8],
            source: w[9],
            checked: w[10] & 2 == 2,
            stays: w[10] & 1 == 1,
            compared: w[10] & 4 == 4,
            scores: w[scored.clone()].iter().map(|&bits| f32::from_bits(bits)).collect(),
            alternatives: w[scored.end..].chunks_exact(2).map(|pair| (pair[0], f32::from_bits(pair[1]))).collect(),
        };
        let events = words.get(EVENTS_START as usize..).unwrap_or_default();
        events.chunks_exact(event_words(rounds, alternatives) as usize).take(count).map(event).collect()
    }
}

impl Kernel for Finish<'_> {
    const NAME: &'static str = "finish";
    const BLOCK_DECIDES: bool = true;
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/exits/finish.wgsl"), LANE, GRANTED, EVENT, DRAWN];
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
            self.granted.read(),
            self.scores.read(),
            self.control.write(),
            self.events.write(),
            self.tokens.read(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// A drawn token: its logarithm of probability, what was guessed in its place, and whether its row stays.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub log_probability: f32,
    /// What was guessed.
    pub guess: Option<u32>,
    /// Place of the row in its lane's span.
    pub place: u32,
    /// The row stays.
    pub stays: bool,
}

/// CPU twin: the event of one drawn token; its lane's control is brought up to date. Tokens of a lane come in order, and the
/// row behind stays where this one does and the guess is the token.
pub fn cpu(control: &mut Control, row: &Row, granted: Granted, drawn: Drawn, ends: &[u32]) -> LaneEvent {
    let was_idle = control.phase == Control::IDLE || !drawn.stays;
    let before = *control;
    let ended = control.ends == 1 && ends.contains(&drawn.token);
    control.remaining = control.remaining.saturating_sub(1);
    control.position = row.position + 1;
    control.phase = if ended || control.remaining == 0 { Control::IDLE } else { Control::READY };
    control.kept += 1;
    let event = LaneEvent {
        lane: if was_idle { u32::MAX } else { row.lane },
        serial: control.serial,
        token: drawn.token,
        log_probability: drawn.log_probability,
        depth: granted.rounds,
        position: control.position,
        ended: if ended { 1 } else { u32::from(control.remaining == 0) * 2 },
        guess: drawn.guess,
        rows: control.rows,
        source: control.source,
        checked: drawn.place + 1 < control.rows,
        stays: drawn.stays,
        compared: false,
        scores: vec![],
        alternatives: vec![],
    };
    if was_idle {
        *control = before;
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base) in [(1u32, 1u32, 0u32), (9, 1, 4), (256, 1, 30), (280, 1, 0), (40, 2, 3), (200, 3, 7)] {
            let phase = |i: u32| [Control::IN_FLIGHT, Control::READING, Control::IDLE][i as usize % 3];
            let mut control: Vec<Control> = (0..lanes)
                .map(|i| Control {
                    phase: phase(i),
                    serial: i + 9,
                    remaining: i % 4,
                    ends: i / 2 % 2,
                    rows: span,
                    kept: 7,
                    guesses: i % (span + 1),
                    source: i % 3,
                    ..Control::default()
                })
                .collect();
            let n_rows = base + lanes * span;
            let lane_of = |row: u32| row.saturating_sub(base) / span;
            let rows: Vec<Row> =
                (0..n_rows).map(|i| Row { lane: lane_of(i), position: 5 * i, round: 0, kv_index: 0 }).collect();
            let granted: Vec<Granted> = (0..n_rows).map(|i| Granted { rounds: i % 4, forced: i % 3 }).collect();
            let scores = numbers((n_rows * 2) as usize, 7);
            // Every other lane, the last one first, with its rows in order.
            let first_rows = (base..n_rows).step_by(span as usize).rev().step_by(2);
            let listed: Vec<u32> = first_rows.flat_map(|row| row..row + span).collect();
            let drawn: Vec<(u32, f32)> = (0..listed.len()).map(|i| (i as u32 % 5, -0.5 * i as f32)).collect();
            // Some guesses are what is drawn, and then the next row stays.
            let mut tokens: Vec<u32> = (0..=n_rows).map(|i| i % 7).collect();
            for (place, &row) in listed.iter().enumerate().filter(|(place, _)| place % 3 > 0) {
                tokens[row as usize + 1] = drawn[place].0;
            }
            // Two alternatives, one step and two steps further.
            let further = |d: &(u32, f32), step: u32| (d.0 + step, d.1 - step as f32);
            let words: Vec<u32> = drawn
                .iter()
                .flat_map(|d| [0, 1, 2].map(|step| further(d, step)))
                .flat_map(|d| [d.0, d.1.to_bits()])
                .collect();
            let most = lanes * span + 1;
            // One event is there already.
            let mut start = vec![0u32; (EVENTS_START + most * event_words(2, 2)) as usize];
            start[0] = 1;
            let (events, control_buffer) = (device.upload(&start), device.upload(&control));
            // Another list stands before it, the end tokens behind it.
            let list = [&[1, 7, 99, listed.len() as u32], &listed[..], &[2, 3, 1]].concat();
            device.run(&Finish {
                lists: &device.upload(&list),
                drawn: &device.upload(&words),
                alternatives: 2,
                rows: &device.upload(&rows),
                granted: &device.upload(&granted),
                scores: &device.upload(&scores),
                control: &control_buffer,
                events: &events,
                tokens: &device.upload(&tokens),
                params: Params {
                    rounds: 2,
                    stride: event_words(2, 2),
                    most,
                    list: 3,
                    ends: 4 + listed.len() as u32,
                    base,
                    span,
                },
            });
            let got = LaneEvent::parse(&device.words(&events), 2, 2);
            assert_eq!(got.len(), 1 + listed.len());
            let mut stays = true;
            for (place, &row) in listed.iter().enumerate() {
                let at = row as usize;
                let lane = &mut control[rows[at].lane as usize];
                if (row - base) % span == 0 {
                    (lane.kept, stays) = (0, true);
                }
                let guess = ((row - base) % span < lane.guesses).then(|| tokens[at + 1]);
                let (token, log_probability) = drawn[place];
                let told = Drawn { token, log_probability, guess, place: (row - base) % span, stays };
                let mut want = cpu(lane, &rows[at], granted[at], told, &[3, 1]);
                stays &= guess == Some(token);
                want.scores = scores[at * 2..][..2].to_vec();
                want.alternatives = [1, 2].map(|step| further(&drawn[place], step)).to_vec();
                assert_eq!(got[1 + place], want, "{lanes} lanes of {span}, row {row}");
            }
            let words: &[u32] = bytemuck::cast_slice(&control);
            assert_eq!(&device.words(&control_buffer)[..words.len()], words);
        }
    }
}
