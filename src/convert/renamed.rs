//! A file's tensors under other names.
//!
//! **Invariant:** nothing is copied: a tensor is that of the file.

use std::collections::BTreeMap;

use crate::error::ModelError;
use crate::tensor::{DataType, Tensor, TensorSource};

/// A source whose names are ours.
pub struct Renamed<'a> {
    source: &'a dyn TensorSource,
    /// Canonical name, name in the source.
    names: BTreeMap<String, String>,
}

impl<'a> Renamed<'a> {
    /// Canonical names with those of the source.
    pub fn new(source: &'a dyn TensorSource, names: BTreeMap<String, String>) -> Self {
        Self { source, names }
    }
}

impl TensorSource for Renamed<'_> {
    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        self.names.get(name).map_or(Ok(None), |theirs| self.source.tensor(theirs))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        self.names.get(name).map_or(Ok(None), |theirs| self.source.info(theirs))
    }
}
