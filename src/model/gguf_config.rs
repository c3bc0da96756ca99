//! The config of a GGUF file of the Llama family, from its metadata.
//!
//! **Invariant:** what the engine cannot follow (scaled rotary embeddings, experts, biases, tensors of unknown
//! names) is refused here, before any weight is read.

use super::config::{KvMode, ModelConfig};
use super::gguf::Gguf;
use super::json_fields::refuse;
use super::tensor::TensorSource;
use crate::error::ModelError;

impl Gguf<'_> {
    /// The network's shape; the text under `isobath.config` is its `isobath` block.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        self.check_architecture()?;
        self.check_parts()?;
        let n_heads = self.required("llama.attention.head_count")?;
        let hidden_size = self.required("llama.embedding_length")?;
        let mut config = ModelConfig {
            hidden_size,
            intermediate_size: self.required("llama.feed_forward_length")?,
            n_layers: self.required("llama.block_count")?,
            n_heads,
            n_kv_heads: self.unsigned("llama.attention.head_count_kv")?.unwrap_or(n_heads),
            head_dim: self.head_dim(hidden_size, n_heads)?,
            vocab_size: self.vocab_size()?,
            context_length: self.unsigned("llama.context_length")?.unwrap_or(2048),
            rms_norm_eps: self.float("llama.attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5) as f32,
            rope_theta: self.float("llama.rope.freq_base")?.unwrap_or(10000.0) as f32,
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

    fn check_architecture(&self) -> Result<(), ModelError> {
        match self.string("general.architecture")? {
            Some("llama") => Ok(()),
            other => Err(ModelError::Unsupported {
                what: match other {
                    Some(name) => format!("GGUF architecture \"{name}\""),
                    None => "a GGUF file without `general.architecture`".into(),
                },
                supported: "architecture \"llama\"".into(),
            }),
        }
    }

    fn check_parts(&self) -> Result<(), ModelError> {
        let unsupported =
            |what: String, supported: &str| Err(ModelError::Unsupported { what, supported: supported.into() });
        if let Some(kind) = self.string("llama.rope.scaling.type")?.filter(|kind| *kind != "none") {
            return unsupported(format!("llama.rope.scaling.type \"{kind}\""), "\"none\"");
        }
        if self.float("llama.rope.scale_linear")?.is_some_and(|factor| factor != 1.0) {
            return unsupported("llama.rope.scale_linear".into(), "rotary embeddings without scaling");
        }
        if self.integer("llama.expert_count")?.is_some_and(|count| count > 0) {
            return unsupported(
                "llama.expert_count above 0 (mixture of experts)".into(),
                "one feed-forward part per layer",
            );
        }
        match self.strangers().first() {
            Some(&name @ "rope_freqs.weight") => {
                unsupported(format!("tensor `{name}`"), "rotary embeddings without scaling")
            }
            Some(name) if name.ends_with(".bias") => unsupported(format!("tensor `{name}`"), "linears without bias"),
            Some(name) => unsupported(
                format!("tensor `{name}`"),
                "the tensors of plain Llama models, and Isobath's own under their canonical names",
            ),
            None => Ok(()),
        }
    }

    fn unsigned(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let Some(number) = self.integer(key)? else {
            return Ok(None);
        };
        u32::try_from(number)
            .map(Some)
            .map_err(|_| refuse(format!("`{key}` is {number}; it must be a whole number from 0 to 4294967295")))
    }

    fn required(&self, key: &str) -> Result<u32, ModelError> {
        self.unsigned(key)?.ok_or_else(|| refuse(format!("metadata `{key}` is missing; it must be a whole number")))
    }

    fn head_dim(&self, hidden_size: u32, n_heads: u32) -> Result<u32, ModelError> {
        let head_dim = match self.unsigned("llama.attention.key_length")? {
            Some(length) => length,
            None if n_heads == 0 => {
                return Err(refuse("`llama.attention.head_count` is 0; it must be from 1 to 1024"));
            }
            None if !hidden_size.is_multiple_of(n_heads) => {
                return Err(refuse(format!(
                    "`llama.embedding_length` is {hidden_size}; without `llama.attention.key_length` it must be a \
                     multiple of `llama.attention.head_count`, which is {n_heads}"
                )));
            }
            None => hidden_size / n_heads,
        };
        for key in ["llama.rope.dimension_count", "llama.attention.value_length"] {
            if let Some(other) = self.unsigned(key)?.filter(|other| *other != head_dim) {
                return Err(ModelError::Unsupported {
                    what: format!("{key} {other} with heads of width {head_dim}"),
                    supported: "heads that are of one width and turned as a whole".into(),
                });
            }
        }
        Ok(head_dim)
    }

    fn vocab_size(&self) -> Result<u32, ModelError> {
        if let Some(size) = self.unsigned("llama.vocab_size")? {
            return Ok(size);
        }
        let Some(tokens) = self.array("tokenizer.ggml.tokens")? else {
            return Err(refuse(
                "metadata `llama.vocab_size` and `tokenizer.ggml.tokens` are missing; one must be there",
            ));
        };
        u32::try_from(tokens.len()).map_err(|_| refuse("`tokenizer.ggml.tokens` is too long"))
    }

    fn end_tokens(&self) -> Result<Vec<u32>, ModelError> {
        let mut tokens = Vec::new();
        for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
            if let Some(token) = self.unsigned(key)?.filter(|token| !tokens.contains(token)) {
                tokens.push(token);
            }
        }
        Ok(tokens)
    }

    /// Whether the file holds the tensor of that canonical name, usable or not.
    pub fn has(&self, name: &str) -> bool {
        !matches!(self.info(name), Ok(None))
    }
}
