//! Blocks of every quantised type as the package `gguf` reads them; `tests/oracles/blocks.py` writes the file.

use isobath::files::gguf::Gguf;
use isobath::tensor::pack::{dequantise_row, pack_rows, packed_row_words, unpack_row};
use isobath::tensor::{DataType, TensorSource};

const FILE: &[u8] = include_bytes!("blocks.gguf");
const WEIGHTS: usize = 512;

fn bits(weights: &[f32]) -> Vec<u32> {
    weights.iter().map(|weight| weight.to_bits()).collect()
}

#[test]
fn weights_are_those_of_the_package_gguf_to_the_bit() {
    let gguf = Gguf::parse(FILE, "blocks.gguf").unwrap();
    let quantised: Vec<DataType> = DataType::ALL.into_iter().filter(|data_type| data_type.block().0 > 1).collect();
    assert_eq!(quantised.len() * 2, gguf.names().len());
    for data_type in quantised {
        let name = format!("model.{}", data_type.name());
        let tensor = gguf.tensor(&name).unwrap().unwrap_or_else(|| panic!("there is no {name}"));
        assert_eq!((tensor.data_type, &tensor.shape[..]), (data_type, &[1, WEIGHTS][..]));
        let weights = gguf.tensor(&format!("{name}.weights")).unwrap().unwrap();
        let want: Vec<u32> = weights.data.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        let mut got = [f32::NAN; WEIGHTS];
        dequantise_row(data_type, &tensor.data, WEIGHTS, &mut got);
        assert_eq!(bits(&got), want, "{name}");
        let mut packed = Vec::new();
        pack_rows(&tensor, 0..1, &mut packed);
        assert_eq!(packed.len(), packed_row_words(data_type, WEIGHTS));
        let mut got = [f32::NAN; WEIGHTS];
        unpack_row(data_type, &packed, WEIGHTS, &mut got);
        assert_eq!(bits(&got), want, "{name}, packed");
    }
}
