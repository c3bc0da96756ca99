//! A [`Kit`] as two files: `kit.json` and `kit.safetensors`.
//!
//! **Invariant:** what is written reads back as the same kit.

use crate::error::ModelError;
use crate::files::safetensors::Safetensors;
use crate::files::write::{ExportType, safetensors};
use crate::network::kit::Kit;
use crate::tensor::TensorSource;

/// Reads the text of `kit.json` and the bytes of `kit.safetensors`; `files` are the names that messages use for them.
///
/// # Errors
/// As [`Kit::read`], and what is wrong with the tensors' file.
pub fn read(json: &str, tensors: &[u8], files: [&str; 2]) -> Result<Kit, ModelError> {
    Kit::read(json, files[0], &Safetensors::parse(tensors, files[1])?)
}

/// The text of `kit.json` and the bytes of `kit.safetensors`.
///
/// # Errors
/// A number beyond the range of the type that its tensor is to have.
pub fn write(kit: &Kit) -> Result<(String, Vec<u8>), ModelError> {
    Ok((kit.to_json(), safetensors(kit, kit.names(), ExportType::Keep)?.to_bytes()?))
}
