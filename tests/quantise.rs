//! Quantising as llama.cpp does it: its quantisers to the bit, and its choice of types for the mixtures that it has
//! names for.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

#[path = "quantise/mixtures.rs"]
mod mixtures;
#[path = "quantise/quantisers.rs"]
mod quantisers;
#[path = "quantise/recursive.rs"]
mod recursive;
#[path = "support/smollm2.rs"]
mod smollm2;
#[path = "support/smollm2_mixture.rs"]
mod smollm2_mixture;

use sha2::{Digest, Sha256};

/// The first 16 digits of the SHA-256.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
