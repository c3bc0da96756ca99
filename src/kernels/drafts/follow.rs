//! Lists the rows that run the first layers, to be guessed from.
//!
//! Shader: `shaders/drafts/follow.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, GRANTED, Granted, LANE, Row};
use crate::params;

/// [`Params::step`] where all rows are meant that have not run these layers.
pub const REST: u32 = u32::MAX;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Follow<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[rows]`: rounds run, to be guessed from
    pub reached: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of lanes.
    pub lanes: u32,
    /// Rows of a lane.
    pub span: u32,
    /// First row of lane 0.
    pub base: u32,
    /// Which row of each lane, or [`REST`].
    pub step: u32,
    /// Rounds that a listed row is granted at once.
    pub granted: u32,
    /// Who guesses.
    pub source: u32,
    /// Rounds that a listed row is about to have run.
    pub reaches: u32,
}
}

impl Kernel for Follow<'_> {
    const NAME: &'static str = "follow";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/drafts/follow.wgsl"), crate::kernels::SCAN, LANE, GRANTED],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.write(), self.rows.write(), self.granted.write(), self.list.write(), self.reached.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the rows that are listed; all else is brought up to date.
pub fn cpu(params: &Params, control: &mut [Control], rows: &mut [Row], granted: &mut [Granted]) -> Vec<u32> {
    let mut list = vec![];
    for (lane, how) in (0..).zip(control) {
        let own = how.guesses == 0 || how.source == params.source;
        let next = params.step.wrapping_add(1);
        let listed = match (how.phase, params.step) {
            (Control::READY, REST) => how.shallow.min(how.rows)..how.rows,
            (Control::READY, step) if own && how.guesses == step && how.shallow == step && next < how.remaining => {
                step..next
            }
            _ => 0..0,
        };
        for i in 0..params.span {
            let row = params.base + lane * params.span + i;
            granted[row as usize] = Granted::default();
            if listed.contains(&i) {
                let position = how.position + i;
                rows[row as usize] = Row { lane, position, round: 0, kv_index: position };
                granted[row as usize].rounds = params.granted;
                list.push(row);
            }
        }
        if !listed.is_empty() {
            how.shallow = listed.end;
            how.source = if params.step == REST { how.source } else { params.source };
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    /// Buffers end with what fills them up.
    fn same(got: &[u32], want: &[u32]) {
        assert_eq!(&got[..want.len()], want);
    }

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base, step) in
            [(1u32, 2u32, 0u32, 0u32), (9, 4, 3, 0), (300, 4, 1, 2), (300, 9, 1, REST), (40, 5, 7, 1)]
        {
            let n_rows = base + lanes * span;
            let lane = |i: u32| {
                let guesses = i % span;
                Control {
                    phase: [Control::READY, Control::READY, Control::READING, Control::IDLE][i as usize / 5 % 4],
                    position: i * 3,
                    remaining: 1 + i / 2 % 6,
                    rows: 1 + guesses,
                    guesses,
                    source: i / 3 % 3,
                    shallow: if i % 5 == 4 { 0 } else { guesses },
                    ..Control::default()
                }
            };
            let mut control: Vec<Control> = (0..lanes).map(lane).collect();
            let mut rows = vec![Row { lane: 9, position: 9, round: 9, kv_index: 9 }; n_rows as usize];
            let mut granted = vec![Granted { rounds: 5, forced: 5 }; n_rows as usize];
            let (on, info, words) = (device.upload(&control), device.upload(&rows), device.upload(&granted));
            let list = device.upload(&vec![0xffffu32; (lanes * span) as usize + 1]);
            let reached = device.upload(&vec![77u32; n_rows as usize]);
            let params = Params { lanes, span, base, step, granted: 2, source: 1, reaches: 5 };
            device.run(&Follow { control: &on, rows: &info, granted: &words, list: &list, reached: &reached, params });
            let want = cpu(&params, &mut control, &mut rows, &mut granted);
            let got = device.words(&list);
            assert_eq!(got[0] as usize, want.len(), "{lanes} lanes, step {step}");
            assert_eq!(got[1..=want.len()], want, "{lanes} lanes, step {step}");
            let ran: Vec<u32> = (0..n_rows).map(|row| if want.contains(&row) { 5 } else { 77 }).collect();
            same(&device.words(&reached), &ran);
            assert!(lanes < 300 || !want.is_empty());
            same(&device.words(&on), bytemuck::cast_slice(&control));
            same(&device.words(&info), bytemuck::cast_slice(&rows));
            same(&device.words(&words), bytemuck::cast_slice(&granted));
        }
    }
}
