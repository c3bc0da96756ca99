//! Takes what a part of the network drew as a guess.
//!
//! Shader: `shaders/drafts/propose.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::LANE;
use crate::kernels::draw::alternatives::drawn_words;
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Propose<'a> {
    /// `[count, rows...]`, at most one of each lane, and never the last of its span
    pub list: &'a Buffer,
    /// `[places, words]`, see [`drawn_words`]
    pub drawn: &'a Buffer,
    /// Alternatives to each drawn token.
    pub alternatives: u32,
    /// `[lanes]` of [`Control`](crate::kernels::Control)
    pub control: &'a Buffer,
    /// `[rows]`: tokens of guesses
    pub tokens: &'a Buffer,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// First row of lane 0.
    pub base: u32,
    /// Rows of a lane.
    pub span: u32,
    /// Least that stands behind a guess: its log-probability, or another measure.
    pub least_sureness: f32,
}
}

impl Kernel for Propose<'_> {
    const NAME: &'static str = "propose";
    type Params = Params;

    fn source(&self) -> Source {
        let parts = vec![include_str!("../../../shaders/drafts/propose.wgsl"), LANE];
        Source { parts, constants: vec![("DRAWN", drawn_words(self.alternatives))] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.list.read(), self.drawn.read(), self.control.write(), self.tokens.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows.div_ceil(64), 1, 1]
    }
}

/// CPU twin: the guess behind a row, if its draw is sure enough.
pub fn cpu(params: &Params, drawn: (u32, f32)) -> Option<u32> {
    (drawn.1 >= params.least_sureness).then_some(drawn.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Control;
    use crate::kernels::check::Device;

    /// Buffers end with what fills them up.
    fn same(got: &[u32], want: &[u32]) {
        assert_eq!(&got[..want.len()], want);
    }

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (lanes, span, base) in [(1u32, 2u32, 0u32), (9, 4, 3), (200, 9, 7)] {
            let params = Params { base, span, least_sureness: -1.0 };
            let mut control: Vec<Control> =
                (0..lanes).map(|i| Control { rows: 1, serial: i, ..Control::default() }).collect();
            let mut tokens = vec![99u32; (base + lanes * span) as usize];
            let listed: Vec<u32> = (0..lanes).filter(|i| i % 3 < 2).map(|i| base + i * span + i % (span - 1)).collect();
            let drawn: Vec<(u32, f32)> = (0..listed.len()).map(|i| (i as u32 * 7, -0.4 * (i % 5) as f32)).collect();
            let words: Vec<u32> = drawn.iter().flat_map(|d| [d.0, d.1.to_bits()]).collect();
            let list: Vec<u32> = std::iter::once(listed.len() as u32).chain(listed.iter().copied()).collect();
            let (on, guesses) = (device.upload(&control), device.upload(&tokens));
            device.run(&Propose {
                list: &device.upload(&list),
                drawn: &device.upload(&words),
                alternatives: 0,
                control: &on,
                tokens: &guesses,
                n_rows: lanes,
                params,
            });
            for (row, drawn) in listed.iter().zip(&drawn) {
                let (lane, place) = ((row - base) / span, (row - base) % span);
                if let Some(guess) = cpu(&params, *drawn) {
                    tokens[*row as usize + 1] = guess;
                    (control[lane as usize].guesses, control[lane as usize].rows) = (place + 1, place + 2);
                }
            }
            same(&device.words(&on), bytemuck::cast_slice(&control));
            same(&device.words(&guesses), &tokens);
        }
    }
}
