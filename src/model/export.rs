//! Writes models in Isobath's own format: a `config.json` and one `.safetensors` file, in memory.
//!
//! **Invariant:** what is written reads back as the same config and, with [`ExportType::Keep`], the same bytes.
//! The caller writes the files.

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::config::ModelConfig;
use super::json_fields::refuse;
use super::names::{LM_HEAD, check_tensors, expected};
use super::pack::dequantise_row;
use super::tensor::{DataType, Tensor, TensorSource};
use crate::error::ModelError;

/// In which type tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportType {
    /// As they are; quantised ones as `U8` with their type and shape in the metadata.
    Keep,
    /// Everything as f32.
    F32,
    /// Everything as f16; a number beyond its range is an error.
    F16,
    /// Everything as bf16.
    Bf16,
}

impl ExportType {
    fn of(self, tensor: &Tensor) -> DataType {
        match self {
            Self::Keep => tensor.data_type,
            Self::F32 => DataType::F32,
            Self::F16 => DataType::F16,
            Self::Bf16 => DataType::Bf16,
        }
    }
}

/// The bytes of a `.safetensors` file. Tensors of wider types stand first, so that all are aligned.
pub fn export_safetensors<'a>(
    tensors: impl IntoIterator<Item = (String, Tensor<'a>)>,
    export: ExportType,
) -> Result<Vec<u8>, ModelError> {
    let mut tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    tensors.sort_by(|(name_a, a), (name_b, b)| {
        let width = |tensor| stored_width(export.of(tensor));
        width(b).cmp(&width(a)).then_with(|| name_a.cmp(name_b))
    });
    let (mut header, mut metadata) = (Map::new(), Map::new());
    let mut end = 0;
    for (name, tensor) in &tensors {
        let (entry, kind) = describe(name, tensor, export.of(tensor), &mut end)?;
        if let Some(kind) = kind {
            metadata.insert(format!("isobath.{name}"), kind.into());
        }
        if header.insert(name.clone(), entry).is_some() {
            return Err(refuse(format!("tensor `{name}` is to be written twice")));
        }
    }
    metadata.insert("format".into(), "pt".into());
    header.insert("__metadata__".into(), Value::Object(metadata));
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for (name, tensor) in &tensors {
        write(name, tensor, export.of(tensor), &mut bytes)?;
    }
    Ok(bytes)
}

/// The text of `config.json` and the bytes of `model.safetensors`: the tensors that the config asks for and the
/// adapters, nothing else.
pub fn export_folder(
    config: &ModelConfig,
    source: &dyn TensorSource,
    export: ExportType,
) -> Result<(String, Vec<u8>), ModelError> {
    config.check()?;
    if let Some(error) = check_tensors(config, source).into_iter().next() {
        return Err(error);
    }
    let names = source.names();
    let has = |name: &str| names.iter().any(|other| other == name);
    let mut wanted: Vec<String> = expected(config, &has).into_iter().map(|(name, ..)| name).collect();
    wanted.extend(names.iter().filter(|name| name.contains(".lora_")).cloned());
    let mut tensors = Vec::new();
    for name in wanted {
        if let Some(tensor) = source.tensor(&name)? {
            tensors.push((name, tensor));
        }
    }
    let mut json = config.to_json();
    json["tie_word_embeddings"] = json!(!has(LM_HEAD));
    Ok((format!("{json:#}\n"), export_safetensors(tensors, export)?))
}

/// Bytes per number as safetensors sees it: blocks are bytes to it.
fn stored_width(data_type: DataType) -> usize {
    match data_type.block() {
        (1, width) => width,
        _ => 1,
    }
}

/// The header's entry, and for a quantised tensor its entry in the metadata; moves `end` behind the tensor.
fn describe(
    name: &str,
    tensor: &Tensor,
    data_type: DataType,
    end: &mut usize,
) -> Result<(Value, Option<String>), ModelError> {
    let size = data_type.bytes(&tensor.shape).ok_or_else(|| {
        refuse(format!("tensor `{name}` has shape {:?}, which {} cannot store", tensor.shape, data_type.name()))
    })?;
    let start = *end;
    *end += size;
    let plain = |dtype: &str| json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, *end] });
    Ok(match data_type {
        DataType::F32 => (plain("F32"), None),
        DataType::F16 => (plain("F16"), None),
        DataType::Bf16 => (plain("BF16"), None),
        _ => {
            let [out, input] = tensor.shape[..] else {
                return Err(refuse(format!(
                    "tensor `{name}` has shape {:?}; only matrices are stored as {}",
                    tensor.shape,
                    data_type.name()
                )));
            };
            let entry = json!({ "dtype": "U8", "shape": [size], "data_offsets": [start, *end] });
            (entry, Some(format!("{}:{out}x{input}", data_type.name())))
        }
    })
}

fn write(name: &str, tensor: &Tensor, data_type: DataType, bytes: &mut Vec<u8>) -> Result<(), ModelError> {
    if data_type == tensor.data_type {
        bytes.extend_from_slice(&tensor.data);
        return Ok(());
    }
    let columns = tensor.shape.last().copied().unwrap_or(1);
    let Some(row_bytes) = tensor.data_type.bytes(&[columns]).filter(|size| *size > 0) else {
        return Ok(());
    };
    let mut row = vec![0.0; columns];
    for (index, file) in tensor.data.chunks_exact(row_bytes).enumerate() {
        dequantise_row(tensor.data_type, file, columns, &mut row);
        match data_type {
            DataType::F16 => {
                if let Some(value) = row.iter().find(|value| value.is_finite() && f16::from_f32(**value).is_infinite())
                {
                    return Err(refuse(format!(
                        "tensor `{name}` holds {value} in row {index}, which f16 cannot hold; export as f32 or bf16"
                    )));
                }
                bytes.extend(row.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
            }
            DataType::Bf16 => bytes.extend(row.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes())),
            _ => bytes.extend(row.iter().flat_map(|value| value.to_le_bytes())),
        }
    }
    Ok(())
}
