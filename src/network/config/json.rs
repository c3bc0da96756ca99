//! `config.json` of the Hugging Face Llama family, read and written.
//!
//! **Invariant:** a setting that would change the output and that the engine does not know how to follow is
//! refused, never ignored.

use serde_json::{Value, json};

use crate::error::{ModelError, refuse};
use crate::network::config::family::{check_activation, read_biases, read_family, read_rope, read_window};
use crate::network::config::{KvMode, ModelConfig};
use crate::network::family::{FAMILIES, Family};
use crate::network::json_fields::{Fields, as_unsigned};

impl ModelConfig {
    /// Reads `config.json`, with its `isobath` block where it has one, and checks it.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        Self::from_json_among(text, FAMILIES)
    }

    /// The same among other families than those of the table.
    pub fn from_json_among(text: &str, families: &'static [Family]) -> Result<Self, ModelError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| refuse(format!("the file is not valid JSON: {error}")))?;
        let fields = Fields::new("", &value)?;
        let family = read_family(&fields, families)?;
        check_activation(&fields, family)?;
        check_parts(&fields)?;
        let n_heads = fields.required("num_attention_heads")?;
        let hidden_size = fields.required("hidden_size")?;
        let n_layers = fields.required("num_hidden_layers")?;
        let (rope_theta, rope_scaling) = read_rope(&fields)?;
        let mut config = Self {
            family,
            hidden_size,
            intermediate_size: fields.required("intermediate_size")?,
            n_layers,
            n_heads,
            n_kv_heads: n_kv_heads(&fields, family)?.unwrap_or(n_heads),
            head_dim: head_dim(&fields, family, hidden_size, n_heads)?,
            vocab_size: fields.required("vocab_size")?,
            context_length: fields.unsigned("max_position_embeddings")?.unwrap_or(2048),
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            biases: read_biases(&fields, family)?,
            window: read_window(&fields, family, n_layers)?,
            bos_token: fields.unsigned("bos_token_id")?,
            end_tokens: end_tokens(&fields)?,
            recursion: None,
            kv: KvMode::Own,
            lora: None,
            router: None,
        };
        config.check()?;
        if let Some(block) = fields.value("isobath") {
            config.apply_block(block)?;
        }
        Ok(config)
    }

    /// The same config as JSON that [`ModelConfig::from_json`] and Hugging Face's transformers read.
    pub fn to_json(&self) -> Value {
        let end_tokens = match self.end_tokens.as_slice() {
            [] => Value::Null,
            [only] => json!(only),
            several => json!(several),
        };
        let mut config = json!({
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.context_length,
            "rms_norm_eps": plain_number(self.rms_norm_eps),
            "bos_token_id": self.bos_token,
            "eos_token_id": end_tokens,
        });
        if let Some(fields) = config.as_object_mut() {
            self.write_family(fields);
        }
        if let Some(block) = self.block() {
            config["isobath"] = block;
        }
        config
    }
}

/// The shortest decimal that reads back as this number: 0.1 stays 0.1 and does not become 0.10000000149.
pub(crate) fn plain_number(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Refuses what would change the output and is not implemented.
fn check_parts(fields: &Fields) -> Result<(), ModelError> {
    match fields.value("quantization_config") {
        None => Ok(()),
        Some(_) => Err(ModelError::Unsupported {
            what: "`quantization_config` in config.json".into(),
            supported:
                "safetensors in f32, f16 or bf16; GGUF in q8_0, q4_0, q4_1, q5_0, q5_1, q2_K to q6_K, iq4_nl, iq4_xs"
                    .into(),
        }),
    }
}

/// `None`: as many as query heads. Each family has another default, so the field must be there, be it as `null`.
fn n_kv_heads(fields: &Fields, family: &Family) -> Result<Option<u32>, ModelError> {
    if !family.key_heads_optional && !fields.is_named("num_key_value_heads") {
        return Err(fields.missing("num_key_value_heads", "a whole number, or null for one per query head"));
    }
    fields.unsigned("num_key_value_heads")
}

fn head_dim(fields: &Fields, family: &Family, hidden_size: u32, n_heads: u32) -> Result<u32, ModelError> {
    let default = family.head_dim.filter(|_| !fields.is_named("head_dim"));
    if let Some(head_dim) = fields.unsigned("head_dim")?.or(default) {
        return Ok(head_dim);
    }
    if n_heads == 0 {
        return Err(refuse("`num_attention_heads` is 0; it must be from 1 to 1024"));
    }
    if !hidden_size.is_multiple_of(n_heads) {
        return Err(refuse(format!(
            "`hidden_size` is {hidden_size}; without `head_dim` it must be a multiple of `num_attention_heads`, which \
             is {n_heads}"
        )));
    }
    Ok(hidden_size / n_heads)
}

/// `eos_token_id` is a token, a list of tokens, or absent.
fn end_tokens(fields: &Fields) -> Result<Vec<u32>, ModelError> {
    let Some(value) = fields.value("eos_token_id") else {
        return Ok(Vec::new());
    };
    let tokens: Option<Vec<u32>> = match value {
        Value::Array(list) => list.iter().map(as_unsigned).collect(),
        single => as_unsigned(single).map(|token| vec![token]),
    };
    tokens.ok_or_else(|| fields.wrong("eos_token_id", value, "a token number or a list of token numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::config::{Lora, Recursion, Router, RouterFunction, RouterKind, RouterNetwork, Sharing};

    const PLAIN: &str = r#"{"model_type":"llama","hidden_size":576,"intermediate_size":1536,
        "num_hidden_layers":32,"num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152 BLOCK}"#;

    fn with(more: &str) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(&PLAIN.replace("BLOCK", more))
    }

    #[test]
    fn defaults_of_a_plain_model() {
        let config = with("").unwrap();
        assert_eq!((config.head_dim, config.context_length, config.rope_theta), (64, 2048, 10000.0));
        assert_eq!((config.kv, config.recursion, config.router.clone()), (KvMode::Own, None, None));
        assert_eq!(config.block(), None);
        assert_eq!(ModelConfig::from_json(&config.to_json().to_string()).unwrap(), config);
    }

    #[test]
    fn newer_and_older_spellings() {
        assert_eq!(with(r#","rope_parameters":{"rope_theta":500.5,"rope_type":"default"}"#).unwrap().rope_theta, 500.5);
        assert_eq!(with(r#","rope_scaling":null,"eos_token_id":[1,2]"#).unwrap().end_tokens, [1, 2]);
        assert_eq!(with(r#","eos_token_id":7,"bos_token_id":3"#).unwrap().end_tokens, [7]);
    }

    #[test]
    fn every_setting_survives_a_round_trip() {
        let mut config = with(r#","eos_token_id":[1,2],"bos_token_id":0,"rms_norm_eps":1e-6"#).unwrap();
        config.recursion = Some(Recursion {
            count: 3,
            sharing: Sharing::MiddleCycle,
            share_norms: false,
            share_attention: false,
            encoding: true,
        });
        config.kv = KvMode::Hybrid;
        config.lora = Some(Lora { scale: 0.1 });
        config.router = Some(Router {
            kind: RouterKind::Expert,
            network: RouterNetwork::Mlp,
            function: RouterFunction::Identity,
            alpha: 0.1,
            weighted: false,
            temperature: 0.7,
            auxiliary: true,
            bias: false,
            capacity: vec![1.0, 0.5, 0.25],
            gate_first: true,
        });
        config.check().unwrap();
        let text = config.to_json().to_string();
        assert!(text.contains(r#""alpha":0.1,"#), "{text}");
        assert_eq!(ModelConfig::from_json(&text).unwrap(), config);
    }

    #[test]
    fn block_defaults() {
        let config = with(
            r#","isobath":{"recursion":{"count":3,"sharing":"middle_cycle"},"kv":{"mode":"share"},"router":{"kind":"expert"}}"#,
        )
        .unwrap();
        assert_eq!(config.kv, KvMode::Share { count: 3, sharing: Sharing::MiddleCycle });
        assert_eq!(config.router.unwrap().capacity, [1.0, 2.0 / 3.0, 1.0 / 3.0]);
        let token = with(
            r#","isobath":{"recursion":{"count":3,"sharing":"middle_cycle"},"router":{"kind":"token","bias":true}}"#,
        )
        .unwrap();
        let router = token.router.clone().unwrap();
        assert_eq!((router.function, router.alpha), (RouterFunction::Softmax, 1.0));
        assert_eq!(ModelConfig::from_json(&token.to_json().to_string()).unwrap(), token);
    }
}
