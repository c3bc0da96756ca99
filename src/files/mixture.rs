//! Mixtures of types as llama.cpp's files have them: a base type for most matrices, and more bits where a model suffers
//! most from few: its head, and in some layers the values and the down-projection.
//!
//! What llama.cpp has no rule for, because it has no such models, stays as it is (routers, encodings, vectors) or is
//! stored in 8 bits (adapters, which are small and made to take up what is lost elsewhere). Layers count as they are
//! stored, so that one that several recursions share counts once.

use crate::error::ModelError;
use crate::network::names::{EMBEDDING, LM_HEAD, Linear};
use crate::tensor::{DataType, TensorSource};

/// A mixture by the name that llama.cpp gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixture {
    /// q4_K; q6_K for the head, and for values and down-projections in half of the layers.
    Q4KM,
    /// q5_K; q6_K where `Q4KM` has it.
    Q5KM,
    /// q6_K.
    Q6K,
    /// q8_0.
    Q8_0,
}

impl Mixture {
    /// Every mixture.
    pub const ALL: [Self; 4] = [Self::Q4KM, Self::Q5KM, Self::Q6K, Self::Q8_0];

    /// Name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4KM => "q4_k_m",
            Self::Q5KM => "q5_k_m",
            Self::Q6K => "q6_k",
            Self::Q8_0 => "q8_0",
        }
    }

    /// llama.cpp's number for a file of it.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::Q4KM => 15,
            Self::Q5KM => 17,
            Self::Q6K => 18,
            Self::Q8_0 => 7,
        }
    }

    fn base(self) -> DataType {
        match self {
            Self::Q4KM => DataType::Q4K,
            Self::Q5KM => DataType::Q5K,
            Self::Q6K => DataType::Q6K,
            Self::Q8_0 => DataType::Q8_0,
        }
    }

    /// Whether it has more bits for some layers than for others.
    fn by_layer(self) -> bool {
        matches!(self, Self::Q4KM | Self::Q5KM)
    }

    /// The head's type, which is the embedding's too where that is the head.
    fn head(self, shape: &[usize]) -> DataType {
        let base = self.base();
        if base == DataType::Q8_0 || base.bytes(shape).is_none() { DataType::Q8_0 } else { DataType::Q6K }
    }
}

/// The type that takes the place of one whose blocks of 256 do not fill the rows.
pub(crate) fn second(data_type: DataType) -> DataType {
    match data_type {
        DataType::Q4K => DataType::Q5_0,
        DataType::Q5K => DataType::Q5_1,
        DataType::Q6K => DataType::Q8_0,
        other => other,
    }
}

/// The mixture for the tensors of one model.
pub(crate) struct Mixed {
    mixture: Mixture,
    /// Layers that have value matrices and down-projections, in order.
    values: Vec<u32>,
    downs: Vec<u32>,
    /// The embedding is the head.
    tied: bool,
    /// 80 layers with fewer heads of keys than of queries, as Llama 70B.
    large: bool,
}

impl Mixed {
    /// For the tensors of these names.
    pub(crate) fn new(mixture: Mixture, source: &dyn TensorSource, names: &[String]) -> Result<Self, ModelError> {
        let in_order = |linear| layers(names, linear).into_iter().map(|(layer, _)| layer).collect();
        let (values, downs): (Vec<u32>, Vec<u32>) = (in_order(Linear::Value), in_order(Linear::Down));
        let rows = |linear: Linear| -> Result<Option<usize>, ModelError> {
            let Some((_, name)) = layers(names, linear).pop() else { return Ok(None) };
            Ok(source.info(name)?.and_then(|(_, shape)| shape.first().copied()))
        };
        let large = values.len() == 80 && rows(Linear::Query)? != rows(Linear::Key)?;
        Ok(Self { mixture, values, downs, tied: !names.iter().any(|name| name == LM_HEAD), large })
    }

    /// The type of a tensor.
    pub(crate) fn data_type(&self, name: &str, found: DataType, shape: &[usize]) -> DataType {
        if shape.len() != 2 {
            return found;
        }
        let wanted = match (name, place(name)) {
            (LM_HEAD, _) => self.mixture.head(shape),
            (EMBEDDING, _) if self.tied => self.mixture.head(shape),
            (EMBEDDING, _) => self.mixture.base(),
            (_, Some((layer, linear))) => self.in_layer(layer, linear),
            _ if name.contains(".lora_") && DataType::Q8_0.bytes(shape).is_some() => DataType::Q8_0,
            _ => return found,
        };
        // Rows of other lengths than multiples of 32 fill no block at all.
        [wanted, second(wanted)].into_iter().find(|fits| fits.bytes(shape).is_some()).unwrap_or(DataType::F16)
    }

    fn in_layer(&self, layer: u32, linear: Linear) -> DataType {
        let layers = match linear {
            Linear::Value => &self.values,
            Linear::Down => &self.downs,
            _ => return self.mixture.base(),
        };
        let index = layers.iter().position(|other| *other == layer).unwrap_or_default();
        match self.mixture.base() {
            _ if self.mixture.by_layer() && needs_more_bits(index, layers.len()) => DataType::Q6K,
            // Eight heads share each value matrix there, so that bits cost little.
            DataType::Q4K if self.large && linear == Linear::Value => DataType::Q5K,
            base => base,
        }
    }
}

/// The first and the last eighth of the layers, and each third of those between.
fn needs_more_bits(index: usize, count: usize) -> bool {
    let eighth = count / 8;
    index < eighth || index >= 7 * count / 8 || (index - eighth) % 3 == 2
}

/// The layers that have a matrix of that kind, in order, and its names.
fn layers(names: &[String], linear: Linear) -> Vec<(u32, &String)> {
    let of = |name| place(name).filter(|(_, found)| *found == linear).map(|(layer, _)| layer);
    let mut found: Vec<(u32, &String)> = names.iter().filter_map(|name| Some((of(name)?, name))).collect();
    found.sort_unstable();
    found
}

/// Layer and linear of a matrix of a layer.
fn place(name: &str) -> Option<(u32, Linear)> {
    let (layer, path) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let path = path.strip_suffix(".weight")?;
    let linear = Linear::ALL.into_iter().find(|linear| linear.path() == path)?;
    Some((layer.parse().ok()?, linear))
}
