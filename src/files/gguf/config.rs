//! The config of a GGUF file of the Llama family, from its metadata.
//!
//! llama.cpp files Mistral under "llama", and says of biases and of Llama 3's frequencies only by their tensors.
//!
//! **Invariant:** what the engine cannot follow (experts, capped scores, other rotary embeddings, tensors of unknown
//! names) is refused here, before any weight is read.

use crate::error::{ModelError, refuse};
use crate::files::gguf::Gguf;
use crate::files::gguf::metadata::Value;
use crate::files::gguf::names::ROPE_FACTORS;
use crate::network::config::{KvMode, LIMITS, ModelConfig, Window};
use crate::network::family::{AttentionBias, FAMILIES, Family, Windows};
use crate::network::form::Biases;
use crate::network::form::rotary::RopeScaling;
use crate::tensor::{TensorSource, values};

fn unsupported<T>(what: String, supported: &str) -> Result<T, ModelError> {
    Err(ModelError::Unsupported { what, supported: supported.into() })
}

impl Gguf<'_> {
    /// The network's shape; the text under `isobath.config` is its `isobath` block.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        let named = self.family()?;
        self.check_parts()?;
        let n_layers = self.required("block_count")?;
        let n_heads =
            self.of_layers("attention.head_count", n_layers)?.ok_or_else(|| self.missing("attention.head_count"))?;
        let hidden_size = self.required("embedding_length")?;
        let window = self.window(named, n_layers)?;
        let family = named.with_windows().filter(|_| window.is_some()).unwrap_or(named);
        let mut config = ModelConfig {
            family,
            hidden_size,
            intermediate_size: self
                .of_layers("feed_forward_length", n_layers)?
                .ok_or_else(|| self.missing("feed_forward_length"))?,
            n_layers,
            n_heads,
            n_kv_heads: self.of_layers("attention.head_count_kv", n_layers)?.unwrap_or(n_heads),
            head_dim: self.head_dim(hidden_size, n_heads)?,
            vocab_size: self.vocab_size()?,
            context_length: self.own("context_length")?.unwrap_or(2048),
            rms_norm_eps: self.float(&self.key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-5) as f32,
            rope_theta: self.float(&self.key("rope.freq_base"))?.unwrap_or(10000.0) as f32,
            rope_scaling: self.rope_scaling()?,
            biases: self.biases(named),
            window,
            bos_token: self.unsigned("tokenizer.ggml.bos_token_id")?,
            end_tokens: self.end_tokens()?,
            recursion: None,
            kv: KvMode::Own,
            lora: None,
            router: None,
        };
        config.check()?;
        if let Some(text) = self.string("isobath.config")? {
            let block = serde_json::from_str(text)
                .map_err(|error| refuse(format!("the text of `isobath.config` is not valid JSON: {error}")))?;
            config.apply_block(&block)?;
        }
        Ok(config)
    }

    /// The family that `general.architecture` names, the first where several share that name.
    pub(crate) fn family(&self) -> Result<&'static Family, ModelError> {
        let name = self.string("general.architecture")?;
        if let Some(family) = name.and_then(Family::of_gguf) {
            return Ok(family);
        }
        let mut names: Vec<String> =
            FAMILIES.iter().map(|family| format!("\"{}\"", family.gguf.architecture)).collect();
        names.dedup();
        let what = match name {
            Some(name) => format!("GGUF architecture \"{name}\""),
            None => "a GGUF file without `general.architecture`".into(),
        };
        unsupported(what, &format!("architecture {}", names.join(", ")))
    }

    fn check_parts(&self) -> Result<(), ModelError> {
        if self.integer(&self.key("expert_count"))?.is_some_and(|count| count > 0) {
            let what = format!("{} above 0 (mixture of experts)", self.key("expert_count"));
            return unsupported(what, "one feed-forward part per layer");
        }
        for name in ["attention.scale", "attn_logit_softcapping", "final_logit_softcapping", "logit_scale"] {
            if let Some(number) = self.float(&self.key(name))?.filter(|number| *number != 0.0) {
                let supported = "scores by 1 / sqrt(head_dim) and logits as they are";
                return unsupported(format!("{} {number}", self.key(name)), supported);
            }
        }
        match self.strangers().first() {
            Some(name) => unsupported(
                format!("tensor `{name}`"),
                "the tensors of plain models of the Llama family, and Isobath's own under their canonical names",
            ),
            None => Ok(()),
        }
    }

    /// A key of the architecture's own.
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.string("general.architecture").ok().flatten().unwrap_or_default())
    }

    fn own(&self, name: &str) -> Result<Option<u32>, ModelError> {
        self.unsigned(&self.key(name))
    }

    pub(crate) fn unsigned(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let Some(number) = self.integer(key)? else {
            return Ok(None);
        };
        self.whole(key, number).map(Some)
    }

    fn whole(&self, key: &str, number: i64) -> Result<u32, ModelError> {
        let wrong = |_| refuse(format!("`{key}` is {number}; it must be a whole number from 0 to 4294967295"));
        u32::try_from(number).map_err(wrong)
    }

    fn required(&self, name: &str) -> Result<u32, ModelError> {
        self.own(name)?.ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> ModelError {
        refuse(format!("metadata `{}` is missing; it must be a whole number", self.key(name)))
    }

    /// A number that all layers have, or a list with one for each, which must be equal here.
    fn of_layers(&self, name: &str, n_layers: u32) -> Result<Option<u32>, ModelError> {
        let key = self.key(name);
        if !matches!(self.metadata(&key), Some(Value::Array(_))) {
            return self.unsigned(&key);
        }
        let numbers = self.integers(&key)?.unwrap_or_default();
        if numbers.len() != n_layers as usize || numbers.is_empty() {
            let count = numbers.len();
            return Err(refuse(format!(
                "metadata `{key}` has {count} values; it must have one for each of {n_layers} layers"
            )));
        }
        match numbers.iter().position(|number| *number != numbers[0]) {
            Some(layer) => unsupported(
                format!("metadata `{key}` with {} in layer 0 and {} in layer {layer}", numbers[0], numbers[layer]),
                "the same number in all layers",
            ),
            None => self.whole(&key, numbers[0]).map(Some),
        }
    }

    fn rope_scaling(&self) -> Result<RopeScaling, ModelError> {
        let kind = self.string(&self.key("rope.scaling.type"))?.unwrap_or("none");
        let older = self.float(&self.key("rope.scale_linear"))?.filter(|factor| *factor != 1.0);
        let factor = self.float(&self.key("rope.scaling.factor"))?.or(older);
        let linear = match (kind, factor) {
            ("none", _) => older,
            ("linear", Some(factor)) => Some(factor),
            ("linear", None) => {
                return Err(refuse(format!("metadata `{}` is missing", self.key("rope.scaling.factor"))));
            }
            _ => {
                let what = format!("{} \"{kind}\"", self.key("rope.scaling.type"));
                return unsupported(what, "\"none\", \"linear\", and factors in a tensor `rope_freqs.weight`");
            }
        };
        match (self.tensor(ROPE_FACTORS)?, linear) {
            (Some(_), Some(_)) => {
                unsupported(format!("tensor `{ROPE_FACTORS}` beside a factor for all frequencies"), "one of them")
            }
            (Some(factors), None) => Ok(RopeScaling::Factors(values(&factors))),
            (None, Some(factor)) => Ok(RopeScaling::Linear { factor: factor as f32 }),
            (None, None) => Ok(RopeScaling::None),
        }
    }

    /// What the file holds; where the family always has those of queries, keys and values, it must hold them.
    fn biases(&self, family: &Family) -> Biases {
        let any = |paths: &[&str]| self.names().iter().any(|name| paths.iter().any(|path| name.ends_with(path)));
        Biases {
            qkv: family.attention_bias == AttentionBias::QueriesKeysValues
                || any(&["q_proj.bias", "k_proj.bias", "v_proj.bias"]),
            output: any(&["o_proj.bias"]),
            feed_forward: any(&["gate_proj.bias", "up_proj.bias", "down_proj.bias"]),
        }
    }

    /// A window on all layers, or on those that a pattern of truths names.
    fn window(&self, named: &Family, n_layers: u32) -> Result<Option<Window>, ModelError> {
        let Some(entries) = self.own("attention.sliding_window")?.filter(|entries| *entries > 0) else {
            return Ok(None);
        };
        let key = self.key("attention.sliding_window_pattern");
        let layers = match self.array(&key)? {
            // The count is checked later; until then it must not decide an allocation.
            None => vec![true; n_layers.min(LIMITS.layers) as usize],
            Some(pattern) => {
                let truth = |value| if let Value::Bool(truth) = value { Some(truth) } else { None };
                let layers: Option<Vec<bool>> = pattern.values().map(truth).collect();
                layers.ok_or_else(|| refuse(format!("metadata `{key}` must hold true or false for each layer")))?
            }
        };
        let windows = named.with_windows().map_or(Windows::Never, |family| family.windows);
        if windows == Windows::Never || windows == Windows::Everywhere && layers.contains(&false) {
            return unsupported(format!("metadata `{key}` in a {} model", named.model_type), "one for all layers");
        }
        Ok(Some(Window { entries, layers }))
    }

    fn head_dim(&self, hidden_size: u32, n_heads: u32) -> Result<u32, ModelError> {
        let head_dim = match self.own("attention.key_length")? {
            Some(length) => length,
            None if n_heads == 0 => {
                return Err(refuse(format!("`{}` is 0; it must be from 1 to 1024", self.key("attention.head_count"))));
            }
            None if !hidden_size.is_multiple_of(n_heads) => {
                return Err(refuse(format!(
                    "`{}` is {hidden_size}; without `{}` it must be a multiple of `{}`, which is {n_heads}",
                    self.key("embedding_length"),
                    self.key("attention.key_length"),
                    self.key("attention.head_count"),
                )));
            }
            None => hidden_size / n_heads,
        };
        for name in ["rope.dimension_count", "attention.value_length"] {
            if let Some(other) = self.own(name)?.filter(|other| *other != head_dim) {
                let what = format!("{} {other} with heads of width {head_dim}", self.key(name));
                return unsupported(what, "heads that are of one width and turned as a whole");
            }
        }
        Ok(head_dim)
    }

    fn vocab_size(&self) -> Result<u32, ModelError> {
        if let Some(size) = self.own("vocab_size")? {
            return Ok(size);
        }
        let Some(tokens) = self.array("tokenizer.ggml.tokens")? else {
            return Err(refuse(format!(
                "metadata `{}` and `tokenizer.ggml.tokens` are missing; one must be there",
                self.key("vocab_size")
            )));
        };
        u32::try_from(tokens.len()).map_err(|_| refuse("`tokenizer.ggml.tokens` is too long"))
    }

    /// Whether the file holds the tensor of that canonical name, usable or not.
    pub fn has(&self, name: &str) -> bool {
        !matches!(self.info(name), Ok(None))
    }
}
