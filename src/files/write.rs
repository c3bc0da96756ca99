//! Writes models in Isobath's own format: a `config.json` and one `.safetensors` file.
//!
//! An [`Export`] is a file to be: its head is known, its tensors are converted one by one as they are written, so
//! that a model larger than memory can be converted.
//!
//! **Invariant:** what is written reads back as the same config and, with [`ExportType::Keep`], the same bytes.
//! The caller writes the files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{ModelError, refuse};
use crate::files::gguf::names::permute;
use crate::files::mixture::{Mixed, Mixture, second};
use crate::network::config::ModelConfig;
use crate::network::names::{LM_HEAD, check_tensors, expected};
use crate::tensor::quantise::recode;
use crate::tensor::{DataType, Tensor, TensorSource};

/// In which type tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportType {
    /// As they are; quantised ones as `U8` with their type and shape in the metadata.
    Keep,
    /// Everything as f32, f16 or bf16; a number beyond its range is an error. A quantised type is for matrices whose
    /// rows are whole blocks of it: where they are not, q5_0, q5_1 and q8_0 take the place of q4_K, q5_K and q6_K, and
    /// vectors, routers and all other tensors stay as they are.
    As(DataType),
    /// Matrices in the types that llama.cpp's files of that name have; rows that fill no block are f16.
    Mixture(Mixture),
}

impl ExportType {
    /// The types for the tensors of these names.
    pub(crate) fn types(self, source: &dyn TensorSource, names: &[String]) -> Result<Types, ModelError> {
        Ok(match self {
            Self::Keep => Types::Kept,
            Self::As(data_type) => Types::Same(data_type),
            Self::Mixture(mixture) => Types::Mixed(Mixed::new(mixture, source, names)?),
        })
    }
}

/// In which types the tensors of one file are written.
pub(crate) enum Types {
    Kept,
    Same(DataType),
    Mixed(Mixed),
}

impl Types {
    /// The type in which a tensor of that name, type and shape is written.
    pub(crate) fn of(&self, name: &str, found: DataType, shape: &[usize]) -> DataType {
        let wanted = match self {
            Self::Kept => return found,
            Self::Mixed(mixed) => return mixed.data_type(name, found, shape),
            Self::Same(plain) if plain.block().0 == 1 => return *plain,
            Self::Same(quantised) => *quantised,
        };
        let matrix = shape.len() == 2 && !name.contains("router");
        [wanted, second(wanted)].into_iter().find(|fits| matrix && fits.bytes(shape).is_some()).unwrap_or(found)
    }
}

/// Tensors in memory.
#[derive(Debug, Clone, Default)]
pub struct Loose<'a> {
    tensors: BTreeMap<String, Tensor<'a>>,
}

impl<'a> Loose<'a> {
    /// Collects them; a name may stand once.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor<'a>)>) -> Result<Self, ModelError> {
        let mut loose = Self::default();
        for (name, tensor) in tensors {
            if loose.tensors.insert(name.clone(), tensor).is_some() {
                return Err(refuse(format!("tensor `{name}` is to be written twice")));
            }
        }
        Ok(loose)
    }
}

impl TensorSource for Loose<'_> {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        Ok(self.tensors.get(name).cloned())
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        Ok(self.tensors.get(name).map(|tensor| (tensor.data_type, tensor.shape.clone())))
    }
}

/// A tensor of a file to be.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Canonical name.
    pub name: String,
    /// In which type it is written.
    pub data_type: DataType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes that it takes.
    pub bytes: usize,
    /// Zeros behind it.
    pub(crate) padding: usize,
    /// Number of heads whose rows llama.cpp wants in its own order.
    pub(crate) permuted: Option<usize>,
}

impl Entry {
    /// As the source has it, in the type that `choose` makes of its type and shape.
    pub(crate) fn of(
        source: &dyn TensorSource,
        name: &str,
        choose: impl FnOnce(DataType, &[usize]) -> DataType,
    ) -> Result<Self, ModelError> {
        let name = name.to_owned();
        let Some((found, shape)) = source.info(&name)? else {
            return Err(ModelError::MissingTensor { name, because: "it is to be written".into() });
        };
        let data_type = choose(found, &shape);
        let bytes = data_type.bytes(&shape).ok_or_else(|| {
            refuse(format!("tensor `{name}` has shape {shape:?}, which {} cannot store", data_type.name()))
        })?;
        Ok(Self { name, data_type, shape, bytes, padding: 0, permuted: None })
    }
}

/// A file to be.
pub struct Export<'a> {
    pub(crate) source: &'a dyn TensorSource,
    pub(crate) head: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

impl Export<'_> {
    /// The tensors in the order in which they are written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        let tensors = self.entries.iter().map(|entry| (entry.bytes + entry.padding) as u64);
        self.head.len() as u64 + tensors.sum::<u64>()
    }

    /// Hands the file to `sink` piece by piece; one tensor at a time is in memory.
    pub fn write<E: From<ModelError>>(&self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        sink(&self.head)?;
        for entry in &self.entries {
            sink(&self.data(entry)?)?;
            if entry.padding > 0 {
                sink(&vec![0; entry.padding])?;
            }
        }
        Ok(())
    }

    fn data(&self, entry: &Entry) -> Result<Cow<'_, [u8]>, ModelError> {
        let gone = || ModelError::MissingTensor { name: entry.name.clone(), because: "it was there before".into() };
        let tensor = self.source.tensor(&entry.name)?.ok_or_else(gone)?;
        let data = recode(&entry.name, tensor, entry.data_type)?;
        Ok(match entry.permuted {
            Some(heads) => Cow::Owned(permute(&data, entry.shape[0], heads)),
            None => data,
        })
    }

    /// The whole file in memory.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = Vec::new();
        self.write(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok::<(), ModelError>(())
        })?;
        Ok(bytes)
    }
}

/// A `.safetensors` file of the named tensors. Those of wider types stand first, so that all are aligned.
pub fn safetensors<'a>(
    source: &'a dyn TensorSource,
    names: impl IntoIterator<Item = String>,
    export: ExportType,
) -> Result<Export<'a>, ModelError> {
    let names: Vec<String> = names.into_iter().collect();
    let types = export.types(source, &names)?;
    let entries = names.iter().map(|name| Entry::of(source, name, |found, shape| types.of(name, found, shape)));
    let mut entries = entries.collect::<Result<Vec<Entry>, _>>()?;
    entries.sort_by(|a, b| stored_width(b.data_type).cmp(&stored_width(a.data_type)).then_with(|| a.name.cmp(&b.name)));
    let (mut header, mut metadata) = (Map::new(), Map::new());
    let mut end = 0;
    for entry in &entries {
        let (description, kind) = describe(entry, &mut end)?;
        if let Some(kind) = kind {
            metadata.insert(format!("isobath.{}", entry.name), kind.into());
        }
        if header.insert(entry.name.clone(), description).is_some() {
            return Err(refuse(format!("tensor `{}` is to be written twice", entry.name)));
        }
    }
    metadata.insert("format".into(), "pt".into());
    header.insert("__metadata__".into(), Value::Object(metadata));
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let head = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    Ok(Export { source, head, entries })
}

/// The bytes of a `.safetensors` file.
pub fn export_safetensors<'a>(
    tensors: impl IntoIterator<Item = (String, Tensor<'a>)>,
    export: ExportType,
) -> Result<Vec<u8>, ModelError> {
    let loose = Loose::new(tensors)?;
    safetensors(&loose, loose.names(), export)?.to_bytes()
}

/// The text of `config.json`, and `model.safetensors` to be: the tensors that the config asks for and the adapters,
/// nothing else.
pub fn folder<'a>(
    config: &ModelConfig,
    source: &'a dyn TensorSource,
    export: ExportType,
) -> Result<(String, Export<'a>), ModelError> {
    let names = wanted(config, source)?;
    let mut json = config.to_json();
    json["tie_word_embeddings"] = json!(!names.iter().any(|name| name == LM_HEAD));
    Ok((format!("{json:#}\n"), safetensors(source, names, export)?))
}

/// The tensors of a model that can be run as it is.
pub(crate) fn wanted(config: &ModelConfig, source: &dyn TensorSource) -> Result<Vec<String>, ModelError> {
    config.check()?;
    if let Some(error) = check_tensors(config, source).into_iter().next() {
        return Err(error);
    }
    let names = source.names();
    let has = |name: &str| names.iter().any(|other| other == name);
    let mut wanted: Vec<String> = expected(config, &has).into_iter().map(|(name, ..)| name).collect();
    wanted.extend(names.iter().filter(|name| name.contains(".lora_")).cloned());
    Ok(wanted)
}

/// The text of `config.json` and the bytes of `model.safetensors`.
pub fn export_folder(
    config: &ModelConfig,
    source: &dyn TensorSource,
    export: ExportType,
) -> Result<(String, Vec<u8>), ModelError> {
    let (json, file) = folder(config, source, export)?;
    Ok((json, file.to_bytes()?))
}

/// Bytes per number as safetensors sees it: blocks are bytes to it.
fn stored_width(data_type: DataType) -> usize {
    match data_type.block() {
        (1, width) => width,
        _ => 1,
    }
}

/// The header's entry, and for a quantised tensor its entry in the metadata; moves `end` behind the tensor.
fn describe(entry: &Entry, end: &mut usize) -> Result<(Value, Option<String>), ModelError> {
    let Entry { name, data_type, shape, bytes, .. } = entry;
    let start = *end;
    *end += bytes;
    let plain = |dtype: &str| json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, *end] });
    Ok(match data_type {
        DataType::F32 => (plain("F32"), None),
        DataType::F16 => (plain("F16"), None),
        DataType::Bf16 => (plain("BF16"), None),
        _ => {
            let [out, input] = shape[..] else {
                return Err(refuse(format!(
                    "tensor `{name}` has shape {shape:?}; only matrices are stored as {}",
                    data_type.name()
                )));
            };
            let entry = json!({ "dtype": "U8", "shape": [bytes], "data_offsets": [start, *end] });
            (entry, Some(format!("{}:{out}x{input}", data_type.name())))
        }
    })
}
