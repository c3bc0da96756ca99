//! A dense Llama model as a recursive one: layers that share parameters, and adapters that take up what sharing lost
//! (Relaxed Recursive Transformers, arXiv 2410.20672, sections 2 and 3).
//!
//! **Invariant:** at full rank, with norms of their own, the matrices of every unrolled layer are those of the dense
//! model but for rounding.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::low_rank::{Factors, factors};
use crate::error::ModelError;
use crate::network::config::{KvMode, LIMITS, Lora, ModelConfig, Recursion, Sharing};
use crate::network::form::Form;
use crate::network::names::{self, EMBEDDING, FINAL_NORM, LM_HEAD, Linear, Norm};
use crate::tensor::{DataType, Tensor, TensorSource, values};

/// Where the parameters of a shared layer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Layers at even distances; the first and the last are kept.
    Stepwise,
    /// The mean of all layers that are to share.
    Average,
    /// The lowest layers.
    Lower,
    /// The highest layers.
    Upper,
}

/// What is to become of the dense model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Recursions, N.
    pub count: u32,
    /// Which layers share.
    pub sharing: Sharing,
    /// Where the shared parameters come from.
    pub start: Start,
    /// Norms are shared like all others.
    pub share_norms: bool,
    /// Rank of the adapters, at most that of each matrix; 0 makes none.
    pub rank: u32,
}

/// The recursive model.
pub struct Recursive<'a> {
    dense: &'a dyn TensorSource,
    dense_config: ModelConfig,
    config: ModelConfig,
    /// For each unrolled layer the dense one that it stands for.
    picked: Vec<u32>,
    /// For the first layer of each group, the unrolled layers whose mean it is.
    sources: BTreeMap<u32, Vec<u32>>,
    rank: usize,
    /// The adapter that was asked for last: A and B are asked for one after the other.
    last: RefCell<Option<(u32, Linear, Factors)>>,
}

/// What a name stands for.
enum Part {
    Outside,
    Linear(u32, Linear),
    Norm(u32, Norm),
    LoraA(u32, Linear),
    LoraB(u32, Linear),
}

/// `count` whole numbers from `first` to `last` at even distances, halves to even.
fn spread(first: u32, last: u32, count: u32) -> Vec<u32> {
    let step = f64::from(last - first) / f64::from((count - 1).max(1));
    (0..count).map(|i| (f64::from(first) + f64::from(i) * step).round_ties_even() as u32).collect()
}

/// The dense layers that stay where their number does not divide.
fn picked(sharing: Sharing, layers: u32, count: u32) -> Option<Vec<u32>> {
    if !sharing.is_middle() {
        let kept = layers / count * count;
        return (kept > 0).then(|| spread(0, layers - 1, kept));
    }
    let kept = layers.checked_sub(2)? / count * count;
    let inner = if kept > 0 { spread(1, layers - 2, kept) } else { return None };
    Some([vec![0], inner, vec![layers - 1]].concat())
}

impl<'a> Recursive<'a> {
    /// Plans the conversion; nothing is computed yet.
    pub fn new(config: &ModelConfig, dense: &'a dyn TensorSource, recipe: Recipe) -> Result<Self, ModelError> {
        let wrong = |why: String| ModelError::Config { why };
        if config.recursion.is_some() || config.router.is_some() || config.kv != KvMode::Own {
            return Err(ModelError::Unsupported {
                what: "a recursive model as the start of another".into(),
                supported: "plain Llama models; unroll a model first where it is recursive".into(),
            });
        }
        if let Some(difference) = Form::of(config).first_difference_but_of_positions() {
            return Err(ModelError::Unsupported {
                what: format!("a model that differs in its {difference}, as the start of a recursive one"),
                supported: "Llama models without biases and windows".into(),
            });
        }
        let Recipe { count, sharing, .. } = recipe;
        if !(2..=LIMITS.recursions).contains(&count) {
            return Err(wrong(format!("recursions is {count}; it must be from 2 to {}", LIMITS.recursions)));
        }
        let picked = picked(sharing, config.n_layers, count).ok_or_else(|| {
            wrong(format!(
                "{} layers are too few for {count} recursions of sharing {}",
                config.n_layers,
                sharing.name()
            ))
        })?;
        let mut made = config.clone();
        made.n_layers = picked.len() as u32;
        made.recursion =
            Some(Recursion { count, sharing, share_norms: recipe.share_norms, share_attention: true, encoding: false });
        made.lora = (recipe.rank > 0).then_some(Lora { scale: 1.0 });
        made.check()?;
        let sources = sources(&made, recipe.start);
        let rank = recipe.rank as usize;
        Ok(Self { dense, dense_config: config.clone(), config: made, picked, sources, rank, last: RefCell::new(None) })
    }

    /// The recursive model's config.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// For each unrolled layer the dense one that it stands for.
    pub fn picked(&self) -> &[u32] {
        &self.picked
    }

    fn part(&self, name: &str) -> Option<Part> {
        if [EMBEDDING, FINAL_NORM, LM_HEAD].contains(&name) {
            return Some(Part::Outside);
        }
        let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let layer: u32 = layer.parse().ok().filter(|layer| *layer < self.config.n_layers)?;
        let norms = [Norm::BeforeAttention, Norm::BeforeFeedForward];
        if let Some(norm) = norms.into_iter().find(|norm| name == names::norm(&self.config, layer, *norm)) {
            return Some(Part::Norm(layer, norm));
        }
        let linear = Linear::ALL.into_iter().find(|linear| rest.starts_with(linear.path()))?;
        let adapts = self.rank > 0 && self.config.recursion_of(layer).is_some();
        match name {
            _ if name == names::linear(&self.config, layer, linear) => Some(Part::Linear(layer, linear)),
            _ if adapts && name == names::lora_a(layer, linear) => Some(Part::LoraA(layer, linear)),
            _ if adapts && name == names::lora_b(layer, linear) => Some(Part::LoraB(layer, linear)),
            _ => None,
        }
    }

    fn rank(&self, linear: Linear) -> usize {
        let [out, input] = linear.shape(&self.config);
        self.rank.min(out).min(input)
    }

    /// The unrolled layers whose mean a tensor is: those of its group, or itself where norms are not shared.
    fn sources(&self, layer: u32, norm: bool) -> Vec<u32> {
        let own = norm && self.config.recursion.is_some_and(|recursion| !recursion.share_norms);
        match self.sources.get(&layer) {
            Some(sources) if !own => sources.clone(),
            _ => vec![layer],
        }
    }

    /// A tensor of the dense model, by the unrolled layer that stands for it.
    fn dense(&self, layer: u32, name: &dyn Fn(u32) -> String) -> Result<Tensor<'_>, ModelError> {
        let name = name(self.picked[layer as usize]);
        let missing = || ModelError::MissingTensor { name: name.clone(), because: "the dense model needs it".into() };
        self.dense.tensor(&name)?.ok_or_else(missing)
    }

    /// The mean of some layers' tensors; one alone stays as it is.
    fn mean(&self, layers: &[u32], name: &dyn Fn(u32) -> String) -> Result<Tensor<'_>, ModelError> {
        let first = self.dense(layers[0], name)?;
        if layers.len() == 1 {
            return Ok(first);
        }
        let mut sum: Vec<f64> = values(&first).into_iter().map(f64::from).collect();
        for layer in &layers[1..] {
            let more = values(&self.dense(*layer, name)?);
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += f64::from(more));
        }
        let count = layers.len() as f64;
        let mean: Vec<f32> = sum.into_iter().map(|sum| (sum / count) as f32).collect();
        Ok(single(first.shape, &mean))
    }

    fn linear(&self, layer: u32, linear: Linear) -> Result<Tensor<'_>, ModelError> {
        let name = |layer| names::linear(&self.dense_config, layer, linear);
        self.mean(&self.sources(self.config.unique(layer), false), &name)
    }

    /// A and B of what a layer's matrix lost when it was shared.
    fn factors(&self, layer: u32, linear: Linear) -> Result<Factors, ModelError> {
        if let Some((.., known)) = self.last.borrow().as_ref().filter(|last| (last.0, last.1) == (layer, linear)) {
            return Ok(known.clone());
        }
        let name = |layer| names::linear(&self.dense_config, layer, linear);
        let mut lost = values(&self.dense(layer, &name)?);
        let kept = values(&self.linear(layer, linear)?);
        lost.iter_mut().zip(kept).for_each(|(lost, kept)| *lost -= kept);
        let [out, input] = linear.shape(&self.config);
        let found = factors(&name(layer), &lost, out, input, self.rank(linear))?;
        *self.last.borrow_mut() = Some((layer, linear, found.clone()));
        Ok(found)
    }
}

/// For the first layer of each group, the unrolled layers that it comes from.
fn sources(config: &ModelConfig, start: Start) -> BTreeMap<u32, Vec<u32>> {
    let first = u32::from(config.recursion.is_some_and(|recursion| recursion.sharing.is_middle()));
    let (last, depth) = (config.n_layers - 1 - first, config.block_layers());
    let chosen: Vec<u32> = match start {
        Start::Stepwise => spread(first, last, depth),
        Start::Lower => (first..first + depth).collect(),
        Start::Upper => (last + 1 - depth..=last).collect(),
        Start::Average => Vec::new(),
    };
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for layer in (0..config.n_layers).filter(|layer| config.recursion_of(*layer).is_some()) {
        groups.entry(config.unique(layer)).or_default().push(layer);
    }
    // Groups in the order of their first layers take the chosen ones in turn.
    groups.values_mut().zip(chosen).for_each(|(group, chosen)| *group = vec![chosen]);
    groups
}

fn single(shape: Vec<usize>, numbers: &[f32]) -> Tensor<'static> {
    let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor { data_type: DataType::F32, shape, data: Cow::Owned(data) }
}

impl TensorSource for Recursive<'_> {
    fn names(&self) -> Vec<String> {
        let has = |name: &str| !matches!(self.dense.info(name), Ok(None));
        let mut names: Vec<String> = names::expected(&self.config, &has).into_iter().map(|(name, ..)| name).collect();
        for layer in (0..self.config.n_layers).filter(|layer| self.config.recursion_of(*layer).is_some()) {
            for linear in Linear::ALL.into_iter().filter(|_| self.rank > 0) {
                names.extend([names::lora_a(layer, linear), names::lora_b(layer, linear)]);
            }
        }
        names
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ModelError> {
        Ok(Some(match self.part(name) {
            None => return Ok(None),
            Some(Part::Outside) => return self.dense.tensor(name),
            Some(Part::Linear(layer, linear)) => self.linear(layer, linear)?,
            Some(Part::Norm(layer, norm)) => {
                self.mean(&self.sources(layer, true), &|layer| names::norm(&self.dense_config, layer, norm))?
            }
            Some(Part::LoraA(layer, linear)) => {
                single(vec![self.rank(linear), linear.shape(&self.config)[1]], &self.factors(layer, linear)?.a)
            }
            Some(Part::LoraB(layer, linear)) => {
                single(vec![linear.shape(&self.config)[0], self.rank(linear)], &self.factors(layer, linear)?.b)
            }
        }))
    }

    fn info(&self, name: &str) -> Result<Option<(DataType, Vec<usize>)>, ModelError> {
        let (layers, dense): (Vec<u32>, String) = match self.part(name) {
            None => return Ok(None),
            Some(Part::Outside) => return self.dense.info(name),
            Some(Part::Linear(layer, linear)) => {
                let layers = self.sources(self.config.unique(layer), false);
                let dense = self.picked[layers[0] as usize];
                (layers, names::linear(&self.dense_config, dense, linear))
            }
            Some(Part::Norm(layer, norm)) => {
                let layers = self.sources(layer, true);
                let dense = self.picked[layers[0] as usize];
                (layers, names::norm(&self.dense_config, dense, norm))
            }
            Some(Part::LoraA(_, linear)) => {
                return Ok(Some((DataType::F32, vec![self.rank(linear), linear.shape(&self.config)[1]])));
            }
            Some(Part::LoraB(_, linear)) => {
                return Ok(Some((DataType::F32, vec![linear.shape(&self.config)[0], self.rank(linear)])));
            }
        };
        let info = self.dense.info(&dense)?;
        Ok(info.map(|(found, shape)| (if layers.len() == 1 { found } else { DataType::F32 }, shape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_at_even_distances() {
        assert_eq!(spread(0, 8, 3), [0, 4, 8]);
        assert_eq!(spread(1, 6, 2), [1, 6]);
        assert_eq!(spread(3, 9, 1), [3]);
        // Halves go to the even number.
        assert_eq!(spread(0, 5, 3), [0, 2, 5]);
        assert_eq!(picked(Sharing::Cycle, 8, 3).unwrap(), [0, 1, 3, 4, 6, 7]);
        let kept = picked(Sharing::MiddleCycle, 30, 3).unwrap();
        assert_eq!((kept.len(), &kept[..3], kept[28]), (29, &[0, 1, 2][..], 29));
        assert_eq!(picked(Sharing::MiddleCycle, 4, 3), None);
        assert_eq!(picked(Sharing::Cycle, 2, 3), None);
    }
}
