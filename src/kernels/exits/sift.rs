//! Lists those rows of a list that were granted so many rounds, by a prefix sum.
//!
//! Shader: `shaders/exits/sift.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::kernels::{GRANTED, Granted};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Sift<'a> {
    /// `[rows]` of [`Granted`]
    pub granted: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[count, rows...]`
    pub sifted: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Least rounds granted.
    pub least: u32,
    /// Rounds from which on a row is left out.
    pub end: u32,
}
}

impl Kernel for Sift<'_> {
    const NAME: &'static str = "sift";
    type Params = Params;

    fn source(&self) -> Source {
        Source {
            parts: vec![include_str!("../../../shaders/exits/sift.wgsl"), crate::kernels::SCAN, GRANTED],
            constants: vec![],
        }
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.granted.read(), self.list.read(), self.sifted.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [1, 1, 1]
    }
}

/// CPU twin: the rows that pass.
pub fn cpu(params: &Params, granted: &[Granted], rows: &[u32]) -> Vec<u32> {
    let passes = |row: &u32| {
        let Granted { rounds, forced } = granted[*row as usize];
        forced == 0 && (params.least..params.end).contains(&rounds)
    };
    rows.iter().copied().filter(passes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n, least, end) in [(0u32, 0u32, 9u32), (1, 0, 9), (7, 2, 3), (256, 1, 4), (300, 3, 3), (1000, 2, 5)] {
            let granted: Vec<Granted> =
                (0..2 * n).map(|i| Granted { rounds: i / 3 % 6, forced: u32::from(i % 7 == 0) }).collect();
            let rows: Vec<u32> = (0..n).rev().map(|i| 2 * i).collect();
            let list: Vec<u32> = std::iter::once(n).chain(rows.iter().copied()).collect();
            let sifted = device.upload(&vec![0xffffu32; n as usize + 1]);
            let params = Params { least, end };
            let granted_there = if granted.is_empty() { device.upload(&[0u32; 2]) } else { device.upload(&granted) };
            device.run(&Sift { granted: &granted_there, list: &device.upload(&list), sifted: &sifted, params });
            let (got, want) = (device.words(&sifted), cpu(&params, &granted, &rows));
            assert_eq!(got[0] as usize, want.len(), "{n} rows, {least} to {end}");
            assert_eq!(got[1..=want.len()], want, "{n} rows, {least} to {end}");
        }
    }
}
