//! Matrix times a few vectors for software adapters, where workgroup memory costs more than it saves.
//!
//! Shader: `shaders/matvec_serial.wgsl`. Parameters, twin and test are those of [`matvec`](super::matvec).

pub use super::matvec::cpu;
use super::matvec::{Operands, Params};
use crate::gpu::{Binding, Kernel, Source};

/// `columns` rows of the list at once: 1, 2, 4, 8 or 16.
#[derive(Debug)]
pub struct MatvecSerial<'a> {
    /// What is multiplied.
    pub operands: Operands<'a>,
    /// Rows per workgroup.
    pub columns: u32,
    /// The device has subgroups of 8 threads, which share what they read.
    pub subgroups: bool,
}

/// Threads of a workgroup.
const THREADS: u32 = 8;
/// Outputs that a thread may have.
const OUTPUTS: [u32; 2] = [8, 16];

const SERIAL: &str = include_str!("../../shaders/matvec_serial.wgsl");

impl MatvecSerial<'_> {
    /// Rows that share each weight, where `lanes` sequences are written side by side. The text for 16 takes seconds to compile
    /// when a machine first sees it, which a single prompt never earns back; with more the sums no longer fit where they are
    /// fast to reach.
    pub fn columns(n_rows: u32, lanes: u32) -> u32 {
        if n_rows.min(lanes) < 16 { n_rows.next_power_of_two().min(8) } else { 16 }
    }

    /// Outputs of a thread. The more, the fewer workgroups read the same inputs; but with few rows those of a narrow matrix
    /// would not keep all processors at work, and what a workgroup has beyond the last output is computed for nothing.
    fn outputs(&self) -> u32 {
        let [few, many] = OUTPUTS;
        let computed = |outputs: u32| self.operands.params.outputs.next_multiple_of(outputs * THREADS);
        if self.columns == 16 && computed(many) == computed(few) { many } else { few }
    }

    fn spread(&self) -> (Params, [u32; 3]) {
        self.operands.spread(self.outputs() * THREADS, self.columns)
    }
}

impl Kernel for MatvecSerial<'_> {
    const NAME: &'static str = "matvec_serial";
    const TAKES_TURNS: bool = true;
    type Params = Params;

    fn source(&self) -> Source {
        let constants = vec![("COLS", self.columns), ("OUTPUTS", self.outputs())];
        let mut source = self.operands.source(SERIAL, constants);
        source.parts.push(if self.subgroups { super::COLUMN_SUBGROUP } else { super::COLUMN });
        source
    }

    fn params(&self) -> Params {
        self.spread().0
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.operands.bindings()
    }

    fn grid(&self) -> [u32; 3] {
        self.spread().1
    }
}
