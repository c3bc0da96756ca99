//! Takes back that a lane has seen the tokens of guesses that were refused.
//!
//! Shader: `shaders/rows/unsee.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, LANE};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Unsee<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[lanes]`: rows that stay
    pub kept: &'a Buffer,
    /// `[rows, 2]`, as [`Embed`](super::embed::Embed) left it
    pub noted: &'a Buffer,
    /// `[lanes, seen_stride]`
    pub seen: &'a Buffer,
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
    /// Words of a lane's set of seen tokens.
    pub seen_stride: u32,
}
}

impl Kernel for Unsee<'_> {
    const NAME: &'static str = "unsee";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/rows/unsee.wgsl"), LANE], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.read(), self.kept.read(), self.noted.read(), self.seen.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.params.lanes.div_ceil(64), 1, 1]
    }
}

/// CPU twin: `noted` is token and whether it was new, of each row; a lane's set in `seen` loses what only refused rows saw.
pub fn cpu(params: &Params, control: &[Control], kept: &[u32], noted: &[[u32; 2]], seen: &mut [u32]) {
    for lane in 0..params.lanes as usize {
        let first = (params.base + lane as u32 * params.span) as usize;
        let (stay, refused) = noted[first..][..control[lane].rows as usize].split_at(kept[lane] as usize);
        for [token, new] in refused {
            if *new == 1 && stay.iter().all(|[other, _]| other != token) {
                seen[lane * params.seen_stride as usize + *token as usize / 32] &= !(1 << (token % 32));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base) in [(1u32, 1u32, 0u32), (1, 4, 2), (9, 3, 5), (150, 4, 0)] {
            let rows = |lane: u32| 1 + lane % span;
            let control: Vec<Control> =
                (0..lanes).map(|lane| Control { rows: rows(lane), ..Control::default() }).collect();
            let kept: Vec<u32> = (0..lanes).map(|lane| 1 + lane / 2 % rows(lane)).collect();
            let noted: Vec<[u32; 2]> =
                (0..base + lanes * span).map(|row| [row * 7 % 40 / 2, u32::from(row % 3 > 0)]).collect();
            let params = Params { lanes, span, base, seen_stride: 2 };
            let mut seen = vec![u32::MAX; 2 * lanes as usize];
            let buffer = device.upload(&seen);
            device.run(&Unsee {
                control: &device.upload(&control),
                kept: &device.upload(&kept),
                noted: &device.upload(&noted),
                seen: &buffer,
                params,
            });
            cpu(&params, &control, &kept, &noted, &mut seen);
            assert_eq!(device.words(&buffer)[..seen.len()], seen, "{lanes} lanes of {span}");
            assert!(lanes == 1 || seen.iter().any(|word| *word != u32::MAX), "some are refused");
        }
    }

    #[test]
    fn what_was_seen_before_or_stays_is_not_taken_back() {
        let device = Device::open();
        // The row that stays wrote 5; guesses: 5 again, 7 that the text has, 9 twice.
        let noted = [[5, 0], [5, 1], [7, 0], [9, 1], [9, 0]];
        let seen = device.upload(&[1u32 << 5 | 1 << 7 | 1 << 9]);
        device.run(&Unsee {
            control: &device.upload(&[Control { rows: 5, ..Control::default() }]),
            kept: &device.upload(&[1u32]),
            noted: &device.upload(&noted),
            seen: &seen,
            params: Params { lanes: 1, span: 5, base: 0, seen_stride: 1 },
        });
        assert_eq!(device.words(&seen)[0], 1 << 5 | 1 << 7);
    }
}
