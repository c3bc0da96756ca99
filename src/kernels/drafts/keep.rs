//! Takes what was refused out of the counts of the cache, and marks what was accepted as seen.
//!
//! Shader: `shaders/drafts/keep.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, GRANTED, Granted, LANE};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Keep<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[rows]`: tokens of guesses
    pub tokens: &'a Buffer,
    /// `[lanes, seen_stride]`
    pub seen: &'a Buffer,
    /// `[lanes, classes]`
    pub lengths: &'a Buffer,
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
    /// Classes per lane.
    pub classes: u32,
    /// Cache class of round 0.
    pub class_base: u32,
    /// Classes from one round to the next.
    pub class_step: u32,
    /// Rounds whose entries are counted; 0 where entries lie by position.
    pub rounds: u32,
}
}

impl Kernel for Keep<'_> {
    const NAME: &'static str = "keep";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/drafts/keep.wgsl"), LANE, GRANTED], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.write(), self.granted.read(), self.tokens.read(), self.seen.write(), self.lengths.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.params.lanes.div_ceil(64), 1, 1]
    }
}

/// CPU twin: one lane; `granted` and `tokens` are of its span, `seen` and `lengths` its own.
pub fn cpu(
    params: &Params,
    control: &mut Control,
    (granted, tokens): (&[Granted], &[u32]),
    seen: &mut [u32],
    lengths: &mut [u32],
) {
    if control.phase != Control::READY {
        return;
    }
    let (kept, rows) = (control.kept as usize, control.rows as usize);
    for token in tokens.iter().take(kept).skip(1) {
        seen[*token as usize / 32] |= 1 << (token % 32);
    }
    for granted in granted.iter().take(rows).skip(kept) {
        for round in 0..granted.rounds.min(params.rounds) {
            lengths[(params.class_base + round * params.class_step) as usize] -= 1;
        }
    }
    *control = Control { rows: 1, kept: 1, guesses: 0, shallow: 0, ..*control };
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
        for (lanes, span, base, rounds) in [(1u32, 1u32, 0u32, 3u32), (7, 4, 3, 3), (300, 9, 5, 3), (70, 5, 2, 0)] {
            let (classes, seen_stride) = (4, 2);
            let n_rows = base + lanes * span;
            let lane = |i: u32| Control {
                phase: [Control::READY, Control::IN_FLIGHT, Control::READY, Control::IDLE][i as usize % 4],
                rows: 1 + i % span,
                kept: 1 + i / 2 % (1 + i % span),
                guesses: i % span,
                shallow: i % 3,
                source: i % 2,
                ..Control::default()
            };
            let mut control: Vec<Control> = (0..lanes).map(lane).collect();
            let granted: Vec<Granted> = (0..n_rows).map(|i| Granted { rounds: i % 4, forced: 0 }).collect();
            let tokens: Vec<u32> = (0..n_rows).map(|i| i * 11 % 64).collect();
            let mut seen: Vec<u32> = (0..lanes * seen_stride).map(|i| 1 << (i % 32)).collect();
            let mut lengths = vec![20u32; (lanes * classes) as usize];
            let params = Params { lanes, span, base, seen_stride, classes, class_base: 1, class_step: 1, rounds };
            let (on, marked, counted) = (device.upload(&control), device.upload(&seen), device.upload(&lengths));
            device.run(&Keep {
                control: &on,
                granted: &device.upload(&granted),
                tokens: &device.upload(&tokens),
                seen: &marked,
                lengths: &counted,
                params,
            });
            for lane in 0..lanes as usize {
                let own = (base as usize + lane * span as usize)..n_rows as usize;
                let seen = &mut seen[lane * seen_stride as usize..][..seen_stride as usize];
                let lengths = &mut lengths[lane * classes as usize..][..classes as usize];
                cpu(&params, &mut control[lane], (&granted[own.clone()], &tokens[own]), seen, lengths);
            }
            same(&device.words(&on), bytemuck::cast_slice(&control));
            same(&device.words(&marked), &seen);
            same(&device.words(&counted), &lengths);
        }
    }
}
