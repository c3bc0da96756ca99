//! A recursive model as a plain stack: every unrolled layer with matrices of its own, adapters merged into them.
//!
//! **Invariant:** the plain model computes what the recursive one does at full depth, but for the rounding of merged
//! matrices.

use std::borrow::Cow;

use super::low_rank::{Factors, add};
use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::network::form::Form;
use crate::network::lora;
use crate::network::names::{self, EMBEDDING, FINAL_NORM, LM_HEAD, Linear, Norm, lora_a, lora_b};
use crate::tensor::{DataType, Tensor, TensorSource, values};

/// The plain model.
pub struct Unrolled<'a> {
    source: &'a dyn TensorSource,
    recursive: ModelConfig,
    config: ModelConfig,
}

impl<'a> Unrolled<'a> {
    /// Refuses a model that no plain stack equals.
    pub fn new(config: &ModelConfig, source: &'a dyn TensorSource) -> Result<Self, ModelError> {
        let refuse = |what: &str| {
            Err(ModelError::Unsupported {
                what: format!("unrolling a model {what}"),
                supported: "recursive models whose tokens all run every round".into(),
            })
        };
        match config.recursion {
            None => return refuse("that is not recursive"),
            Some(recursion) if recursion.encoding => return refuse("with recursion encodings"),
            Some(_) if config.router.is_some() => return refuse("with a router"),
            Some(_) => {}
        }
        if let Some(difference) = Form::of(config).first_difference_but_of_positions() {
            return refuse(&format!("that differs from Llama in its {difference}"));
        }
        let mut plain = config.clone();
        (plain.recursion, plain.lora) = (None, None);
        plain.check()?;
        Ok(Self { source, recursive: config.clone(), config: plain })
    }

    /// The plain model's config.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The name in the recursive model, and for a matrix which one it is.
    fn origin(&self, name: &str) -> Option<(String, Option<(u32, Linear)>)> {
        if [EMBEDDING, FINAL_NORM, LM_HEAD].contains(&name) {
            return Some((name.to_owned(), None));
        }
        let layer = name.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()?;
        let layer: u32 = Some(layer).filter(|layer| *layer < self.config.n_layers)?;
        let mut norms = [Norm::BeforeAttention, Norm::BeforeFeedForward].into_iter();
        if let Some(norm) = norms.find(|norm| name == names::norm(&self.config, layer, *norm)) {
            return Some((names::norm(&self.recursive, layer, norm), None));
        }
        let linear = Linear::ALL.into_iter().find(|linear| name == names::linear(&self.config, layer, *linear))?;
        Some((names::linear(&self.recursive, layer, linear), Some((layer, linear))))
    }

    fn rank(&self, adapted: Option<(u32, Linear)>) -> Result<Option<(u32, Linear, usize)>, ModelError> {
        let Some((layer, linear)) = adapted.filter(|_| self.recursive.lora.is_some()) else { return Ok(None) };
        Ok(lora::rank(&self.recursive, self.source, layer, linear)?.map(|rank| (layer, linear, rank)))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let missing = || ModelError::MissingTensor { name: name.to_owned(), because: "it is half of a pair".into() };
        Ok(values(&self.source.tensor(name)?.ok_or_else(missing)?))
    }
}

impl TensorSource for Unrolled<'_> {
    fn names(&self) -> Vec<String> {
        let has = |name: &str| !matches!(self.source.info(name), Ok(None));
        names::expected(&self.config, &has).into_iter().map(|(name, ..)| name).collect()
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        let Some((shared, adapted)) = self.origin(name) else { return Ok(None) };
        let Some(tensor) = self.source.tensor(&shared)? else { return Ok(None) };
        let Some((layer, linear, rank)) = self.rank(adapted)? else { return Ok(Some(tensor)) };
        let factors = Factors { a: self.numbers(&lora_a(layer, linear))?, b: self.numbers(&lora_b(layer, linear))? };
        let mut merged = values(&tensor);
        let scale = self.recursive.lora.map_or(1.0, |lora| lora.scale);
        add(&mut merged, linear.shape(&self.config)[1], &factors, rank, scale);
        let data: Vec<u8> = merged.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(Some(Tensor { data_type: DataType::F32, shape: tensor.shape, data: Cow::Owned(data) }))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let Some((shared, adapted)) = self.origin(name) else { return Ok(None) };
        let merged = self.rank(adapted)?.is_some();
        let info = self.source.info(&shared)?;
        Ok(info.map(|(found, shape)| (if merged { DataType::F32 } else { found }, shape)))
    }
}
