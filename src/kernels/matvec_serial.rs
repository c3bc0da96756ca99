//! Matrix times a few vectors for software adapters, where workgroup memory costs more than it saves.
//!
//! Shader: `shaders/matvec_serial.wgsl`. Parameters, twin and test are those of [`matvec`](super::matvec).

pub use super::matvec::cpu;
use super::matvec::{Operands, Params};
use crate::gpu::{Binding, Kernel, Source};

/// `columns` rows of the list at once: 1, 2, 4 or 8.
#[derive(Debug)]
pub struct MatvecSerial<'a> {
    /// What is multiplied.
    pub operands: Operands<'a>,
    /// Rows per workgroup.
    pub columns: u32,
}

/// Outputs per workgroup: 16 threads of 2.
const OUTPUTS: u32 = 32;

impl Kernel for MatvecSerial<'_> {
    const NAME: &'static str = "matvec_serial";
    type Params = Params;

    fn source(&self) -> Source {
        self.operands.source(include_str!("../../shaders/matvec_serial.wgsl"), vec![("COLS", self.columns)])
    }

    fn params(&self) -> Params {
        self.operands.spread(OUTPUTS, self.columns).0
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.operands.bindings()
    }

    fn grid(&self) -> [u32; 3] {
        self.operands.spread(OUTPUTS, self.columns).1
    }
}
