//! Measures how unsure a guess is: the entropy of the probabilities that it was drawn from.
//!
//! Shader: `shaders/drafts/entropy.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::draw::alternatives::drawn_words;
use crate::kernels::exits::head_statistic::{self, Statistic};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Entropy<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[places, stride]`
    pub logits: &'a Buffer,
    /// `[places, words]`, see [`drawn_words`]
    pub drawn: &'a Buffer,
    /// Alternatives that there is room for.
    pub alternatives: u32,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Number of tokens.
    pub vocabulary: u32,
    /// Numbers per row of logits.
    pub stride: u32,
}
}

impl Kernel for Entropy<'_> {
    const NAME: &'static str = "entropy";
    type Params = Params;

    fn source(&self) -> Source {
        let text = include_str!("../../../shaders/drafts/entropy.wgsl");
        let parts = vec![text, Statistic::Entropy.text(), crate::kernels::DRAW, crate::kernels::FOLD];
        Source { parts, constants: vec![("DRAWN", drawn_words(self.alternatives))] }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.list.read(), self.logits.read(), self.drawn.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }
}

/// CPU twin: what stands in place of the log-probability.
pub fn cpu(logits: &[f32]) -> f32 {
    -head_statistic::cpu(Statistic::Entropy, logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (vocabulary, n_rows) in [(1u32, 1u32), (31, 3), (300, 5), (9000, 2)] {
            let stride = vocabulary + 3;
            let logits: Vec<f32> = numbers((n_rows * stride) as usize, 41).iter().map(|x| x * 6.0).collect();
            let list: Vec<u32> = std::iter::once(n_rows).chain((0..n_rows).rev()).collect();
            let drawn = device.poisoned(n_rows * 2);
            device.run(&Entropy {
                list: &device.upload(&list),
                logits: &device.upload(&logits),
                drawn: &drawn,
                alternatives: 0,
                n_rows,
                params: Params { vocabulary, stride },
            });
            let got: Vec<f32> = device.floats(&drawn).chunks_exact(2).take(n_rows as usize).map(|d| d[1]).collect();
            let row = |place: u32| cpu(&logits[(place * stride) as usize..][..vocabulary as usize]);
            assert_close("entropy", &got, &(0..n_rows).map(row).collect::<Vec<_>>(), 1e-5);
        }
    }
}
