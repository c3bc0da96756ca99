//! Matrix times many vectors, tiled through workgroup memory: prefill and large batches.
//!
//! Shader: `shaders/products/matmul.wgsl`. Parameters, twin and test are those of [`matvec`](crate::kernels::products::matvec).

use crate::gpu::{Binding, Kernel, Source};
use crate::kernels::NumericClass;
pub use crate::kernels::products::matvec::cpu;
use crate::kernels::products::matvec::{Operands, Params};

/// Tiles of 64 outputs by 32 rows.
#[derive(Debug)]
pub struct Matmul<'a> {
    /// What is multiplied.
    pub operands: Operands<'a>,
}

impl Matmul<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;
}

impl Kernel for Matmul<'_> {
    const NAME: &'static str = "matmul";
    type Params = Params;

    fn source(&self) -> Source {
        self.operands.source(include_str!("../../../shaders/products/matmul.wgsl"), vec![])
    }

    fn params(&self) -> Params {
        self.operands.spread(64, 32).0
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.operands.bindings(self.operands.input.read())
    }

    fn grid(&self) -> [u32; 3] {
        self.operands.spread(64, 32).1
    }
}
