//! Numbers that are no numbers: found in a tensor before it is used.

use super::{DataType, Tensor, pack};
use crate::error::ModelError;

/// Refuses NaN and infinity in the numbers of a plain tensor and in the scales of a quantised one.
pub fn check_finite(name: &str, tensor: &Tensor) -> Result<(), ModelError> {
    let (_, block_bytes) = tensor.data_type.block();
    // Exponent bits all set means infinity or NaN.
    let half = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) & 0x7c00 != 0x7c00;
    let finite = |block: &[u8]| match tensor.data_type {
        DataType::F32 => u32::from_le_bytes([block[0], block[1], block[2], block[3]]) & 0x7f80_0000 != 0x7f80_0000,
        DataType::F16 => half(block, 0),
        DataType::Bf16 => u16::from_le_bytes([block[0], block[1]]) & 0x7f80 != 0x7f80,
        quantised => pack::halves(quantised).iter().all(|at| half(block, *at)),
    };
    match tensor.data.chunks_exact(block_bytes).position(|block| !finite(block)) {
        Some(index) => {
            let columns = tensor.shape.last().copied().unwrap_or(1);
            let row = index * tensor.data_type.block().0 / columns.max(1);
            Err(ModelError::NotFinite { name: name.into(), row })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// The row that is refused, `None` where all numbers are finite.
    fn check(data_type: DataType, columns: usize, data: Vec<u8>) -> Option<usize> {
        let rows = data.len() / data_type.bytes(&[1, columns]).unwrap();
        let shape = vec![rows, columns];
        let tensor = Tensor { data_type, shape, data: Cow::Owned(data) };
        match check_finite("weight", &tensor) {
            Ok(()) => None,
            Err(ModelError::NotFinite { name, row }) => {
                assert_eq!(name, "weight");
                Some(row)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn not_finite_names_the_first_row() {
        let floats = |values: [f32; 4]| check(DataType::F32, 2, values.map(f32::to_le_bytes).concat());
        assert_eq!(floats([1.0, -f32::MAX, 0.0, 1e-40]), None);
        assert_eq!(floats([1.0, 2.0, 3.0, f32::NAN]), Some(1));
        assert_eq!(floats([f32::NEG_INFINITY, 2.0, 3.0, f32::NAN]), Some(0));
        let halves = vec![0xff, 0x7b, 0x00, 0x7c];
        assert_eq!(check(DataType::F16, 1, halves), Some(1));
        let halves = vec![0x7f, 0x7f, 0x80, 0xff];
        assert_eq!(check(DataType::Bf16, 1, halves), Some(1));
    }

    #[test]
    fn scales_that_are_not_finite() {
        for (data_type, scales) in [
            (DataType::Q8_0, vec![0]),
            (DataType::Q4_0, vec![0]),
            (DataType::Q4_1, vec![0, 2]),
            (DataType::Q5_0, vec![0]),
            (DataType::Q5_1, vec![0, 2]),
            (DataType::Q2K, vec![80, 82]),
            (DataType::Q3K, vec![108]),
            (DataType::Q4K, vec![0, 2]),
            (DataType::Q5K, vec![0, 2]),
            (DataType::Q6K, vec![208]),
            (DataType::Iq4Nl, vec![0]),
            (DataType::Iq4Xs, vec![0]),
        ] {
            let (columns, bytes) = data_type.block();
            for at in scales {
                let mut data = vec![0; 3 * bytes];
                assert_eq!(check(data_type, columns, data.clone()), None);
                data[2 * bytes + at + 1] = 0x7c;
                assert_eq!(check(data_type, columns, data), Some(2), "{data_type:?}");
            }
        }
    }
}
