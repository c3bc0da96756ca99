//! The product in front of a gated activation together with it, where each number that is stored and read again costs.
//!
//! Shader: `shaders/products/matvec_glu.wgsl`. Twins are those of [`matvec`](crate::kernels::products::matvec) and [`swiglu`](crate::kernels::rows::swiglu).

use crate::gpu::{Binding, Kernel, Source, Texture, Traits};
use crate::kernels::products::matvec::Params;
use crate::kernels::products::matvec_serial::MatvecSerial;
use crate::kernels::rows::swiglu::Activation;
use crate::kernels::{NumericClass, by_subgroup};

/// What [`MatvecSerial`] and [`Swiglu`](crate::kernels::rows::swiglu::Swiglu) make, one after the other.
#[derive(Debug)]
pub struct MatvecGlu<'a> {
    /// The product. Its matrix is inner, then up, in one part; its output stride is that of `activated`; it is not stored.
    pub product: MatvecSerial<'a>,
    /// `[places, output_stride]`, zero behind the width; another texture than the product reads.
    pub activated: &'a Texture,
    /// What the inner half goes through.
    pub activation: Activation,
}

impl MatvecGlu<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;

    /// Whether it is worth it: by subgroups. Without them it gained nothing and compiled half a second longer at each start.
    pub fn fits(traits: &Traits) -> bool {
        MatvecSerial::fits(traits) && by_subgroup(traits)
    }
}

impl Kernel for MatvecGlu<'_> {
    const NAME: &'static str = "matvec_glu";
    type Params = Params;

    fn source(&self) -> Source {
        let mut source = self.product.complete(include_str!("../../../shaders/products/matvec_glu.wgsl"));
        let (activate, constant) = self.activation.text();
        source.parts.extend([activate, crate::kernels::GATHERED]);
        source.constants.extend(constant.into_iter().chain([("GATHERED", 4)]));
        source
    }

    fn params(&self) -> Params {
        self.product.params()
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = self.product.bindings();
        bindings.pop();
        bindings.push(self.activated.write());
        bindings
    }

    /// A workgroup of the product has half its outputs in the inner half, half in up.
    fn grid(&self) -> [u32; 3] {
        self.product.grid()
    }

    fn loops_per_turn(&self) -> Option<u32> {
        self.product.loops_per_turn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{Device, assert_close, numbers};
    use crate::kernels::padded;
    use crate::kernels::products::gather::{self, Gather, Inputs};
    use crate::kernels::products::matrix::Part;
    use crate::kernels::products::matvec::{self, Operands};
    use crate::kernels::rows::swiglu::{self, Swiglu};
    use crate::tensor::DataType;

    #[test]
    fn one_kernel_gives_the_bits_of_two() {
        let device = Device::open();
        for (n_rows, columns, width, activation) in [
            (1, 32, 1, Activation::Silu),
            (5, 96, 33, Activation::GeluTanh),
            (9, 64, 96, Activation::Silu),
            (40, 32, 70, Activation::GeluTanh),
            (5, 32, 70, Activation::Gelu),
            (5, 64, 33, Activation::Relu),
            (1, 32, 70, Activation::ReluSquared),
        ] {
            let matrix = numbers((2 * width * columns) as usize, 61);
            let words: Vec<u32> = matrix.iter().map(|x| x.to_bits()).collect();
            let weights = device.weights(&words, columns / 4, true);
            let part = Part { weights, data_type: DataType::F32, stride: columns / 4, first: 0, rows: 2 * width };
            let input = device.rows(n_rows, columns, 62);
            let (_, list, listed) = device.every_other(n_rows, 1);
            let n = listed.len() as u32;
            let texture = |columns: u32| device.gpu.texture("test", u64::from(n_rows * columns) * 4).expect("texture");
            let (gathered, apart) = (texture(columns), texture(padded(width)));
            let params = gather::Params { vectors: columns / 4 };
            device.run(&Gather { input: &input.buffer, list: &list, gathered: &gathered, n_rows, params });
            let output = device.poisoned(n_rows * 2 * width);
            let product = |output_stride: u32, columns: u32, subgroups: bool| MatvecSerial {
                operands: Operands {
                    part: &part,
                    input: &input.buffer,
                    list: &list,
                    output: &output,
                    n_rows,
                    params: Params {
                        blocks: input.stride / 32,
                        weight_stride: part.stride,
                        outputs: 2 * width,
                        input_stride: input.stride / 4,
                        output_stride,
                        output_offset: 0,
                        mode: matvec::WRITE,
                        line: 0,
                    },
                },
                gathered: &gathered,
                columns,
                subgroups,
            };
            device.run(&product(2 * width, 4, false));
            device.run(&Swiglu {
                input: &output,
                list: &list,
                output: &Inputs { rows: device.poisoned(n_rows * padded(width)), gathered: Some(apart.clone()) },
                activation,
                n_rows,
                params: swiglu::Params { width, input_stride: 2 * width, output_stride: padded(width) / 4 },
            });
            let want = device.texture_floats(&apart, n, padded(width));
            for (place, &row) in listed.iter().enumerate() {
                let both = matvec::cpu(&matrix, input.row(row));
                let (inner, up) = both.split_at(width as usize);
                let place = &want[place * padded(width) as usize..][..width as usize];
                assert_close("activated", place, &swiglu::cpu(inner, up, activation), 1e-4);
            }
            if !device.subgroups() {
                continue;
            }
            for columns in [1, 8] {
                let activated = texture(padded(width));
                device.gpu.write_texture(&activated, 0, &vec![f32::NAN.to_bits(); (n_rows * padded(width)) as usize]);
                let product = product(padded(width), columns, true);
                device.run(&MatvecGlu { product, activated: &activated, activation });
                let got = device.texture_floats(&activated, n, padded(width));
                assert!(
                    got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "width {width}, {columns} rows"
                );
            }
        }
    }
}
