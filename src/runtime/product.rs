//! Matrix times the rows of a batch, by the kernel that the recipe names.

use crate::error::GpuError;
use crate::gpu::{Buffer, Pass, Texture};
use crate::kernels::padded;
use crate::kernels::products::bias::{self, Bias};
use crate::kernels::products::gather::{self, Gather, Inputs};
use crate::kernels::products::matmul::Matmul;
use crate::kernels::products::matrix::{Matrix, Part};
use crate::kernels::products::matvec::{self, Matvec, Operands};
use crate::kernels::products::matvec_glu::MatvecGlu;
use crate::kernels::products::matvec_serial::MatvecSerial;
use crate::kernels::rows::swiglu::Activation;
use crate::network::names::Linear;
use crate::runtime::layer::Batch;
use crate::runtime::recipe::Product;
use crate::runtime::step::Network;
use crate::runtime::weights::LayerWeights;

/// What a product reads.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// `[rows, columns]`
    Rows(&'a Buffer),
    /// What the last kernel made for this very list.
    Made(&'a Inputs),
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
    /// `target = matrix . input`, for the first `outputs` rows of the matrix.
    pub(super) fn product(
        &self,
        pass: &mut Pass<'_>,
        matrix: &Matrix,
        outputs: u32,
        input: Input<'_>,
        batch: Batch<'_>,
        target: Target<'_>,
    ) -> Result<(), GpuError> {
        let Batch { list, n_rows, .. } = batch;
        let columns = padded(matrix.columns);
        let (input, gathered) = match input {
            Input::Made(Inputs { rows, gathered }) => (rows, gathered.as_ref()),
            Input::Rows(input) => {
                let gathered = self.state.rows.normed.gathered.as_ref();
                if let Some(gathered) = gathered {
                    let params = gather::Params { vectors: columns / 4 };
                    pass.run(&Gather { input, list, gathered, n_rows, params })?;
                }
                (input, gathered)
            }
        };
        for part in matrix.parts.iter().filter(|part| part.first < outputs) {
            let operands = operands(part, columns, outputs, input, batch, target);
            match (self.recipe.product(columns / 32, n_rows), gathered) {
                (Product::Serial { columns }, Some(gathered)) => pass.run(&self.serial(operands, gathered, columns))?,
                (Product::Vectors { columns }, _) => pass.run(&Matvec { operands, columns })?,
                (Product::Serial { .. } | Product::Tiles, _) => pass.run(&Matmul { operands })?,
            }
        }
        if let Some(bias) = &matrix.bias {
            let params = bias::Params { outputs, stride: target.stride };
            pass.run(&Bias { bias, list, output: target.buffer, n_rows, params })?;
        }
        Ok(())
    }

    /// Gate and up with their activation in one kernel, where that is worth it and nothing has to come in between. Returns
    /// whether it was done.
    pub(super) fn gated_product(
        &self,
        pass: &mut Pass<'_>,
        weights: &LayerWeights,
        activation: Activation,
        input: Input<'_>,
        batch: Batch<'_>,
    ) -> Result<bool, GpuError> {
        let (rows, sizes, matrix) = (&self.state.rows, &self.state.sizes, &weights.glu);
        let adapted =
            [Linear::Gate, Linear::Up, Linear::Down].iter().any(|linear| weights.adapters.contains_key(linear));
        let (Input::Made(Inputs { rows: input, gathered: Some(gathered) }), Some(activated)) =
            (input, &rows.activation.gathered)
        else {
            return Ok(false);
        };
        let columns = padded(matrix.columns);
        let product = self.recipe.product(columns / 32, batch.n_rows);
        let ([part], None, Product::Serial { columns: width }) = (&matrix.parts[..], &matrix.bias, product) else {
            return Ok(false);
        };
        if adapted || !self.recipe.glu() {
            return Ok(false);
        }
        let target = Target { buffer: &rows.activation.rows, stride: sizes.activation, mode: matvec::WRITE };
        let operands = operands(part, columns, part.rows, input, batch, target);
        pass.run(&MatvecGlu { product: self.serial(operands, gathered, width), activated, activation })?;
        Ok(true)
    }

    fn serial<'b>(&self, operands: Operands<'b>, gathered: &'b Texture, columns: u32) -> MatvecSerial<'b> {
        MatvecSerial { operands, gathered, columns, subgroups: self.recipe.by_subgroup() }
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
