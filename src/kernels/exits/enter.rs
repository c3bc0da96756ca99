//! Sends the next token of each ready lane, and guesses behind it, to round 0, and lists who runs a round in this tick.
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
    /// `[lanes, context]`: rounds to be run by a position, where a lane is given them
    pub given: &'a Buffer,
    /// Three of `[count, rows...]`: in round 0, deeper, and both
    pub lists: &'a Buffer,
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
    /// Classes per lane.
    pub classes: u32,
    /// Cache class of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// Positions per lane in `reach` and `given`.
    pub context: u32,
    /// Rounds that a row is granted at once; 0: the gate grants them.
    pub granted: u32,
    /// 1: a row runs one round per tick; 0: all of them.
    pub mixed: u32,
    /// Words from one list to the next.
    pub list: u32,
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
            self.given.read(),
            self.lists.write(),
        ]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
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

/// CPU twin: the rows that enter and those that go on; all else is brought up to date. `given` is `[lanes, context]`.
pub fn cpu(params: &Params, lanes: &mut Lanes, given: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut entering, mut deeper) = (vec![], vec![]);
    for lane in 0..params.lanes {
        let how = lanes.control[lane as usize];
        for i in 0..params.span {
            let row = params.base + lane * params.span + i;
            let (info, granted) = (&mut lanes.rows[row as usize], &mut lanes.granted[row as usize]);
            match how.phase {
                Control::READY if i < how.rows => {
                    entering.push(row);
                    lanes.control[lane as usize].phase = Control::IN_FLIGHT;
                    let position = how.position + i;
                    *info = Row { lane, position, round: 0, kv_index: position };
                    let told = given[(lane * params.context + position) as usize];
                    let forced = if how.given == 1 { told } else { how.forced };
                    let at_once = if forced > 0 { forced } else { params.granted };
                    *granted = Granted { rounds: if params.granted > 0 { at_once } else { 0 }, forced };
                    if params.mixed == 0 {
                        lanes.reach[(lane * params.context + position) as usize] = 0;
                    }
                }
                Control::IN_FLIGHT if i < how.rows => {
                    if granted.rounds <= info.round + 1 {
                        continue;
                    }
                    deeper.push(row);
                    info.round += 1;
                }
                _ => {
                    if params.mixed == 0 {
                        *granted = Granted::default();
                    }
                    continue;
                }
            }
            if params.mixed == 1 {
                let class = params.class_base + info.round * params.class_step;
                let length = &mut lanes.lengths[(lane * params.classes + class) as usize];
                info.kv_index = *length;
                *length += 1;
                lanes.reach[(lane * params.context + info.position) as usize] = info.round + 1;
            }
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
        for (n_lanes, span, base, granted, mixed) in [
            (1u32, 1u32, 0u32, 0u32, 1u32),
            (7, 1, 3, 0, 1),
            (64, 1, 0, 4, 1),
            (256, 1, 9, 0, 1),
            (300, 1, 1, 4, 1),
            (33, 1, 2, 4, 0),
            (7, 2, 3, 0, 1),
            (300, 3, 5, 4, 1),
            (33, 2, 2, 4, 0),
        ] {
            let (context, classes) = (8, 5);
            let n_rows = base + n_lanes * span;
            // In waves nobody is between two rounds when lanes enter.
            let phase = |i: u32| match (i * 3 + i / 5) % 4 {
                Control::IN_FLIGHT if mixed == 0 => Control::IDLE,
                phase => phase,
            };
            let lane = |i: u32| Control {
                phase: phase(i),
                position: i % 5,
                forced: i % 3,
                given: u32::from(i % 4 == 1),
                rows: 1 + i / 2 % span,
                ..Control::default()
            };
            let row = |i: u32| Row { lane: i.saturating_sub(base) / span, position: i % 5, round: i % 3, kv_index: 7 };
            let given: Vec<u32> = (0..n_lanes * context).map(|i| i % 5).collect();
            let mut lanes = Lanes {
                control: (0..n_lanes).map(lane).collect(),
                rows: (0..n_rows).map(row).collect(),
                granted: (0..n_rows).map(|i| Granted { rounds: i / 2 % 5, forced: i % 3 }).collect(),
                lengths: (0..n_lanes * classes).collect(),
                reach: vec![6; (n_lanes * context) as usize],
            };
            let list = n_lanes * span + 3;
            let params = Params {
                lanes: n_lanes,
                span,
                base,
                classes,
                class_base: 1,
                class_step: 1,
                context,
                granted,
                mixed,
                list,
            };
            let (control, rows, words) =
                (device.upload(&lanes.control), device.upload(&lanes.rows), device.upload(&lanes.granted));
            let (lengths, reach) = (device.upload(&lanes.lengths), device.upload(&lanes.reach));
            let lists = device.upload(&vec![0xffffu32; 3 * list as usize]);
            device.run(&Enter {
                control: &control,
                rows: &rows,
                granted: &words,
                lengths: &lengths,
                reach: &reach,
                given: &device.upload(&given),
                lists: &lists,
                params,
            });
            let want = cpu(&params, &mut lanes, &given);
            let both: Vec<u32> = (base..n_rows).filter(|row| want.0.contains(row) || want.1.contains(row)).collect();
            let got = device.words(&lists);
            let which = |name: &str| format!("{name} of {n_lanes} lanes of {span}");
            for (name, got, want) in [
                ("entering", &got[..list as usize], &want.0),
                ("deeper", &got[list as usize..][..list as usize], &want.1),
                ("live", &got[2 * list as usize..], &both),
            ] {
                assert_eq!(got[0] as usize, want.len(), "{}", which(name));
                assert_eq!(got[1..=want.len()], want[..], "{}", which(name));
            }
            let exact = |name: &str, buffer: &Buffer, want: &[u32]| {
                assert_eq!(device.words(buffer)[..want.len()], *want, "{}", which(name));
            };
            exact("control", &control, bytemuck::cast_slice(&lanes.control));
            exact("rows", &rows, bytemuck::cast_slice(&lanes.rows));
            exact("granted", &words, bytemuck::cast_slice(&lanes.granted));
            exact("lengths", &lengths, &lanes.lengths);
            exact("reach", &reach, &lanes.reach);
        }
    }
}
