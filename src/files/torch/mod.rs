//! `pytorch_model.bin` and other checkpoints that `torch.save` writes, read without running any of their code.
//!
//! Such a file is a zip archive of a program (`data.pkl`, a Python pickle) and of raw numbers. The program is run by a
//! machine of our own that knows tensors, containers and nothing else (`machine.rs`).
//!
//! **Invariant:** in a checkpoint that parses, every tensor lies within its storage. Tensors that share a storage share
//! its bytes here too; one that is not contiguous is put in order when it is asked for.

mod archive;
mod machine;
mod program;

use std::borrow::Cow;
use std::collections::HashMap;

use self::archive::Archive;
use self::machine::{Machine, Storage, Value, View};
use crate::error::ModelError;
use crate::tensor::{DataType, Tensor, TensorSource};

/// Where training loops keep the state dict beside their optimizer's state.
const NESTED: [&str; 3] = ["model_state_dict", "state_dict", "model"];

/// First bytes of what `torch.save` wrote before version 1.6: a pickle of a large number.
const LEGACY: [u8; 5] = [0x80, 0x02, 0x8a, 0x0a, 0x6c];

/// A parsed checkpoint.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    file: String,
    archive: Archive<'a>,
    tensors: HashMap<String, Entry>,
}

/// A tensor and where it lies.
#[derive(Debug)]
struct Entry {
    /// `Float`, `Half`, `BFloat16`, or what cannot be used.
    kind: String,
    /// The archive's entry that is its storage.
    storage: String,
    view: View,
}

impl<'a> Checkpoint<'a> {
    /// Whether the bytes begin as a checkpoint of torch does, of today or of before version 1.6.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&LEGACY)
    }

    /// Reads the program and places the tensors; `file` is the name that messages use.
    pub fn parse(bytes: &'a [u8], file: &str) -> Result<Self, ModelError> {
        if bytes.starts_with(&LEGACY) {
            return Err(ModelError::Unsupported {
                what: format!("{file}, a checkpoint in the format of torch before 1.6 (no zip archive)"),
                supported: "the format of today: load it in torch and torch.save it again, or save it as safetensors"
                    .into(),
            });
        }
        let mut archive = Archive::parse(bytes, file)?;
        let format = |why: String| ModelError::Format { file: file.into(), why };
        if archive.entries.contains_key("constants.pkl") {
            return Err(ModelError::Unsupported {
                what: format!("{file}, a TorchScript archive, which holds code"),
                supported: "a state dict; save model.state_dict() with torch.save".into(),
            });
        }
        if archive.entries.get("byteorder").is_some_and(|order| **order != *b"little") {
            return Err(ModelError::Unsupported {
                what: format!("{file}, whose numbers are big-endian"),
                supported: "little-endian checkpoints; save it again on such a machine".into(),
            });
        }
        let program = archive.entries.remove("data.pkl").unwrap_or_default();
        let (machine, result) = Machine::run(&program, file)?;
        let mut tensors = HashMap::new();
        for (name, view) in state_dict(&machine, result).map_err(format)? {
            let Storage { kind, key, length } = machine.storages[view.storage];
            let storage = format!("data/{key}");
            let data = archive.entries.get(&storage);
            let data =
                data.ok_or_else(|| format!("tensor `{name}` lies in {storage}, which is not in the zip archive"));
            data.and_then(|data| check(name, view, kind, length, data.len())).map_err(format)?;
            tensors.insert(name.to_owned(), Entry { kind: kind.into(), storage, view: view.clone() });
        }
        Ok(Self { file: file.into(), archive, tensors })
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        &self.file
    }
}

impl TensorSource for Checkpoint<'_> {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.keys().cloned().collect();
        names.sort();
        names
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((data_type, shape)) = self.info(name)? else { return Ok(None) };
        let Some(Entry { storage, view, .. }) = self.tensors.get(name) else { return Ok(None) };
        let Some(storage) = self.archive.entries.get(storage) else { return Ok(None) };
        let (_, width) = data_type.block();
        let n_numbers: usize = shape.iter().product();
        let data = if n_numbers == 0 {
            Cow::Borrowed(&[][..])
        } else if view.is_contiguous() {
            Cow::Borrowed(&storage[view.offset * width..(view.offset + n_numbers) * width])
        } else {
            Cow::Owned(view.gather(storage, width, n_numbers))
        };
        Ok(Some(Tensor { data_type, shape, data }))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let Some(Entry { kind, view, .. }) = self.tensors.get(name) else { return Ok(None) };
        match data_type(kind) {
            Some(data_type) => Ok(Some((data_type, view.shape.clone()))),
            None => Err(ModelError::DataType { name: name.into(), found: format!("torch.{kind}Storage") }),
        }
    }
}

impl View {
    /// Whether its numbers stand side by side in the order of its indices.
    fn is_contiguous(&self) -> bool {
        let mut next = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == next;
            next *= size;
            fits
        })
    }

    /// The numbers in the order of its indices.
    fn gather(&self, storage: &[u8], width: usize, n_numbers: usize) -> Vec<u8> {
        let mut data = Vec::with_capacity(n_numbers * width);
        for number in 0..n_numbers {
            let mut rest = number;
            let mut at = self.offset;
            for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                at += rest % size * stride;
                rest /= size;
            }
            data.extend_from_slice(&storage[at * width..][..width]);
        }
        data
    }
}

/// The type of a storage's numbers, where the engine knows it.
fn data_type(kind: &str) -> Option<DataType> {
    match kind {
        "Float" => Some(DataType::F32),
        "Half" => Some(DataType::F16),
        "BFloat16" => Some(DataType::Bf16),
        _ => None,
    }
}

/// Names and tensors of what the program made: a dict of tensors, or a dict that holds one.
fn state_dict<'a>(machine: &'a Machine, result: Value) -> Result<Vec<(&'a str, &'a View)>, String> {
    let Value::Dict(root) = result else { return Err("the pickle holds no dict of tensors".into()) };
    let own = tensors(machine, root);
    if !own.is_empty() {
        return Ok(own);
    }
    let keys = machine.dicts[root].iter().filter_map(|(key, value)| Some((key.text()?, value)));
    for name in NESTED {
        if let Some((_, Value::Dict(inner))) = keys.clone().rfind(|(key, _)| *key == name) {
            let inner = tensors(machine, *inner);
            if !inner.is_empty() {
                return Ok(inner);
            }
        }
    }
    let keys: Vec<&str> = keys.map(|(key, _)| key).take(8).collect();
    Err(format!("the pickle holds no dict of tensors; its keys are {keys:?}, looked for {NESTED:?}"))
}

/// What is set twice is what was set last, as in Python; a caller that collects by name gets that.
fn tensors<'a>(machine: &'a Machine, dict: usize) -> Vec<(&'a str, &'a View)> {
    let tensor = |(key, value): &(Value<'a>, Value<'a>)| match value {
        Value::Tensor(index) => Some((key.text()?, &machine.views[*index])),
        _ => None,
    };
    machine.dicts[dict].iter().filter_map(tensor).collect()
}

/// Whether the view lies within its storage, and the storage is as long as the program says.
fn check(name: &str, view: &View, kind: &str, length: usize, n_bytes: usize) -> Result<(), String> {
    if let Some(data_type) = data_type(kind) {
        let needed = length.checked_mul(data_type.block().1);
        if needed != Some(n_bytes) {
            return Err(format!(
                "the storage of tensor `{name}` has {n_bytes} bytes, but {length} numbers of type {} need {needed:?}; \
                 the file is truncated",
                data_type.name()
            ));
        }
    }
    let View { offset, shape, strides, .. } = view;
    let n_numbers = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(*offset, |at, (size, stride)| at.checked_add(size.saturating_sub(1).checked_mul(*stride)?));
    let inside = match (n_numbers, last) {
        (Some(0), _) => true,
        (Some(n_numbers), Some(last)) => last < length && n_numbers <= length,
        _ => false,
    };
    if shape.len() != strides.len() || !inside {
        return Err(format!(
            "tensor `{name}` of shape {shape:?} with strides {strides:?} from {offset} on does not lie within its \
             storage of {length} numbers; an expanded tensor has to be saved as .contiguous()"
        ));
    }
    Ok(())
}
