//! What `config.json` says of a network's family: its name, biases, window and rotary embedding.
//!
//! Which fields are read is told by the family's entry in the table: as in transformers, one reads what another does not.
//!
//! **Invariant:** a value that would change the output and that the engine cannot follow is refused by name.

use serde_json::{Map, Value, json};

use crate::error::ModelError;
use crate::network::config::json::plain_number;
use crate::network::config::{LIMITS, ModelConfig, Window};
use crate::network::family::{self, AttentionBias, Family, Windows};
use crate::network::form::Biases;
use crate::network::form::rotary::RopeScaling;
use crate::network::json_fields::Fields;

const LAYER_TYPES: &str = "a list of \"full_attention\" and \"sliding_attention\", one per layer";

fn unsupported<T>(what: String, supported: &str) -> Result<T, ModelError> {
    Err(ModelError::Unsupported { what, supported: supported.into() })
}

/// The family that `model_type` and `architectures` name; both must agree where both are there.
pub(crate) fn read_family(fields: &Fields, families: &'static [Family]) -> Result<&'static Family, ModelError> {
    let model_type = fields.text("model_type")?;
    let named = match model_type {
        Some(name) => match families.iter().find(|family| family.model_type == name) {
            Some(family) => Some(family),
            None => return unsupported(format!("model_type \"{name}\""), &family::names(families)),
        },
        None => None,
    };
    match fields.value("architectures") {
        Some(Value::Array(names)) if !names.is_empty() => {
            let mut found = families.iter().filter(|family| names.iter().any(|name| name == family.class));
            let found = match named {
                Some(named) => found.find(|family| *family == named),
                None => found.next(),
            };
            let names: Vec<String> = names.iter().take(4).map(Value::to_string).collect();
            let of = model_type.map_or_else(String::new, |name| format!(" with model_type \"{name}\""));
            let why = format!("architecture {}{of}", names.join(", "));
            found.map_or_else(|| unsupported(why, &family::names(families)), Ok)
        }
        Some(other) if !other.is_array() => Err(fields.wrong("architectures", other, "a list of names")),
        _ => named.ok_or_else(|| fields.missing("model_type", &family::names(families))),
    }
}

/// Refuses another activation than the family's own.
pub(crate) fn check_activation(fields: &Fields, family: &Family) -> Result<(), ModelError> {
    let own = [family.activation.name()];
    let any = [&own, family.activation_aliases].concat();
    for (key, known) in [("hidden_act", &any[..]), ("hidden_activation", &own)] {
        if let Some(other) = fields.text(key)?.filter(|name| !known.contains(name)) {
            return unsupported(format!("{key} \"{other}\" in a {} model", family.model_type), &known.join(", "));
        }
    }
    Ok(())
}

/// The biases that transformers gives this family.
pub(crate) fn read_biases(fields: &Fields, family: &Family) -> Result<Biases, ModelError> {
    let asked = |key: &str| Ok::<_, ModelError>(fields.boolean(key)? == Some(true));
    let (attention, feed_forward) = (asked("attention_bias")?, asked("mlp_bias")?);
    let refused = [
        ("attention_bias", attention && family.attention_bias == AttentionBias::Never),
        ("mlp_bias", feed_forward && !family.feed_forward_bias),
    ];
    if let Some((key, _)) = refused.iter().find(|(_, refused)| *refused) {
        return unsupported(format!("{key} true in a {} model", family.model_type), "false");
    }
    let (qkv, output) = match family.attention_bias {
        AttentionBias::Never => (false, false),
        AttentionBias::Asked => (attention, attention),
        AttentionBias::QueriesKeysValues => (true, false),
    };
    Ok(Biases { qkv, output, feed_forward })
}

/// The window and the layers that have it.
pub(crate) fn read_window(fields: &Fields, family: &Family, n_layers: u32) -> Result<Option<Window>, ModelError> {
    let by_layer = family.windows == Windows::ByLayer;
    let asked = match family.windows {
        Windows::Never => false,
        Windows::Everywhere => true,
        Windows::ByLayer => fields.boolean("use_sliding_window")? == Some(true),
    };
    let entries = match asked {
        false => None,
        true if fields.is_named("sliding_window") => fields.unsigned("sliding_window")?,
        true => Some(4096),
    };
    let types = layer_types(fields)?;
    // Where layers may not differ, they must all be as the window says.
    let uniform = (!by_layer || entries.is_none()).then_some(entries.is_some());
    if let (Some(types), Some(uniform), Some(value)) = (&types, uniform, fields.value("layer_types"))
        && types.contains(&!uniform)
    {
        let allowed = if uniform { "sliding_attention" } else { "full_attention" };
        return Err(fields.wrong("layer_types", value, &format!("\"{allowed}\" for all layers of this model")));
    }
    let Some(entries) = entries else { return Ok(None) };
    let first = if by_layer { fields.unsigned("max_window_layers")?.unwrap_or(28) } else { 0 };
    // The count is checked later; until then it must not decide an allocation.
    let by_place = || (0..n_layers.min(LIMITS.layers)).map(|layer| layer >= first).collect();
    let layers: Vec<bool> = types.unwrap_or_else(by_place);
    Ok(layers.contains(&true).then_some(Window { entries, layers }))
}

fn layer_types(fields: &Fields) -> Result<Option<Vec<bool>>, ModelError> {
    let Some(value) = fields.value("layer_types") else { return Ok(None) };
    let slides = |name: &Value| match name.as_str() {
        Some("sliding_attention") => Some(true),
        Some("full_attention") => Some(false),
        _ => None,
    };
    let list = value.as_array().and_then(|names| names.iter().map(slides).collect::<Option<Vec<bool>>>());
    list.map(Some).ok_or_else(|| fields.wrong("layer_types", value, LAYER_TYPES))
}

/// Base and scaling of the rotary embedding: `rope_scaling` beside `rope_theta`, or `rope_parameters` with both, as
/// transformers 5 writes it. As there, the older spelling goes first and a base inside the object before one outside.
pub(crate) fn read_rope(fields: &Fields) -> Result<(f32, RopeScaling), ModelError> {
    if fields.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return unsupported("partial_rotary_factor".into(), "a rotary embedding of the whole head");
    }
    let outside = fields.number("rope_theta")?.unwrap_or(10000.0);
    let objects =
        [("rope_scaling", fields.object("rope_scaling")?), ("rope_parameters", fields.object("rope_parameters")?)];
    let Some((key, rope)) = objects.into_iter().find_map(|(key, rope)| rope.map(|rope| (key, rope))) else {
        return Ok((outside, RopeScaling::None));
    };
    if rope.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return unsupported(format!("{key}.partial_rotary_factor"), "a rotary embedding of the whole head");
    }
    let theta = rope.number("rope_theta")?.unwrap_or(outside);
    let kind = match rope.text("rope_type")? {
        Some(kind) => kind,
        None => rope.text("type")?.unwrap_or("default"),
    };
    let needed = |name: &str| rope.number(name)?.ok_or_else(|| rope.missing(name, "a number"));
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: needed("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed("high_freq_factor")?,
            original: match fields.unsigned("original_max_position_embeddings")? {
                Some(length) => length,
                None => match rope.unsigned("original_max_position_embeddings")? {
                    Some(length) => length,
                    None => fields.required("max_position_embeddings")?,
                },
            },
        },
        "longrope" => long_rope(&rope)?,
        other => {
            let advice = "\"default\", \"linear\", \"llama3\"; without this setting the model runs as it was trained, up \
                          to its original context";
            return unsupported(format!("{key} of type \"{other}\""), advice);
        }
    };
    Ok((theta, scaling))
}

/// Factors that are the same for short and long texts and leave scores alone: those of a GGUF file, written for others.
fn long_rope(rope: &Fields) -> Result<RopeScaling, ModelError> {
    let (short, long) = (rope.numbers("short_factor")?, rope.numbers("long_factor")?);
    match (short, long) {
        (Some(short), Some(long)) if short == long && rope.number("attention_factor")? == Some(1.0) => {
            Ok(RopeScaling::Factors(short))
        }
        _ => unsupported(
            "rope type \"longrope\" whose factors depend on the length of the text".into(),
            "one list of factors, with `attention_factor` 1",
        ),
    }
}

impl ModelConfig {
    /// The family's own fields, as [`ModelConfig::to_json`] writes them.
    pub(crate) fn write_family(&self, config: &mut Map<String, Value>) {
        let family = self.family;
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("architectures", json!([family.class]));
        set("model_type", json!(family.model_type));
        set("hidden_act", json!(family.activation.name()));
        set("rope_theta", json!(plain_number(self.rope_theta)));
        if let Some(rope) = write_rope(&self.rope_scaling, self.context_length) {
            set("rope_scaling", rope);
        }
        if family.attention_bias == AttentionBias::Asked {
            set("attention_bias", json!(self.biases.qkv));
        }
        if family.feed_forward_bias {
            set("mlp_bias", json!(self.biases.feed_forward));
        }
        let entries = json!(self.window.as_ref().map(|window| window.entries));
        match family.windows {
            Windows::Never => {}
            Windows::Everywhere => drop(set("sliding_window", entries)),
            Windows::ByLayer => {
                set("use_sliding_window", json!(self.window.is_some()));
                set("sliding_window", entries);
                if let Some(window) = &self.window {
                    let name = |slides: &bool| if *slides { "sliding_attention" } else { "full_attention" };
                    set("layer_types", window.layers.iter().map(name).collect());
                }
            }
        }
    }
}

fn write_rope(scaling: &RopeScaling, context: u32) -> Option<Value> {
    match scaling {
        RopeScaling::None => None,
        RopeScaling::Linear { factor } => Some(json!({ "rope_type": "linear", "factor": plain_number(*factor) })),
        RopeScaling::Llama3 { factor, low, high, original } => Some(json!({
            "rope_type": "llama3", "factor": plain_number(*factor), "low_freq_factor": plain_number(*low),
            "high_freq_factor": plain_number(*high), "original_max_position_embeddings": original,
        })),
        RopeScaling::Factors(factors) => {
            let factors: Vec<f64> = factors.iter().map(|factor| plain_number(*factor)).collect();
            Some(json!({
                "rope_type": "longrope", "short_factor": factors, "long_factor": factors, "attention_factor": 1.0,
                "original_max_position_embeddings": context,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"model_type":"MEMBER","hidden_size":64,"intermediate_size":96,"num_hidden_layers":3,
        "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":96,"max_position_embeddings":512 MORE}"#;

    fn with(member: &str, more: &str) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(&PLAIN.replace("MEMBER", member).replace("MORE", more))
    }

    fn refused(member: &str, more: &str, parts: &[&str]) {
        let message = with(member, more).expect_err(more).to_string();
        for part in parts {
            assert!(message.contains(part), "{member} {more}: `{message}` lacks `{part}`");
        }
    }

    fn windows(member: &str, more: &str) -> Vec<Option<u32>> {
        let config = with(member, more).unwrap_or_else(|error| panic!("{member} {more}: {error}"));
        let again = ModelConfig::from_json(&config.to_json().to_string()).unwrap();
        assert_eq!(again, config, "{member} {more}");
        (0..3).map(|layer| config.window_of(layer)).collect()
    }

    #[test]
    fn windows_as_each_family_has_them() {
        assert_eq!(windows("llama", r#","sliding_window":7"#), [None; 3], "transformers gives Llama none");
        assert_eq!(windows("mistral", ""), [Some(4096); 3]);
        assert_eq!(windows("mistral", r#","sliding_window":null"#), [None; 3]);
        assert_eq!(windows("mistral", r#","sliding_window":7"#), [Some(7); 3]);
        for member in ["qwen2", "qwen3"] {
            assert_eq!(windows(member, r#","sliding_window":7,"max_window_layers":0"#), [None; 3], "not used");
            let used = r#","use_sliding_window":true,"sliding_window":7"#;
            assert_eq!(windows(member, used), [None; 3], "28 layers are below the first with a window");
            assert_eq!(windows(member, &format!(r#"{used},"max_window_layers":2"#)), [None, None, Some(7)]);
            let types = r#""layer_types":["sliding_attention","full_attention","sliding_attention"]"#;
            assert_eq!(windows(member, &format!("{used},{types}")), [Some(7), None, Some(7)]);
            refused(member, &format!(",{types}"), &["layer_types", "full_attention"]);
            refused(member, &format!(r#"{used},"layer_types":["sliding_attention"]"#), &["layer_types", "1", "3"]);
            refused(member, r#","layer_types":["chunked_attention"]"#, &["chunked_attention", "sliding_attention"]);
        }
        let mixed = r#","layer_types":["sliding_attention","full_attention","sliding_attention"]"#;
        refused("mistral", mixed, &["layer_types", "sliding_attention"]);
        refused("mistral", r#","sliding_window":0"#, &["sliding_window", "0"]);
    }

    #[test]
    fn rotary_embeddings_in_both_spellings() {
        let inner = r#"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
            "original_max_position_embeddings":64,"rope_theta":500.0}"#;
        let new = with("llama", &format!(r#","rope_parameters":{inner}"#)).unwrap();
        let old = with("llama", &format!(r#","rope_theta":9.0,"rope_scaling":{inner}"#)).unwrap();
        assert_eq!(new, old, "the base inside goes first");
        assert_eq!(new.rope_scaling, RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64 });
        let linear = with("qwen2", r#","rope_theta":500.0,"rope_scaling":{"type":"linear","factor":4}"#).unwrap();
        assert_eq!((linear.rope_theta, &linear.rope_scaling), (500.0, &RopeScaling::Linear { factor: 4.0 }));
        let factors = r#","rope_scaling":{"rope_type":"longrope","attention_factor":1.0,
            "short_factor":[1,2,3,4,5,6,7,8],"long_factor":[1,2,3,4,5,6,7,8]}"#;
        let factors = with("llama", factors).unwrap();
        assert_eq!(factors.rope_scaling, RopeScaling::Factors((1u8..9).map(f32::from).collect()));
        for config in [new, linear, factors] {
            assert_eq!(ModelConfig::from_json(&config.to_json().to_string()).unwrap(), config);
        }
        let longer = r#","rope_scaling":{"rope_type":"longrope","short_factor":[1],"long_factor":[2]}"#;
        refused("llama", longer, &["longrope", "length"]);
        refused("llama", r#","rope_scaling":{"rope_type":"dynamic","factor":2}"#, &["dynamic", "llama3"]);
        refused("llama", r#","rope_scaling":{"rope_type":"linear","factor":0.5}"#, &["factor", "0.5"]);
        refused("llama", r#","rope_scaling":{"rope_type":"linear"}"#, &["rope_scaling.factor", "missing"]);
        refused("llama", r#","partial_rotary_factor":0.5"#, &["partial_rotary_factor", "whole head"]);
        refused("llama", &format!(r#","rope_scaling":{}"#, inner.replace("4.0", "0.5")), &["high_freq_factor", "0.5"]);
    }

    #[test]
    fn biases_heads_and_activations_as_each_family_has_them() {
        let biases = |member: &str, more: &str| with(member, more).unwrap().biases;
        assert_eq!(biases("qwen2", ""), Biases { qkv: true, output: false, feed_forward: false });
        assert_eq!(
            biases("qwen3", r#","attention_bias":true"#),
            Biases { qkv: true, output: true, feed_forward: false }
        );
        assert_eq!(biases("llama", r#","mlp_bias":true"#), Biases { feed_forward: true, ..Biases::default() });
        refused("mistral", r#","attention_bias":true"#, &["attention_bias", "mistral"]);
        refused("gemma", r#","hidden_act":"silu""#, &["silu", "gelu_pytorch_tanh"]);
        assert_eq!(with("gemma", r#","hidden_act":"gelu""#).unwrap().head_dim, 256);
        assert_eq!(with("qwen3", "").unwrap().head_dim, 128);
        assert_eq!(with("qwen3", r#","head_dim":null"#).unwrap().head_dim, 16);
        refused("gemma2", "", &["gemma2", "\"gemma\" (GemmaForCausalLM)"]);
        refused("llama", r#","architectures":["Qwen2ForCausalLM"]"#, &["Qwen2ForCausalLM", "llama"]);
    }
}
