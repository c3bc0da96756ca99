//! A network with seeded random weights: for tests, for the model that ships until a trained one does, and to measure
//! a machine without a model file.

use std::borrow::Cow;

use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::network::names::{self, Linear};
use crate::tensor::quantise::recode;
use crate::tensor::{DataType, Tensor, TensorSource};

/// Tensors made up on request, always the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    norm_offset: f32,
    matrices: DataType,
    shapes: Vec<(String, Vec<usize>)>,
}

impl Random {
    /// All tensors of a network; `untied` gives it a head of its own, `rank` an adapter of that rank on every linear of
    /// the recursive layers where the config has LoRA.
    pub fn new(config: &ModelConfig, seed: u64, untied: bool, rank: usize) -> Self {
        let has = |name: &str| untied && name == names::LM_HEAD;
        let mut shapes: Vec<(String, Vec<usize>)> =
            names::expected(config, &has).into_iter().map(|(name, shape, _)| (name, shape)).collect();
        if config.lora.is_some() {
            for layer in (0..config.n_layers).filter(|&layer| config.recursion_of(layer).is_some()) {
                for which in Linear::ALL {
                    let [outputs, inputs] = which.shape(config);
                    // Ranks differ, as full-rank adapters do.
                    let rank = rank + layer as usize % 2;
                    shapes.push((names::lora_a(layer, which), vec![rank, inputs]));
                    shapes.push((names::lora_b(layer, which), vec![outputs, rank]));
                }
            }
        }
        Self { seed, norm_offset: config.family.norms.kind.offset(), matrices: DataType::F32, shapes }
    }

    /// Matrices are stored in this type, where their rows are whole blocks of it; f32 without.
    #[must_use]
    pub fn with_matrices(self, data_type: DataType) -> Self {
        Self { matrices: data_type, ..self }
    }

    fn data_type(&self, shape: &[usize]) -> DataType {
        if shape.len() > 1 && self.matrices.bytes(shape).is_some() { self.matrices } else { DataType::F32 }
    }
}

impl TensorSource for Random {
    fn names(&self) -> Vec<String> {
        self.shapes.iter().map(|(name, _)| name.clone()).collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((_, shape)) = self.shapes.iter().find(|(known, _)| known == name) else { return Ok(None) };
        let n = shape.iter().product();
        let mut state = name
            .bytes()
            .fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        // Weights of norms lie around 1; rows of a matrix keep the size of what they multiply.
        let (middle, size) = match shape.len() {
            1 if name.contains("router") || name.ends_with(".bias") => (0.0, 0.2),
            1 => (1.0 - self.norm_offset, 0.3),
            _ if name == names::EMBEDDING => (0.0, 1.0),
            _ => (0.0, 1.7 / (shape[1] as f32).sqrt()),
        };
        let bytes: Vec<u8> = (0..n).flat_map(|_| (middle + size * uniform()).to_le_bytes()).collect();
        let numbers = Tensor { data_type: DataType::F32, shape: shape.clone(), data: Cow::Owned(bytes) };
        let data_type = self.data_type(shape);
        let data = recode(name, numbers, data_type)?.into_owned();
        Ok(Some(Tensor { data_type, shape: shape.clone(), data: Cow::Owned(data) }))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let found = self.shapes.iter().find(|(known, _)| known == name);
        Ok(found.map(|(_, shape)| (self.data_type(shape), shape.clone())))
    }
}
