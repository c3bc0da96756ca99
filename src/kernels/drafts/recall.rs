//! Guesses out of a given text with a set chance of being right: a drafter for measurements and tests.
//!
//! Shader: `shaders/drafts/recall.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{Control, HASH, LANE, draw::sample::mix};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Recall<'a> {
    /// `[lanes]` of [`Control`]
    pub control: &'a Buffer,
    /// `[lanes, context]`
    pub script: &'a Buffer,
    /// `[rows]`: tokens of guesses
    pub tokens: &'a Buffer,
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
    /// Positions of a lane in `script`.
    pub context: u32,
    /// Number of tokens.
    pub vocabulary: u32,
    /// Chance of a right guess, in 2^32; 0 is never, `u32::MAX` always.
    pub chance: u32,
    /// Of the chance.
    pub seed: u32,
    /// Guesses that are made and checked.
    pub most: u32,
    /// Who guesses.
    pub source: u32,
}
}

impl Kernel for Recall<'_> {
    const NAME: &'static str = "recall";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/drafts/recall.wgsl"), LANE, HASH], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.write(), self.script.read(), self.tokens.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.params.lanes.div_ceil(64), 1, 1]
    }
}

/// CPU twin: the guesses of one lane, whose text to come is given by position.
pub fn cpu(params: &Params, lane: u32, control: &Control, script: &[u32]) -> Vec<u32> {
    let most = params.most.min(params.span - 1).min(control.remaining - 1);
    let guess = |i: u32| {
        let position = (control.position + i).min(params.context - 1);
        let right = script[position as usize];
        let luck = mix(mix(mix(0, params.seed), lane), position);
        if luck <= params.chance && params.chance > 0 { right } else { (right + 1) % params.vocabulary }
    };
    (1..=most).map(guess).collect()
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
        for (lanes, span, base, most, chance) in
            [(1u32, 2u32, 0u32, 1u32, u32::MAX), (70, 5, 3, 3, 1 << 31), (9, 9, 2, 8, 0), (5, 3, 0, 0, 9)]
        {
            let (context, vocabulary) = (40, 61);
            let lane = |i: u32| Control {
                phase: if i % 5 == 3 { Control::READING } else { Control::READY },
                position: i * 7 % context,
                remaining: 1 + i % 9,
                rows: 1,
                kept: 1,
                ..Control::default()
            };
            let mut control: Vec<Control> = (0..lanes).map(lane).collect();
            let script: Vec<u32> = (0..lanes * context).map(|i| i * 17 % vocabulary).collect();
            let mut tokens = vec![99u32; (base + lanes * span) as usize];
            let (on, guesses) = (device.upload(&control), device.upload(&tokens));
            let params = Params { lanes, span, base, context, vocabulary, chance, seed: 5, most, source: 1 };
            device.run(&Recall { control: &on, script: &device.upload(&script), tokens: &guesses, params });
            for i in 0..lanes {
                let how = &mut control[i as usize];
                if how.phase != Control::READY {
                    continue;
                }
                let made = cpu(&params, i, how, &script[(i * context) as usize..][..context as usize]);
                tokens[(base + i * span + 1) as usize..][..made.len()].copy_from_slice(&made);
                (how.guesses, how.rows, how.source) = (made.len() as u32, 1 + made.len() as u32, 1);
            }
            same(&device.words(&on), bytemuck::cast_slice(&control));
            same(&device.words(&guesses), &tokens);
        }
    }
}
