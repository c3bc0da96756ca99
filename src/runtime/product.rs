//! Matrix times the rows of a batch, by the kernel that suits the device and their number; all give the same bits.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass, Texture};
use crate::kernels::padded;
use crate::kernels::products::bias::{self, Bias};
use crate::kernels::products::gather::{self, Gather};
use crate::kernels::products::matmul::Matmul;
use crate::kernels::products::matrix::{Matrix, Part};
use crate::kernels::products::matvec::{self, Matvec, Operands};
use crate::kernels::products::matvec_gated::MatvecGated;
use crate::kernels::products::matvec_serial::MatvecSerial;
use crate::kernels::rows::swiglu::Activation;
use crate::network::names::Linear;
use crate::runtime::layer::Batch;
use crate::runtime::state::Gathered;
use crate::runtime::step::Network;
use crate::runtime::weights::LayerWeights;

/// What a product reads.
#[derive(Debug, Clone, Copy)]
pub enum Inputs<'a> {
    /// `[rows, columns]`
    Rows(&'a Buffer),
    /// `[rows, columns]` of which the last kernel has gathered those listed, where products read them so.
    Gathered(&'a Buffer),
    /// The feed-forward activations, which the last kernel has gathered in the same way, if not left in their rows.
    Activated,
}

/// Where a product goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `[rows, stride]`
    pub buffer: &'a Buffer,
    /// Numbers per row.
    pub stride: u32,
    /// [`matvec::WRITE`], [`matvec::ADD`] or [`matvec::COMPACT`].
    pub mode: u32,
}

impl Network<'_> {
    /// Where products read their inputs, if not in their rows.
    pub(super) fn gathered(&self) -> Option<&Gathered> {
        self.state.rows.gathered.as_ref().filter(|_| self.software)
    }

    /// `target = matrix . input`, for the first `outputs` rows of the matrix.
    pub(super) fn product(
        &self,
        pass: &mut Pass<'_>,
        matrix: &Matrix,
        outputs: u32,
        input: Inputs<'_>,
        batch: Batch<'_>,
        target: Target<'_>,
    ) -> Result<(), GpuError> {
        let Batch { list, n_rows, .. } = batch;
        let columns = padded(matrix.columns);
        let gathered = self.gathered();
        let (buffer, texture) = match input {
            Inputs::Rows(rows) | Inputs::Gathered(rows) => (rows, gathered.map(|gathered| &gathered.inputs)),
            Inputs::Activated => (&self.state.rows.activation, gathered.map(|gathered| &gathered.activated)),
        };
        if let (Some(gathered), Inputs::Rows(input)) = (texture, input) {
            let params = gather::Params { vectors: columns / 4 };
            pass.run(&Gather { input, list, gathered, n_rows, params })?;
        }
        for part in matrix.parts.iter().filter(|part| part.first < outputs) {
            let operands = operands(part, columns, outputs, buffer, batch, target);
            match (texture, n_rows) {
                (Some(gathered), _) => pass.run(&self.serial(operands, gathered))?,
                (None, 0..=16) => pass.run(&Matvec { operands, columns: n_rows.next_power_of_two().min(8) })?,
                (None, _) => pass.run(&Matmul { operands })?,
            }
        }
        if let Some(bias) = &matrix.bias {
            let params = bias::Params { outputs, stride: target.stride };
            pass.run(&Bias { bias, list, output: target.buffer, n_rows, params })?;
        }
        Ok(())
    }

    /// Gate and up with their activation in one kernel, where that is worth it and nothing has to come in between: with subgroups
    /// it is; SwiftShader, which has none of that size, gained nothing and compiled half a second longer at each start. Returns
    /// whether it was done.
    pub(super) fn gated_product(
        &self,
        pass: &mut Pass<'_>,
        weights: &LayerWeights,
        activation: Activation,
        input: Inputs<'_>,
        batch: Batch<'_>,
    ) -> Result<bool, GpuError> {
        let (rows, sizes, matrix) = (&self.state.rows, &self.state.sizes, &weights.gate_up);
        let adapted =
            [Linear::Gate, Linear::Up, Linear::Down].iter().any(|linear| weights.adapters.contains_key(linear));
        let gathered = self.gathered().filter(|_| self.subgroups() && !adapted);
        let (Some(gathered), [part], None, Inputs::Gathered(input)) =
            (gathered, &matrix.parts[..], &matrix.bias, input)
        else {
            return Ok(false);
        };
        let target = Target { buffer: &rows.activation, stride: sizes.activation, mode: matvec::WRITE };
        let operands = operands(part, padded(matrix.columns), part.rows, input, batch, target);
        let product = self.serial(operands, &gathered.inputs);
        pass.run(&MatvecGated { product, activated: &gathered.activated, activation })?;
        Ok(true)
    }

    fn serial<'b>(&self, operands: Operands<'b>, gathered: &'b Texture) -> MatvecSerial<'b> {
        let columns = MatvecSerial::columns(operands.n_rows, self.state.sizes.room.lane_rows(), operands.params.blocks);
        MatvecSerial { operands, gathered, columns, subgroups: self.subgroups() }
    }
}

/// One part of a product over `columns`, for the first `outputs` rows of the matrix.
fn operands<'a>(
    part: &'a Part,
    columns: u32,
    outputs: u32,
    input: &'a Buffer,
    batch: Batch<'a>,
    target: Target<'a>,
) -> Operands<'a> {
    let params = matvec::Params {
        blocks: columns / 32,
        weight_stride: part.stride,
        outputs: part.rows.min(outputs - part.first),
        input_stride: columns / 4,
        output_stride: target.stride,
        output_offset: part.first,
        mode: target.mode,
        line: 0,
    };
    Operands { part, input, list: batch.list, output: target.buffer, n_rows: batch.n_rows, params }
}
