//! The parts of a GGUF file in the order in which they stand: header, metadata, descriptions of tensors.
//!
//! **Invariant:** counts are checked against the bytes that follow before any loop begins.

use std::collections::HashMap;

use crate::error::ModelError;
use crate::files::gguf::metadata::{Reader, Value};

/// Bytes of the shortest key with its value: length, one letter, type, one byte.
const LEAST_PAIR: u64 = 14;
/// Bytes of the shortest description of a tensor: length, one letter, one dimension, type, offset.
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// A tensor's description as it stands in the file.
pub(crate) struct Description<'a> {
    pub(crate) name: &'a str,
    /// Outermost first.
    pub(crate) shape: Vec<usize>,
    pub(crate) type_number: u32,
    pub(crate) offset: u64,
}

/// Numbers of tensors and of metadata pairs.
pub(crate) fn read_header(reader: &mut Reader) -> Result<(u64, u64), ModelError> {
    let magic = reader.take(4, "the magic")?;
    if magic != b"GGUF" {
        return Err(reader.error("the file does not begin with \"GGUF\"; is it a GGUF file?".into()));
    }
    let version = reader.u32("the version")?;
    if !(2..=3).contains(&version) {
        let what = if (2..=3).contains(&version.swap_bytes()) {
            "a big-endian GGUF file".to_string()
        } else {
            format!("GGUF version {version}")
        };
        return Err(ModelError::Unsupported { what, supported: "little-endian GGUF, versions 2 and 3".into() });
    }
    let n_tensors = reader.u64("the number of tensors")?;
    let n_pairs = reader.u64("the number of metadata keys")?;
    let remaining = reader.remaining() as u64;
    for (count, least, what) in [(n_tensors, LEAST_TENSOR, "tensors"), (n_pairs, LEAST_PAIR, "metadata keys")] {
        if count > remaining / least {
            return Err(reader.error(format!(
                "the header claims {count} {what}, but only {remaining} bytes follow; the file is truncated or damaged"
            )));
        }
    }
    Ok((n_tensors, n_pairs))
}

pub(crate) fn read_pairs<'a>(
    reader: &mut Reader<'a, '_>,
    count: u64,
) -> Result<HashMap<&'a str, Value<'a>>, ModelError> {
    let mut values = HashMap::new();
    for _ in 0..count {
        let key = reader.string("a metadata key")?;
        let kind = reader.value_type(&format!("metadata `{key}`"))?;
        let value = reader.value(kind, 0).map_err(|error| match error {
            ModelError::Format { file, why } => ModelError::Format { file, why: format!("metadata `{key}`: {why}") },
            other => other,
        })?;
        if values.insert(key, value).is_some() {
            return Err(reader.error(format!("metadata key `{key}` stands twice")));
        }
    }
    Ok(values)
}

pub(crate) fn read_description<'a>(reader: &mut Reader<'a, '_>) -> Result<Description<'a>, ModelError> {
    let name = reader.string("a tensor's name")?;
    let n_dimensions = reader.u32("a tensor's number of dimensions")?;
    if !(1..=4).contains(&n_dimensions) {
        return Err(reader.error(format!("tensor `{name}` has {n_dimensions} dimensions; it must have 1 to 4")));
    }
    let mut shape = Vec::new();
    for _ in 0..n_dimensions {
        let size = reader.u64("a tensor's dimension")?;
        let size = usize::try_from(size)
            .map_err(|_| reader.error(format!("tensor `{name}` has a dimension of {size}; no memory holds it")))?;
        // Innermost first in the file.
        shape.insert(0, size);
    }
    let type_number = reader.u32("a tensor's type")?;
    let offset = reader.u64("a tensor's offset")?;
    Ok(Description { name, shape, type_number, offset })
}
