//! Guesses by looking up what followed the last tokens where they stood before (prompt lookup decoding, an n-gram drafter).
//!
//! Shader: `shaders/drafts/lookup.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::LANE;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Lookup<'a> {
    /// `[lanes]` of [`Control`](crate::kernels::Control)
    pub control: &'a Buffer,
    /// `[lanes, context]`
    pub history: &'a Buffer,
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
    /// Positions of a lane in `history`, at most 2^24.
    pub context: u32,
    /// Tokens that must match.
    pub least: u32,
    /// Tokens beyond which a match is not longer.
    pub longest: u32,
    /// Guesses that are checked; the others are only told.
    pub most: u32,
    /// Who guesses.
    pub source: u32,
}
}

impl Kernel for Lookup<'_> {
    const NAME: &'static str = "lookup";
    type Params = Params;

    fn source(&self) -> Source {
        Source { parts: vec![include_str!("../../../shaders/drafts/lookup.wgsl"), LANE], constants: vec![] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.control.write(), self.history.read(), self.tokens.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.params.lanes, 1, 1]
    }
}

/// CPU twin: `count` guesses of what follows a text.
pub fn cpu(text: &[u32], least: usize, longest: usize, count: usize) -> Option<Vec<u32>> {
    let end = text.len() - 1;
    let equal = |j: usize| (0..=j.min(longest - 1)).take_while(|&back| text[j - back] == text[end - back]).count();
    let (length, j) = (0..end).map(|j| (equal(j), j)).filter(|(length, _)| *length >= least).max()?;
    debug_assert!(length <= longest);
    let mut all = text.to_vec();
    (1..=count).for_each(|i| all.push(all[j + i]));
    Some(all.split_off(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Control;
    use crate::kernels::check::Device;

    #[test]
    fn what_followed_before_is_guessed() {
        assert_eq!(cpu(&[1, 2, 3, 4, 1, 2], 2, 4, 3), Some(vec![3, 4, 1]));
        assert_eq!(cpu(&[1, 2, 3, 4, 1, 2], 3, 4, 3), None);
        assert_eq!(cpu(&[5, 2, 7, 6, 2, 8, 6, 2], 1, 4, 1), Some(vec![8]), "the longest match");
        assert_eq!(cpu(&[2, 7, 2, 8, 2], 1, 4, 1), Some(vec![8]), "the latest of equal ones");
        assert_eq!(cpu(&[9, 4, 4], 1, 4, 3), Some(vec![4, 4, 4]), "guesses that repeat themselves");
        assert_eq!(cpu(&[3], 1, 4, 3), None);
    }

    /// Buffers end with what fills them up.
    fn same(got: &[u32], want: &[u32]) {
        assert_eq!(&got[..want.len()], want);
    }

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base, least, most) in
            [(1u32, 2u32, 0u32, 1u32, 1u32), (9, 4, 3, 2, 3), (40, 9, 2, 3, 2), (5, 3, 0, 1, 0)]
        {
            let context = 200;
            let lane = |i: u32| Control {
                phase: if i % 5 == 3 { Control::READING } else { Control::READY },
                position: [0, 3, 70, 150, 199][i as usize % 5],
                remaining: 1 + i % 7,
                rows: 1,
                kept: 1,
                guesses: u32::from(i % 6 == 4),
                ..Control::default()
            };
            let mut control: Vec<Control> = (0..lanes).map(lane).collect();
            let history: Vec<u32> =
                (0..lanes * context).map(|i| (i * i / 7 + i / 13) % (2 + i / context % 5)).collect();
            let mut tokens = vec![99u32; (base + lanes * span) as usize];
            let (on, guesses) = (device.upload(&control), device.upload(&tokens));
            let params = Params { lanes, span, base, context, least, longest: 5, most, source: 2 };
            device.run(&Lookup { control: &on, history: &device.upload(&history), tokens: &guesses, params });
            let mut found = 0;
            for i in 0..lanes {
                let how = &mut control[i as usize];
                if how.phase != Control::READY || how.guesses > 0 {
                    continue;
                }
                let text = &history[(i * context) as usize..][..=how.position as usize];
                let Some(made) = cpu(text, least as usize, 5, span as usize - 1) else { continue };
                found += 1;
                tokens[(base + i * span + 1) as usize..][..made.len()].copy_from_slice(&made);
                how.guesses = span - 1;
                how.rows = 1 + most.min(span - 1).min(how.remaining - 1);
                how.source = 2;
            }
            assert!(found > 0 || lanes == 1, "{lanes} lanes");
            same(&device.words(&on), bytemuck::cast_slice(&control));
            same(&device.words(&guesses), &tokens);
        }
    }
}
