//! The most probable tokens beside the one that was drawn.
//!
//! Shader: `shaders/draw/alternatives.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::draw::cross_entropy;
pub use crate::kernels::draw::cross_entropy::Params;

/// Arguments of one dispatch, behind that of [`Sample`](crate::kernels::draw::sample::Sample). Shapes: see the shader.
#[derive(Debug)]
pub struct Alternatives<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[places, stride]`
    pub logits: &'a Buffer,
    /// `[places, words]`, see [`drawn_words`]
    pub drawn: &'a Buffer,
    /// Tokens to tell of.
    pub alternatives: u32,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

/// Words for a drawn token: it and the bits of its log-probability, then the same of each alternative.
pub const fn drawn_words(alternatives: u32) -> u32 {
    2 + 2 * alternatives
}

impl Kernel for Alternatives<'_> {
    const NAME: &'static str = "alternatives";
    type Params = Params;

    fn source(&self) -> Source {
        let parts =
            vec![include_str!("../../../shaders/draw/alternatives.wgsl"), crate::kernels::DRAW, crate::kernels::FOLD];
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

    fn loops_per_turn(&self) -> Option<u32> {
        let passes = 1 + self.alternatives;
        Some(passes * (self.params.vocabulary / crate::kernels::FOLD_THREADS + 16))
    }
}

/// CPU twin: the most probable tokens and the natural logarithms of their probabilities; of equals the lower comes first.
pub fn cpu(logits: &[f32], alternatives: usize) -> Vec<(u32, f32)> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    order.truncate(alternatives);
    let log_probability = |token: u32| cross_entropy::cpu(logits, token as usize).log_probability;
    order.into_iter().map(|token| (token, log_probability(token))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (vocabulary, alternatives) in [(3u32, 4u32), (257, 1), (1000, 4), (4096, 3)] {
            let (n_rows, stride, words) = (37, vocabulary + 5, drawn_words(alternatives) as usize);
            // Of few different numbers, so that many are equal.
            let logits: Vec<f32> =
                numbers((n_rows * stride) as usize, 31).iter().map(|x| (x * 40.0).round() / 4.0).collect();
            let own = |place: usize| &logits[place * stride as usize..][..vocabulary as usize];
            let mut start = vec![7u32; n_rows as usize * words];
            for place in 0..n_rows as usize {
                let token = place % vocabulary as usize;
                let log_probability = cross_entropy::cpu(own(place), token).log_probability;
                start[place * words..][..2].copy_from_slice(&[token as u32, log_probability.to_bits()]);
            }
            let drawn = device.upload(&start);
            let list: Vec<u32> = std::iter::once(n_rows).chain(0..n_rows).collect();
            device.run(&Alternatives {
                list: &device.upload(&list),
                logits: &device.upload(&logits),
                drawn: &drawn,
                alternatives,
                n_rows,
                params: Params { vocabulary, stride },
            });
            let got = device.words(&drawn);
            for place in 0..n_rows as usize {
                let (first, listed) = got[place * words..][..words].split_at(2);
                assert_eq!(first, &start[place * words..][..2]);
                for (pair, want) in listed.chunks(2).zip(cpu(own(place), alternatives as usize)) {
                    assert_eq!(pair[0], want.0, "place {place} of {vocabulary}");
                    assert_close("log-probability", &[f32::from_bits(pair[1])], &[want.1], 1e-4);
                }
                assert!(listed.chunks(2).skip(vocabulary as usize).all(|pair| pair[0] == u32::MAX));
            }
        }
    }
}
