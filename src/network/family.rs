//! What the members of the Llama family add to the plain network: biases, norms of heads, windows, scaled rotations.
//!
//! **Invariant:** data only. A member that needs more than these numbers is refused by whoever reads its file.

use crate::error::{ModelError, refuse};
use crate::network::config::ModelConfig;
use crate::network::names::Linear;

/// Which member of the family a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Architecture {
    /// Llama 1 to 3, SmolLM 2 and what shares their shape.
    #[default]
    Llama,
    /// Llama with a window.
    Mistral,
    /// Biases on queries, keys and values; a window on the upper layers.
    Qwen2,
    /// Norms of the heads' queries and keys; windows as in Qwen 2.
    Qwen3,
    /// Scaled embedding, norm weights counted from 1, GELU in place of SiLU.
    Gemma,
}

/// Which linears have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Output of attention.
    pub output: bool,
    /// Gate, up- and down-projection.
    pub feed_forward: bool,
}

/// How far back some of the layers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Positions that a token sees, its own included.
    pub entries: u32,
    /// Which unrolled layers have the window, one per layer; the others see everything.
    pub layers: Vec<bool>,
}

/// Frequencies other than `theta^(-2i / head_dim)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// None.
    #[default]
    None,
    /// All are divided by the factor.
    Linear {
        /// At least 1.
        factor: f32,
    },
    /// Slow ones are divided by the factor, fast ones stay, those between are blended (Llama 3.1).
    Llama3 {
        /// At least 1.
        factor: f32,
        /// Turns within the original context below which a frequency counts as slow.
        low: f32,
        /// Turns above which it counts as fast.
        high: f32,
        /// Context of the first training.
        original: u32,
    },
    /// Each is divided by a number of its own, `[head_dim / 2]`.
    Factors(Vec<f32>),
}

/// The window of a layer that sees everything.
pub const NO_WINDOW: u32 = u32::MAX;

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3, Self::Gemma];

    /// Name as `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma => "gemma",
        }
    }

    /// Name among `architectures` in `config.json`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gemma => "GemmaForCausalLM",
        }
    }

    /// All names, for messages.
    pub fn supported() -> String {
        let names = Self::ALL.map(|member| format!("\"{}\" ({})", member.model_type(), member.class()));
        format!("model_type {}", names.join(", "))
    }

    /// Queries and keys are normalised head by head.
    pub fn head_norms(self) -> bool {
        self == Self::Qwen3
    }

    /// What is added to the weights of norms.
    pub fn norm_offset(self) -> f32 {
        if self == Self::Gemma { 1.0 } else { 0.0 }
    }

    /// The feed-forward part's gate is GELU (by tanh) instead of SiLU.
    pub fn gelu(self) -> bool {
        self == Self::Gemma
    }

    /// Factor of the embedding.
    pub fn embedding_scale(self, hidden_size: u32) -> f32 {
        if self == Self::Gemma { f64::from(hidden_size).sqrt() as f32 } else { 1.0 }
    }
}

impl Biases {
    /// Whether that linear has one.
    pub fn has(self, linear: Linear) -> bool {
        match linear {
            Linear::Query | Linear::Key | Linear::Value => self.qkv,
            Linear::Output => self.output,
            Linear::Gate | Linear::Up | Linear::Down => self.feed_forward,
        }
    }
}

impl RopeScaling {
    fn check(&self, head_dim: u32) -> Result<(), ModelError> {
        let at_least_1 = |factor: f32| factor.is_finite() && factor >= 1.0;
        match self {
            Self::None => Ok(()),
            Self::Linear { factor } | Self::Llama3 { factor, .. } if !at_least_1(*factor) => {
                Err(refuse(format!("`rope_scaling.factor` is {factor}; it must be a finite number of at least 1")))
            }
            Self::Linear { .. } => Ok(()),
            Self::Llama3 { low, high, .. } if !(*low > 0.0 && low < high && high.is_finite()) => Err(refuse(format!(
                "`rope_scaling` has `low_freq_factor` {low} and `high_freq_factor` {high}; they must be finite, above 0, \
                 and the second above the first"
            ))),
            Self::Llama3 { original: 0, .. } => {
                Err(refuse("`rope_scaling.original_max_position_embeddings` is 0; it must be at least 1"))
            }
            Self::Llama3 { .. } => Ok(()),
            Self::Factors(factors) => {
                let wrong = factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0));
                match wrong {
                    Some(factor) => {
                        Err(refuse(format!("the rotary embedding's factors hold {factor}; they must be above 0")))
                    }
                    None if factors.len() != head_dim as usize / 2 => Err(refuse(format!(
                        "there are {} factors of the rotary embedding; there must be {}, half of `head_dim`",
                        factors.len(),
                        head_dim / 2
                    ))),
                    None => Ok(()),
                }
            }
        }
    }

    /// The frequency of pair `index` with this scaling.
    fn apply(&self, index: usize, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / f64::from(*factor),
            Self::Factors(factors) => frequency / f64::from(factors.get(index).copied().unwrap_or(1.0)),
            Self::Llama3 { factor, low, high, original } => {
                let (low, high) = (f64::from(*low), f64::from(*high));
                let turns = f64::from(*original) * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / f64::from(*factor)
            }
        }
    }
}

impl ModelConfig {
    /// The rules of this file's settings.
    pub(crate) fn check_family(&self) -> Result<(), ModelError> {
        self.rope_scaling.check(self.head_dim)?;
        let Biases { qkv, output, feed_forward } = self.biases;
        let fits = match self.architecture {
            Architecture::Llama => qkv == output,
            Architecture::Qwen3 | Architecture::Gemma => qkv == output && !feed_forward,
            Architecture::Qwen2 => qkv && !output && !feed_forward,
            Architecture::Mistral => !qkv && !output && !feed_forward,
        };
        if !fits {
            let name = |(has, name): (bool, &'static str)| has.then_some(name);
            let parts =
                [(qkv, "q, k, v"), (output, "the output of attention"), (feed_forward, "the feed-forward part")];
            let parts: Vec<&str> = parts.into_iter().filter_map(name).collect();
            return Err(ModelError::Unsupported {
                what: format!("a {} model with biases on: {}", self.architecture.model_type(), parts.join("; ")),
                supported: "all of attention's linears (llama, qwen3, gemma), q, k, v alone (qwen2), the feed-forward \
                            part (llama), or none"
                    .into(),
            });
        }
        match &self.window {
            Some(window) if window.entries == 0 => {
                Err(refuse("`sliding_window` is 0; it must be at least 1, or null for none"))
            }
            Some(window) if window.layers.len() != self.n_layers as usize => Err(refuse(format!(
                "`layer_types` has {} entries; it must have one per layer, which is {}",
                window.layers.len(),
                self.n_layers
            ))),
            _ => Ok(()),
        }
    }

    /// Radians per position of each pair of a head, `[head_dim / 2]`.
    pub fn frequencies(&self) -> Vec<f32> {
        let plain = |i: u32| 1.0 / f64::from(self.rope_theta).powf(f64::from(2 * i) / f64::from(self.head_dim));
        (0..self.head_dim / 2).map(|i| self.rope_scaling.apply(i as usize, plain(i)) as f32).collect()
    }

    /// Positions that a token sees in this unrolled layer, its own included; [`NO_WINDOW`] where it sees all.
    pub fn window_of(&self, layer: u32) -> u32 {
        match &self.window {
            Some(window) if window.layers.get(layer as usize) == Some(&true) => window.entries,
            _ => NO_WINDOW,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_keeps_fast_frequencies_and_stretches_slow_ones() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
        let turns = |n: f64| n * std::f64::consts::TAU / 8192.0;
        assert_eq!(scaling.apply(0, turns(4.5)), turns(4.5));
        assert_eq!(scaling.apply(0, turns(0.9)), turns(0.9) / 8.0);
        let middle = scaling.apply(0, turns(2.5)) / turns(2.5);
        assert!((middle - (0.5 + 0.5 / 8.0)).abs() < 1e-12, "{middle}");
        assert_eq!(RopeScaling::Factors(vec![1.0, 4.0]).apply(1, 2.0), 0.5);
        assert_eq!(RopeScaling::Linear { factor: 4.0 }.apply(1, 2.0), 0.5);
    }

    #[test]
    fn names_are_those_of_transformers() {
        assert!(Architecture::supported().contains("\"qwen2\" (Qwen2ForCausalLM), \"qwen3\""));
    }
}
