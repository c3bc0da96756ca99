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
    /// The device has subgroups of 8 threads, which share what they read.
    pub subgroups: bool,
}

/// Outputs per workgroup: 8 threads of 8.
const OUTPUTS: u32 = 64;

const SERIAL: &str = include_str!("../../shaders/matvec_serial.wgsl");

impl Kernel for MatvecSerial<'_> {
    const NAME: &'static str = "matvec_serial";
    const TAKES_TURNS: bool = true;
    type Params = Params;

    fn source(&self) -> Source {
        let mut source = self.operands.source(SERIAL, vec![("COLS", self.columns)]);
        source.parts.push(if self.subgroups { super::COLUMN_SUBGROUP } else { super::COLUMN });
        source
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
