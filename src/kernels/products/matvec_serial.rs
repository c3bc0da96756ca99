//! Matrix times a few vectors out of textures, where workgroup memory costs more than it saves.
//!
//! Shader: `shaders/products/matvec_serial.wgsl`. Parameters, twin and test are those of [`matvec`](crate::kernels::products::matvec).

use crate::gpu::traits::Storage;
use crate::gpu::{Binding, Kernel, Source, Texture, Traits};
use crate::kernels::NumericClass;
pub use crate::kernels::products::matvec::cpu;
use crate::kernels::products::matvec::{Operands, Params};

/// Up to `columns` rows of the list at once: 1, 2, 4, 8, 16 or 32.
#[derive(Debug)]
pub struct MatvecSerial<'a> {
    /// What is multiplied.
    pub operands: Operands<'a>,
    /// What [`Gather`](crate::kernels::products::gather::Gather) made of the operands' input and list.
    pub gathered: &'a Texture,
    /// Rows per workgroup.
    pub columns: u32,
    /// The threads of a subgroup share what they read, see [`by_subgroup`](crate::kernels::by_subgroup).
    pub subgroups: bool,
}

/// Threads of a workgroup.
const THREADS: u32 = 8;
/// Outputs of a thread.
const OUTPUTS: u32 = 8;

impl MatvecSerial<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;

    /// It multiplies what lies in textures.
    pub fn fits(traits: &Traits) -> bool {
        traits.weights == Storage::Texture
    }

    /// Rows that share each weight, where `lanes` sequences are written side by side. The text for 32 takes a second to compile
    /// when a machine first sees it, which a single prompt does not earn back.
    pub fn columns(traits: &Traits, n_rows: u32, lanes: u32, blocks: u32) -> u32 {
        let most = traits.max_loops.unwrap_or(u32::MAX);
        let mut columns = n_rows.next_power_of_two().min(if lanes < 32 { 16 } else { 32 });
        while columns > 1 && loops(blocks, columns) > most {
            columns /= 2;
        }
        columns
    }

    /// The text of a kernel with what it has in common with others that multiply in this way.
    pub(crate) fn complete(&self, text: &'static str) -> Source {
        let mut source = self.operands.source(text, vec![("COLS", self.columns)]);
        source.parts.extend([
            crate::kernels::SERIAL,
            if self.subgroups { crate::kernels::COLUMN_SUBGROUP } else { crate::kernels::COLUMN },
        ]);
        source
    }

    fn spread(&self) -> (Params, [u32; 3]) {
        self.operands.spread(OUTPUTS * THREADS, self.columns)
    }
}

/// Passes through loops of a tile: blocks, each with its rows, and the rows that are written.
fn loops(blocks: u32, columns: u32) -> u32 {
    blocks.saturating_mul(columns + 1) + 10 * columns + 1
}

impl Kernel for MatvecSerial<'_> {
    const NAME: &'static str = "matvec_serial";
    type Params = Params;

    fn source(&self) -> Source {
        self.complete(include_str!("../../../shaders/products/matvec_serial.wgsl"))
    }

    fn params(&self) -> Params {
        self.spread().0
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.operands.bindings(self.gathered.read())
    }

    fn grid(&self) -> [u32; 3] {
        self.spread().1
    }

    fn loops_per_turn(&self) -> Option<u32> {
        Some(loops(self.operands.params.blocks, self.columns))
    }
}
