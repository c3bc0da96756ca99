//! What tells a model's weights from others without reading all of them.
//!
//! **Invariant:** the same tensors under the same names give the same fingerprint, whatever settings stand beside them.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::tensor::TensorSource;

/// Most bytes of a row that count.
const BYTES: usize = 256;
/// Most numbers of a vector that count at either end.
const NUMBERS: usize = 64;

/// A hash of a model's sizes, and of every tensor's name, type, shape, and of the beginning and end of its bytes: of the
/// first and last row (of a vector, its first and last 64 numbers) the first 256 bytes.
///
/// Training changes all numbers, quantising all bytes, so what was trained on or stored otherwise has another fingerprint.
/// A change by hand in the middle of a tensor alone is not seen: all of a large model would have to be read for that.
///
/// # Errors
/// What keeps a tensor from being read.
pub async fn fingerprint(config: &ModelConfig, source: &dyn TensorSource) -> Result<String, ModelError> {
    let mut hash = Sha256::new();
    hash.update("isobath fingerprint 1\n");
    for size in [
        config.hidden_size,
        config.intermediate_size,
        config.n_layers,
        config.n_heads,
        config.n_kv_heads,
        config.head_dim,
        config.vocab_size,
        config.n_recursions(),
    ] {
        hash.update(size.to_le_bytes());
    }
    let mut names = source.names();
    names.sort_unstable();
    for name in &names {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        // A tensor of a type that cannot be used is none of the network's.
        let Ok(Some((data_type, shape))) = source.info(name) else { continue };
        hash.update(format!("{}{shape:?}", data_type.name()));
        let rows = shape.first().copied().unwrap_or(1);
        let unit = if shape.len() < 2 { NUMBERS } else { 1 };
        for part in [0..rows.min(unit), rows.saturating_sub(unit)..rows] {
            if let Some(tensor) = source.rows(name, part).await? {
                hash.update(&tensor.data[..tensor.data.len().min(BYTES)]);
            }
        }
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
