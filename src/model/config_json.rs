//! `config.json` of the Hugging Face Llama family, read and written.
//!
//! **Invariant:** a setting that would change the output and that the engine does not know how to follow is
//! refused, never ignored.

use serde_json::{Value, json};

use super::config::{KvMode, ModelConfig};
use super::json_fields::{Fields, as_unsigned, refuse};
use crate::error::ModelError;

impl ModelConfig {
    /// Reads `config.json`, with its `isobath` block where it has one, and checks it.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| refuse(format!("the file is not valid JSON: {error}")))?;
        let fields = Fields::new("", &value)?;
        check_architecture(&fields)?;
        check_parts(&fields)?;
        let n_heads = fields.required("num_attention_heads")?;
        let hidden_size = fields.required("hidden_size")?;
        let mut config = Self {
            hidden_size,
            intermediate_size: fields.required("intermediate_size")?,
            n_layers: fields.required("num_hidden_layers")?,
            n_heads,
            n_kv_heads: fields.unsigned("num_key_value_heads")?.unwrap_or(n_heads),
            head_dim: head_dim(&fields, hidden_size, n_heads)?,
            vocab_size: fields.required("vocab_size")?,
            context_length: fields.unsigned("max_position_embeddings")?.unwrap_or(2048),
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-5),
            rope_theta: rope_theta(&fields)?,
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
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.context_length,
            "rms_norm_eps": plain_number(self.rms_norm_eps),
            "rope_theta": plain_number(self.rope_theta),
            "bos_token_id": self.bos_token,
            "eos_token_id": end_tokens,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
        });
        if let Some(block) = self.block() {
            config["isobath"] = block;
        }
        config
    }
}

/// The shortest decimal that reads back as this number: 0.1 stays 0.1 and does not become 0.10000000149.
pub(super) fn plain_number(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn check_architecture(fields: &Fields) -> Result<(), ModelError> {
    let unsupported =
        |what: String| ModelError::Unsupported { what, supported: "model_type \"llama\" (LlamaForCausalLM)".into() };
    let model_type = fields.text("model_type")?;
    if let Some(other) = model_type.filter(|name| *name != "llama") {
        return Err(unsupported(format!("model_type \"{other}\"")));
    }
    match fields.value("architectures") {
        Some(Value::Array(names)) if !names.is_empty() => {
            if names.iter().any(|name| name == "LlamaForCausalLM") {
                return Ok(());
            }
            let names: Vec<String> = names.iter().take(4).map(Value::to_string).collect();
            Err(unsupported(format!("architecture {}", names.join(", "))))
        }
        Some(other) if !other.is_array() => Err(fields.wrong("architectures", other, "a list of names")),
        _ if model_type.is_none() => Err(fields.missing("model_type", "\"llama\"")),
        _ => Ok(()),
    }
}

/// Refuses what would change the output and is not implemented.
fn check_parts(fields: &Fields) -> Result<(), ModelError> {
    let unsupported =
        |what: String, supported: &str| Err(ModelError::Unsupported { what, supported: supported.into() });
    if let Some(other) = fields.text("hidden_act")?.filter(|name| *name != "silu") {
        return unsupported(format!("hidden_act \"{other}\""), "\"silu\"");
    }
    for key in ["attention_bias", "mlp_bias"] {
        if fields.boolean(key)? == Some(true) {
            return unsupported(format!("{key} true"), "linears without bias");
        }
    }
    if fields.value("quantization_config").is_some() {
        return unsupported(
            "`quantization_config` in config.json".into(),
            "safetensors in f32, f16 or bf16; GGUF in q8_0, q4_0, q4_1, q6_K",
        );
    }
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(rope) = fields.object(key)? else {
            continue;
        };
        for name in ["rope_type", "type"] {
            if let Some(other) = rope.text(name)?.filter(|name| *name != "default") {
                return unsupported(format!("{key} of type \"{other}\""), "the default rotary embedding");
            }
        }
        if rope.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
            return unsupported(format!("{key}.partial_rotary_factor"), "a rotary embedding of the whole head");
        }
        if key == "rope_scaling" && rope.number("factor")?.is_some_and(|factor| factor != 1.0) {
            return unsupported("rope_scaling.factor".into(), "the default rotary embedding");
        }
    }
    Ok(())
}

fn head_dim(fields: &Fields, hidden_size: u32, n_heads: u32) -> Result<u32, ModelError> {
    if let Some(head_dim) = fields.unsigned("head_dim")? {
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

/// `rope_theta`, or `rope_parameters.rope_theta` as newer versions of transformers write it.
fn rope_theta(fields: &Fields) -> Result<f32, ModelError> {
    if let Some(theta) = fields.number("rope_theta")? {
        return Ok(theta);
    }
    let nested = fields.object("rope_parameters")?.map(|rope| rope.number("rope_theta")).transpose()?;
    Ok(nested.flatten().unwrap_or(10000.0))
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
    use crate::model::config::{Lora, Recursion, Router, RouterFunction, RouterKind, RouterNetwork, Sharing};

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
