//! Model files in every format: each is read as the same model. Damaged ones stand in `tests/hostile`.

mod blocks;
mod checkpoints;
mod distant;
mod gguf_keys;
mod tensors;

use isobath::files::gguf::Gguf;
use isobath::files::safetensors::{Folder, Safetensors};
use isobath::network::names::check_tensors;
use isobath::tensor::{DataType, TensorSource};

use crate::support::gguf::{File, Value};
use crate::support::tiny_model::{self, says};

#[test]
fn gguf_and_safetensors_are_the_same_model() {
    let (gguf_bytes, safetensors_bytes) = (tiny_model::gguf().bytes(), tiny_model::safetensors());
    for version in [2, 3] {
        let mut bytes = gguf_bytes.clone();
        bytes[4] = version;
        let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
        let folder = Folder::new(vec![Safetensors::parse(&safetensors_bytes, "model.safetensors").unwrap()]).unwrap();
        assert_eq!(gguf.config().unwrap(), tiny_model::config());
        assert_eq!(gguf.names(), folder.names());
        assert!(check_tensors(&tiny_model::config(), &gguf).is_empty());
        assert!(check_tensors(&tiny_model::config(), &folder).is_empty());
        for (name, shape, numbers) in tiny_model::weights() {
            for source in [&gguf as &dyn TensorSource, &folder] {
                let tensor = source.tensor(&name).unwrap().unwrap();
                assert_eq!((&tensor.shape, tensor.data_type), (&shape, DataType::F32), "{name}");
                assert_eq!(*tensor.data, tiny_model::f32_bytes(&numbers), "{name}");
            }
        }
    }
}

#[test]
fn real_row_order_of_a_head() {
    let mut file = tiny_model::gguf_metadata();
    let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
    // Two heads of width 4: rows 0 1 2 3 stand as 0 2 1 3.
    let stored = tiny_model::permute(&rows, 2, 1);
    assert_eq!(stored, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    file.tensor("blk.0.attn_q.weight", &[8, 1], 0, tiny_model::f32_bytes(&stored));
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    let tensor = gguf.tensor("model.layers.0.self_attn.q_proj.weight").unwrap().unwrap();
    assert_eq!(*tensor.data, tiny_model::f32_bytes(&rows));
}

#[test]
fn gguf_values_of_all_types() {
    let mut file = File::default();
    file.set("a", Value::U8(255))
        .set("b", Value::I8(-1))
        .set("c", Value::U16(65535))
        .set("d", Value::I16(-2))
        .set("e", Value::U32(7))
        .set("f", Value::I32(-3))
        .set("g", Value::F32(0.5))
        .set("h", Value::Bool(true))
        .set("i", "text é")
        .set("j", Value::U64(1 << 40))
        .set("k", Value::I64(-4))
        .set("l", Value::F64(0.25))
        .set("m", Value::Array(9, vec![Value::Array(0, vec![Value::U8(1)]), Value::Array(8, vec!["x".into()])]))
        .set("n", Value::U64(u64::MAX))
        .set("o", Value::Array(5, vec![Value::I32(-1), Value::I32(2)]))
        .set("p", Value::Array(8, vec!["x".into(), "".into()]));
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, "values.gguf").unwrap();
    for (key, value) in [("a", 255), ("b", -1), ("c", 65535), ("d", -2), ("e", 7), ("f", -3), ("j", 1 << 40), ("k", -4)]
    {
        assert_eq!(gguf.integer(key).unwrap(), Some(value), "{key}");
    }
    assert_eq!((gguf.float("g").unwrap(), gguf.float("l").unwrap()), (Some(0.5), Some(0.25)));
    assert_eq!(gguf.float("e").unwrap(), Some(7.0));
    assert_eq!(gguf.boolean("h").unwrap(), Some(true));
    assert_eq!(gguf.string("i").unwrap(), Some("text é"));
    assert_eq!(gguf.array("m").unwrap().unwrap().values().count(), 2);
    assert_eq!(gguf.integers("o").unwrap(), Some(vec![-1, 2]));
    assert_eq!(gguf.strings("p").unwrap(), Some(vec!["x", ""]));
    assert_eq!(gguf.string("absent").unwrap(), None);
    says(gguf.integer("n"), &["values.gguf", "`n`", "2^63"]);
    says(gguf.string("e"), &["`e`", "a string", "whole number"]);
    says(gguf.strings("o"), &["`o`", "an array of strings"]);
    says(gguf.boolean("i"), &["`i`", "true or false"]);
}
