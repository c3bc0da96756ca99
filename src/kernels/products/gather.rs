//! What products read: rows, and beside them, for products that read textures, the rows of a list one behind the other.
//!
//! Shader: `shaders/products/gather.wgsl`. Read by [`matvec_serial`](crate::kernels::products::matvec_serial) and [`matvec_glu`](crate::kernels::products::matvec_glu).

use crate::gpu::{Binding, Buffer, Kernel, Source, Texture};
use crate::params;

/// What products read, as the kernel that makes it leaves it: in its rows and, where there is one, in the texture.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[rows, columns]`
    pub rows: Buffer,
    /// `[places of the list, columns / 4]` vectors, for products that read textures.
    pub gathered: Option<Texture>,
}

impl Inputs {
    /// Bindings of the kernel that makes it.
    pub(crate) fn write(&self) -> impl Iterator<Item = Binding<'_>> {
        [Some(self.rows.write()), self.gathered.as_ref().map(Texture::write)].into_iter().flatten()
    }
}

/// Arguments of one dispatch. Shapes: see the shader.
#[derive(Debug)]
pub struct Gather<'a> {
    /// `[rows, vectors]`
    pub input: &'a Buffer,
    /// `[count, rows...]`
    pub list: &'a Buffer,
    /// `[places, vectors]`
    pub gathered: &'a Texture,
    /// Most rows that the list can hold.
    pub n_rows: u32,
    /// The uniform block.
    pub params: Params,
}

params! {
/// Parameters; units and meaning as in the shader.
pub struct Params {
    /// Vectors per row.
    pub vectors: u32,
}
}

impl Kernel for Gather<'_> {
    const NAME: &'static str = "gather";
    type Params = Params;

    fn source(&self) -> Source {
        share(Source::plain(include_str!("../../../shaders/products/gather.wgsl")), Some(self.gathered), 3)
    }

    fn params(&self) -> Params {
        self.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        vec![self.input.read(), self.list.read(), self.gathered.write()]
    }

    fn grid(&self) -> [u32; 3] {
        [self.n_rows, 1, 1]
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(self.params.vectors / 8 + 2)
    }
}

/// Completes the text of a kernel that makes inputs of products: where there is a texture it leaves them as [`Gather`] would,
/// in the texture at this place among its bindings.
pub(crate) fn share(mut source: Source, gathered: Option<&Texture>, place: u32) -> Source {
    if gathered.is_some() {
        source.parts.extend([crate::kernels::GATHERED, crate::kernels::TEXEL]);
        source.constants.push(("GATHERED", place));
    } else {
        source.parts.push(crate::kernels::GATHERED_NOWHERE);
    }
    source
}

/// CPU twin: listed rows of `input`, `[rows, width]`, one behind the other.
pub fn cpu(input: &[f32], width: usize, listed: &[u32]) -> Vec<f32> {
    listed.iter().flat_map(|&row| &input[row as usize * width..][..width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::Device;
    use crate::kernels::padded;

    #[test]
    fn gpu_matches_cpu() {
        let device = Device::open();
        // The second fills more than a line of the texture.
        for (n, width) in [(5, 32), (70, padded(280))] {
            let rows = device.rows(n, width, 31);
            let (_, list, listed) = device.every_other(n, 1);
            let gathered = device.gpu.texture("test", u64::from(n * width) * 4).expect("texture");
            let params = Params { vectors: width / 4 };
            device.run(&Gather { input: &rows.buffer, list: &list, gathered: &gathered, n_rows: n, params });
            let got = device.texture_floats(&gathered, n, width);
            let mut want = cpu(&rows.values, width as usize, &listed);
            want.resize(got.len(), 0.0);
            assert_eq!(got, want, "{n} rows of {width}");
        }
    }
}
