//! Lists the rows that run further layers before they are guessed from, or before they are checked.
//!
//! Shader: `shaders/drafts/linger.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::drafts::follow::REST;
use crate::kernels::{Control, LANE};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Linger<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]`: rounds run, to be guessed from
    pub reached: &'a Buffer,
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
    /// Which row of each lane, or [`REST`].
    pub step: u32,
    /// Who guesses.
    pub source: u32,
    /// Rounds that a row has run.
    pub begins: u32,
    /// Rounds that it is about to have run.
    pub reaches: u32,
    /// 1: the rows before that of the step as well.
    pub earlier: u32,
}
}

impl Kernel for Linger<'_> {
    const NAME: &'static str = "linger";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/drafts/linger.wgsl"), crate::kernels::SCAN, LANE],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.read(), self.reached.write(), self.list.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the rows that are listed; `reached` is brought up to date.
pub fn cpu(params: &Params, control: &[Control], reached: &mut [u32]) -> Vec<u32> {
    let rows = (0..).zip(control).flat_map(|(lane, how)| (0..params.span).map(move |i| (lane, how, i)));
    let open = |how: &Control, i: u32| match params.step {
        REST => i < how.rows,
        step if how.source == params.source && how.guesses == step && how.shallow == step + 1 => {
            i == step || params.earlier == 1 && i < step
        }
        _ => false,
    };
    let mut list = vec![];
    for (lane, how, i) in rows {
        let row = params.base + lane * params.span + i;
        if how.phase == Control::READY && open(how, i) && reached[row as usize] == params.begins {
            reached[row as usize] = params.reaches;
            list.push(row);
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
        for (lanes, span, base, step, earlier) in [
            (1u32, 2u32, 0u32, 0u32, 0u32),
            (9, 4, 3, 1, 1),
            (300, 4, 1, 2, 0),
            (300, 4, 1, 2, 1),
            (300, 9, 1, REST, 0),
        ] {
            let n_rows = base + lanes * span;
            let lane = |i: u32| Control {
                phase: if i % 7 == 3 { Control::IDLE } else { Control::READY },
                rows: 1 + i % span,
                guesses: i % span,
                source: i / 3 % 2,
                shallow: i % span + u32::from(!i.is_multiple_of(5)),
                ..Control::default()
            };
            let control: Vec<Control> = (0..lanes).map(lane).collect();
            let mut reached: Vec<u32> = (0..n_rows).map(|i| 2 * (i * 5 / 3 % 3)).collect();
            let (ran, list) = (device.upload(&reached), device.upload(&vec![0xffffu32; (lanes * span) as usize + 1]));
            let params = Params { lanes, span, base, step, source: 1, begins: 2, reaches: 4, earlier };
            device.run(&Linger { control: &device.upload(&control), reached: &ran, list: &list, params });
            let want = cpu(&params, &control, &mut reached);
            let got = device.words(&list);
            assert_eq!(got[0] as usize, want.len(), "{lanes} lanes, step {step}");
            assert_eq!(got[1..=want.len()], want, "{lanes} lanes, step {step}");
            assert!(lanes < 300 || !want.is_empty());
            assert_eq!(device.words(&ran)[..reached.len()], reached);
        }
    }
}
