//! A piece of a list, as a list: for kernels whose results have room for so many rows.
//!
//! Shader: `shaders/exits/slice.wgsl`.

use crate::gpu::{Binding, Buffer, Kernel, Source};
use crate::params;

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Slice<'a> {
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[count, rows...]`
    pub piece: &'a Buffer,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// First place.
    pub first: u32,
    /// Places of the piece.
    pub most: u32,
}
}

impl Kernel for Slice<'_> {
    const NAME: &'static str = "slice";
    type Params = Params;

    fn source(&self) -> Source {
        Source::plain(include_str!("../../../shaders/exits/slice.wgsl"))
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.list.read(), self.piece.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.params.most.div_ceil(64), 1, 1]
    }
}

/// CPU twin: the rows of the piece.
pub fn cpu(params: &Params, rows: &[u32]) -> Vec<u32> {
    rows.iter().skip(params.first as usize).take(params.most as usize).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        for (n, first, most) in [(0u32, 0u32, 1u32), (5, 0, 5), (5, 4, 3), (5, 5, 3), (5, 9, 3), (200, 64, 65)] {
            let rows: Vec<u32> = (0..n).map(|i| 3 * i + 7).collect();
            let list: Vec<u32> = std::iter::once(n).chain(rows.iter().copied()).collect();
            let piece = device.upload(&vec![0xffffu32; most as usize + 1]);
            let params = Params { first, most };
            device.run(&Slice { list: &device.upload(&list), piece: &piece, params });
            let (got, want) = (device.words(&piece), cpu(&params, &rows));
            assert_eq!(got[0] as usize, want.len(), "{n} rows from {first}");
            assert_eq!(got[1..=want.len()], want, "{n} rows from {first}");
        }
    }
}
