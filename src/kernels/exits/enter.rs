//! Sends the next token of each ready lane to depth 0, and lists who runs a round in this tick.
//!
//! Shader: `shaders/exits/enter.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, GRANTED, Granted, LANE, Row};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Enter<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]` of [`Row`]
    pub rows: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[lanes, classes]`
    pub lengths: &'a Buffer,
    /// `[lanes, context]`
    pub reach: &'a Buffer,
    /// `[count, rows...]`: at depth 0
    pub entering: &'a Buffer,
    /// `[count, rows...]`: deeper
    pub deeper: &'a Buffer,
    /// `[count, rows...]`: both
    pub live: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of lanes.
    pub lanes: u32,
    /// Row of lane 0.
    pub base: u32,
    /// Classes per lane.
    pub classes: u32,
    /// Cache class of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// Positions per lane in `reach`.
    pub context: u32,
    /// Rounds that a row is granted at once; 0: the gate grants them.
    pub granted: u32,
    /// 1: a lane runs one round per tick; 0: all of them.
    pub mixed: u32,
}
}

impl Kernel for Enter<'_> {
    const NAME: &'static str = "enter";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/exits/enter.wgsl"), LANE, GRANTED], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![
            self.control.write(),
            self.rows.write(),
            self.granted.write(),
            self.lengths.write(),
            self.reach.write(),
            self.entering.write(),
            self.deeper.write(),
            self.live.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// Depth by lot.
pub fn drawn_depth(how: &Control) -> u32 {
    let h = (how.position ^ (how.drawn_high << 16)).wrapping_mul(0x9e37_79b1);
    let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    let lot = (h ^ (h >> 16)) & 0xffff;
    [how.drawn_low >> 16, how.drawn_low & 0xffff, how.drawn_high >> 16]
        .iter()
        .fold(1, |depth, &s| depth + u32::from(lot < s))
}

/// What `enter` keeps, for its twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Lanes {
    /// `[lanes]`
    pub control: Vec<Control>,
    /// `[rows]`
    pub rows: Vec<Row>,
    /// `[rows]`
    pub granted: Vec<Granted>,
    /// `[lanes, classes]`
    pub lengths: Vec<u32>,
    /// `[lanes, context]`
    pub reach: Vec<u32>,
}

/// CPU twin: the rows that enter and those that go on; all else is brought up to date.
pub fn cpu(params: &Params, lanes: &mut Lanes) -> (Vec<u32>, Vec<u32>) {
    let (mut entering, mut deeper) = (vec![], vec![]);
    for lane in 0..params.lanes {
        let row = params.base + lane;
        let (how, info) = (&mut lanes.control[lane as usize], &mut lanes.rows[row as usize]);
        match how.phase {
            Control::READY => {
                entering.push(row);
                how.phase = Control::IN_FLIGHT;
                *info = Row { lane, position: how.position, depth: 0, kv_index: how.position };
                let forced = if how.drawn_high > 0 { drawn_depth(how) } else { how.forced };
                let at_once = if forced > 0 { forced } else { params.granted };
                let rounds = if params.granted > 0 { at_once } else { 0 };
                lanes.granted[row as usize] = Granted { rounds, forced };
            }
            Control::IN_FLIGHT => {
                deeper.push(row);
                info.depth += 1;
            }
            _ => {
                if params.mixed == 0 {
                    lanes.granted[row as usize] = Granted::default();
                }
                continue;
            }
        }
        if params.mixed == 1 {
            let class = params.class_base + info.depth * params.class_step;
            let length = &mut lanes.lengths[(lane * params.classes + class) as usize];
            info.kv_index = *length;
            *length += 1;
            lanes.reach[(lane * params.context + info.position) as usize] = info.depth + 1;
        }
    }
    (entering, deeper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n_lanes, base, granted, mixed) in
            [(1u32, 0u32, 0u32, 1u32), (7, 3, 0, 1), (64, 0, 4, 1), (256, 9, 0, 1), (300, 1, 4, 1), (33, 2, 4, 0)]
        {
            let (context, classes) = (5, 5);
            let n_rows = base + n_lanes;
            // In waves nobody is between two rounds when lanes enter.
            let phase = |i: u32| match (i * 3 + i / 5) % 4 {
                Control::IN_FLIGHT if mixed == 0 => Control::IDLE,
                phase => phase,
            };
            let lane = |i: u32| Control {
                phase: phase(i),
                position: i % 5,
                forced: i % 3,
                drawn_low: 0xa000_5000,
                drawn_high: if i % 4 == 1 { 0x2000_0001 | i << 1 } else { 0 },
                ..Control::default()
            };
            let mut lanes = Lanes {
                control: (0..n_lanes).map(lane).collect(),
                rows: (0..n_rows).map(|i| Row { lane: i, position: i % 5, depth: i % 3, kv_index: 7 }).collect(),
                granted: (0..n_rows).map(|i| Granted { rounds: i % 4, forced: i % 3 }).collect(),
                lengths: (0..n_lanes * classes).collect(),
                reach: vec![0; (n_lanes * context) as usize],
            };
            let params =
                Params { lanes: n_lanes, base, classes, class_base: 1, class_step: 1, context, granted, mixed };
            let list = || device.upload(&vec![0xffffu32; n_lanes as usize + 1]);
            let (control, rows, words) =
                (device.upload(&lanes.control), device.upload(&lanes.rows), device.upload(&lanes.granted));
            let (lengths, reach) = (device.upload(&lanes.lengths), device.upload(&lanes.reach));
            let (entering, deeper, live) = (list(), list(), list());
            device.run(&Enter {
                control: &control,
                rows: &rows,
                granted: &words,
                lengths: &lengths,
                reach: &reach,
                entering: &entering,
                deeper: &deeper,
                live: &live,
                params,
            });
            let want = cpu(&params, &mut lanes);
            let both: Vec<u32> = (base..n_rows).filter(|row| want.0.contains(row) || want.1.contains(row)).collect();
            for (name, got, want) in
                [("entering", &entering, &want.0), ("deeper", &deeper, &want.1), ("live", &live, &both)]
            {
                let got = device.words(got);
                assert_eq!(got[0] as usize, want.len(), "{name} of {n_lanes} lanes");
                assert_eq!(got[1..=want.len()], want[..], "{name} of {n_lanes} lanes");
            }
            let exact = |name: &str, buffer: &Buffer, want: &[u32]| {
                assert_eq!(device.words(buffer)[..want.len()], *want, "{name} of {n_lanes} lanes");
            };
            exact("control", &control, bytemuck::cast_slice(&lanes.control));
            exact("rows", &rows, bytemuck::cast_slice(&lanes.rows));
            exact("granted", &words, bytemuck::cast_slice(&lanes.granted));
            exact("lengths", &lengths, &lanes.lengths);
            exact("reach", &reach, &lanes.reach);
        }
    }
}
