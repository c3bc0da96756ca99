//! Lists rows of lanes whose deeper layers may be put off: the newest of each, those that wait, or both.
//!
//! Shader: `shaders/deferring/line_up.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, LANE, Row};
use crate::params;

/// [`Params::which`]: the newest row of each lane.
pub const NEWEST: u32 = 0;
/// [`Params::which`]: the rows before it.
pub const OLDER: u32 = 1;
/// [`Params::which`]: all of them.
pub const ALL: u32 = 2;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct LineUp<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
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
    /// [`NEWEST`], [`OLDER`] or [`ALL`].
    pub which: u32,
    /// Phase of the lanes that are listed.
    pub phase: u32,
    /// 1: a pass begins, of all lanes that can enter.
    pub begins: u32,
}
}

impl Kernel for LineUp<'_> {
    const NAME: &'static str = "line_up";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/deferring/line_up.wgsl"), crate::kernels::SCAN, LANE],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.write(), self.rows.write(), self.list.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the rows that are listed; all else is brought up to date.
pub fn cpu(params: &Params, control: &mut [Control], rows: &mut [Row]) -> Vec<u32> {
    let mut list = vec![];
    for (lane, how) in (0..).zip(control) {
        let begins = params.begins == 1;
        let enters = how.phase == Control::READY || how.phase == Control::WAITING;
        if if begins { !enters } else { how.phase != params.phase } {
            continue;
        }
        let used = if begins && how.phase == Control::READY { 1 } else { how.rows };
        let listed = match params.which {
            NEWEST => used - 1..used,
            OLDER => 0..used - 1,
            _ => 0..used,
        };
        for i in listed.clone() {
            let row = params.base + lane * params.span + i;
            list.push(row);
            if begins {
                let position = how.position + i;
                rows[row as usize] = Row { lane, position, round: 0, kv_index: position };
            }
        }
        if begins && !listed.is_empty() {
            (how.rows, how.phase) = (listed.end, Control::READY);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        let listed = [NEWEST, OLDER, ALL].into_iter().flat_map(|which| {
            [(1u32, 2u32, 0u32, 1), (9, 4, 3, 1), (300, 3, 1, 1), (40, 5, 7, 0), (300, 4, 2, 0)]
                .map(|(lanes, span, base, begins)| (lanes, span, base, begins, which))
        });
        for (lanes, span, base, begins, which) in listed.filter(|case| case.3 == 0 || case.4 != OLDER) {
            let lane = |i: u32| Control {
                phase: (i * 3 + i / 7) % 5,
                position: 3 * i,
                rows: 1 + i / 2 % span,
                ..Control::default()
            };
            let mut control: Vec<Control> = (0..lanes).map(lane).collect();
            let n_rows = base + lanes * span;
            let mut rows = vec![Row { lane: 9, position: 9, round: 9, kv_index: 9 }; n_rows as usize];
            let (on, info) = (device.upload(&control), device.upload(&rows));
            let list = device.upload(&vec![0xffffu32; (lanes * span) as usize + 1]);
            let params = Params { lanes, span, base, which, phase: Control::IN_FLIGHT, begins };
            device.run(&LineUp { control: &on, rows: &info, list: &list, params });
            let want = cpu(&params, &mut control, &mut rows);
            let got = device.words(&list);
            assert_eq!(got[0] as usize, want.len(), "{lanes} lanes, {which}");
            assert_eq!(got[1..=want.len()], want, "{lanes} lanes, {which}");
            assert!(lanes < 300 || !want.is_empty());
            assert_eq!(device.all::<Control>(&on)[..control.len()], control);
            assert_eq!(device.all::<Row>(&info)[..rows.len()], rows);
        }
    }
}
