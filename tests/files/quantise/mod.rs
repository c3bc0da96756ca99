//! Quantising as llama.cpp does it: its quantisers to the bit, and its choice of types for the mixtures that it has
//! names for.

mod mixtures;
mod quantisers;
mod recursive;

use sha2::{Digest, Sha256};

/// The first 16 digits of the SHA-256.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
