//! Judges logits by the token that really came: log-probability, best token, entropy.
//!
//! Shader: `shaders/draw/cross_entropy.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct CrossEntropy<'a> {
    /// `[places]`
    pub targets: &'a Buffer,
    /// `[places, stride]`
    pub logits: &'a Buffer,
    /// `[places]` of [`Judged`]
    pub judged: &'a Buffer,
    /// Number of places.
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

/// What one row's logits say.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Judged {
    /// The most probable token, the lowest of equals.
    pub best: u32,
    /// Natural logarithm of the target's probability.
    pub log_probability: f32,
    /// Natural logarithm of the best token's probability.
    pub best_log_probability: f32,
    /// Of the whole distribution, in nats.
    pub entropy: f32,
}

impl Kernel for CrossEntropy<'_> {
    const NAME: &'static str = "cross_entropy";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![
                include_str!("../../../shaders/draw/cross_entropy.wgsl"),
                crate::kernels::DRAW,
                crate::kernels::FOLD,
            ],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.targets.read(), self.logits.read(), self.judged.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }
}

/// CPU twin: one row of logits.
pub fn cpu(logits: &[f32], target: usize) -> Judged {
    let best = (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
    let above = |i: usize| f64::from(logits[i]) - f64::from(logits[best]);
    let mass: f64 = (0..logits.len()).map(|i| above(i).exp()).sum();
    let mean: f64 = (0..logits.len()).map(|i| above(i).exp() * above(i)).sum::<f64>() / mass;
    Judged {
        best: best as u32,
        log_probability: (above(target) - mass.ln()) as f32,
        best_log_probability: -mass.ln() as f32,
        entropy: (mass.ln() - mean) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for vocabulary in [1u32, 31, 257, 1000] {
            for scale in [0.0, 6.0, 60.0] {
                let (n_rows, stride) = (9u32, vocabulary + 3);
                let logits: Vec<f32> = numbers((n_rows * stride) as usize, 81).iter().map(|x| x * scale).collect();
                let targets: Vec<u32> = (0..n_rows).map(|row| (row * 37) % vocabulary).collect();
                let judged = device.poisoned(n_rows * 4);
                device.run(&CrossEntropy {
                    targets: &device.upload(&targets),
                    logits: &device.upload(&logits),
                    judged: &judged,
                    n_rows,
                    params: Params { vocabulary, stride },
                });
                let words = device.words(&judged);
                for (row, got) in bytemuck::cast_slice::<u32, Judged>(&words[..n_rows as usize * 4]).iter().enumerate()
                {
                    let own = &logits[row * stride as usize..][..vocabulary as usize];
                    let want = cpu(own, targets[row] as usize);
                    assert_eq!(got.best, want.best, "row {row} of {vocabulary}");
                    let numbers =
                        |judged: &Judged| [judged.log_probability, judged.best_log_probability, judged.entropy];
                    assert_close("judged", &numbers(got), &numbers(&want), 2e-5);
                }
            }
        }
    }

    #[test]
    fn equal_logits_have_the_entropy_of_a_fair_choice() {
        let judged = cpu(&[1.5; 64], 3);
        assert_eq!(judged.best, 0);
        assert!((judged.entropy - 64f32.ln()).abs() < 1e-6 && (judged.log_probability + 64f32.ln()).abs() < 1e-6);
    }
}
