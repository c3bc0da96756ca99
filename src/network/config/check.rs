//! The rules that make a [`ModelConfig`] consistent.
//!
//! **Invariant:** only comparisons of numbers; nothing is allocated that grows with a number of the config.

use crate::error::{ModelError, refuse};
use crate::network::config::{
    KvMode, LIMITS, Limits, ModelConfig, Recursion, Router, RouterFunction, RouterKind, Sharing,
};
use crate::network::family::{AttentionBias, FAMILIES, Family};
use crate::network::form::Biases;

impl ModelConfig {
    /// Checks every rule; the message says which field, its value, and what is allowed.
    pub fn check(&self) -> Result<(), ModelError> {
        self.check_sizes()?;
        self.check_numbers()?;
        self.rope_scaling.check(self.head_dim)?;
        self.check_biases()?;
        self.check_window()?;
        if let Some(recursion) = self.recursion {
            check_layers("isobath.recursion", recursion.sharing, recursion.count, self.n_layers)?;
        }
        self.check_kv()?;
        if let Some(router) = &self.router {
            check_router(router, self.recursion)?;
        }
        self.check_lora()
    }

    fn check_sizes(&self) -> Result<(), ModelError> {
        let Limits { hidden_size, intermediate_size, layers, heads, head_dim, vocab_size, context, .. } = LIMITS;
        check_range("hidden_size", self.hidden_size, hidden_size)?;
        check_range("intermediate_size", self.intermediate_size, intermediate_size)?;
        check_range("num_hidden_layers", self.n_layers, layers)?;
        check_range("num_attention_heads", self.n_heads, heads)?;
        check_range("num_key_value_heads", self.n_kv_heads, heads)?;
        check_range("head_dim", self.head_dim, head_dim)?;
        check_range("vocab_size", self.vocab_size, vocab_size)?;
        check_range("max_position_embeddings", self.context_length, context)?;
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(refuse(format!(
                "`num_key_value_heads` is {}; it must divide `num_attention_heads`, which is {}",
                self.n_kv_heads, self.n_heads
            )));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(refuse(format!(
                "`head_dim` is {}; it must be even, because the rotary embedding turns pairs",
                self.head_dim
            )));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ModelError> {
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps <= 1.0) {
            return Err(refuse(format!("`rms_norm_eps` is {}; it must be above 0 and at most 1", self.rms_norm_eps)));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta >= 1.0) {
            return Err(refuse(format!(
                "`rope_theta` is {}; it must be a finite number of at least 1",
                self.rope_theta
            )));
        }
        match self.bos_token {
            Some(token) if token >= self.vocab_size => Err(refuse(format!(
                "`bos_token_id` is {token}; it must be below `vocab_size`, which is {}",
                self.vocab_size
            ))),
            _ => Ok(()),
        }
    }

    fn check_biases(&self) -> Result<(), ModelError> {
        let Biases { qkv, output, feed_forward } = self.biases;
        let attention = match self.family.attention_bias {
            AttentionBias::Never => !qkv && !output,
            AttentionBias::Asked => qkv == output,
            AttentionBias::QueriesKeysValues => qkv && !output,
        };
        if attention && (self.family.feed_forward_bias || !feed_forward) {
            return Ok(());
        }
        let parts = [(qkv, "q, k, v"), (output, "the output of attention"), (feed_forward, "the feed-forward part")];
        let parts: Vec<&str> = parts.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
        Err(ModelError::Unsupported {
            what: format!("a {} model with biases on: {}", self.family.model_type, parts.join("; ")),
            supported: format!(
                "all of attention's linears ({}), q, k, v alone ({}), the feed-forward part ({}), or none",
                those(|family| family.attention_bias == AttentionBias::Asked),
                those(|family| family.attention_bias == AttentionBias::QueriesKeysValues),
                those(|family| family.feed_forward_bias),
            ),
        })
    }

    fn check_window(&self) -> Result<(), ModelError> {
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

    fn check_kv(&self) -> Result<(), ModelError> {
        match self.kv {
            KvMode::Own => Ok(()),
            KvMode::Share { count, sharing } => {
                check_layers("isobath.kv", sharing, count, self.n_layers)?;
                let fits = self.recursion.is_some_and(|own| own.count == count && own.sharing == sharing);
                if self.router.is_some() && !fits {
                    return Err(refuse(format!(
                        "`isobath.kv` shares by {} with count {count}; with a router it must repeat \
                         `isobath.recursion`, or tokens that stop early would leave gaps",
                        sharing.name()
                    )));
                }
                Ok(())
            }
            KvMode::Hybrid => {
                let expert = self.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert);
                let cycle = self.recursion.is_some_and(|recursion| recursion.sharing.is_cycle());
                if expert && cycle {
                    return Ok(());
                }
                Err(refuse(
                    "`isobath.kv.mode` is \"hybrid\"; it needs `isobath.router.kind` \"expert\" and \
                     `isobath.recursion.sharing` \"cycle\" or \"middle_cycle\"",
                ))
            }
        }
    }

    fn check_lora(&self) -> Result<(), ModelError> {
        let Some(lora) = self.lora else { return Ok(()) };
        if !lora.scale.is_finite() {
            return Err(refuse(format!("`isobath.lora.scale` is {}; it must be finite", lora.scale)));
        }
        if self.recursion.is_none() {
            return Err(refuse("`isobath.lora` is set; it needs `isobath.recursion`, whose layers it adapts"));
        }
        Ok(())
    }
}

/// Names of the families of which it is true.
fn those(is: impl Fn(&Family) -> bool) -> String {
    FAMILIES.iter().filter(|family| is(family)).map(|family| family.model_type).collect::<Vec<_>>().join(", ")
}

fn check_range(field: &str, value: u32, limit: u32) -> Result<(), ModelError> {
    if (1..=limit).contains(&value) {
        return Ok(());
    }
    Err(refuse(format!("`{field}` is {value}; it must be from 1 to {limit}")))
}

fn check_layers(block: &str, sharing: Sharing, count: u32, n_layers: u32) -> Result<(), ModelError> {
    check_range(&format!("{block}.count"), count, LIMITS.recursions)?;
    if sharing.block_layers(n_layers, count).is_some() {
        return Ok(());
    }
    let outside = if sharing.is_middle() { ", plus 2 for the first and last" } else { "" };
    Err(refuse(format!(
        "`num_hidden_layers` is {n_layers}; with `{block}.sharing` \"{}\" it must be a multiple of \
         `{block}.count`, which is {count}{outside}",
        sharing.name()
    )))
}

fn check_router(router: &Router, recursion: Option<Recursion>) -> Result<(), ModelError> {
    let Some(recursion) = recursion.filter(|recursion| recursion.sharing.is_cycle()) else {
        return Err(refuse(format!(
            "`isobath.router` is set; it needs `isobath.recursion.sharing` \"cycle\" or \"middle_cycle\", not {}",
            recursion.map_or("a plain stack".to_string(), |own| format!("\"{}\"", own.sharing.name()))
        )));
    };
    if !router.alpha.is_finite() {
        return Err(refuse(format!("`isobath.router.alpha` is {}; it must be finite", router.alpha)));
    }
    if !router.temperature.is_finite() || router.temperature == 0.0 {
        return Err(refuse(format!(
            "`isobath.router.temperature` is {}; it must be finite and not 0",
            router.temperature
        )));
    }
    match router.kind {
        RouterKind::Expert => check_expert(router, recursion.count),
        RouterKind::Token => check_token(router),
    }
}

fn check_expert(router: &Router, count: u32) -> Result<(), ModelError> {
    if router.function == RouterFunction::Softmax {
        return Err(refuse(
            "`isobath.router.function` is \"softmax\"; with kind \"expert\" it must be \"sigmoid\", \"tanh\" or \"none\"",
        ));
    }
    if router.bias {
        return Err(refuse("`isobath.router.bias` is true; it must be false with kind \"expert\""));
    }
    let allowed = "numbers above 0 and at most 1 that never rise";
    let capacity = &router.capacity;
    if capacity.len() != count as usize {
        return Err(refuse(format!(
            "`isobath.router.capacity` has {} numbers; it must have one per recursion, which is {count}",
            capacity.len()
        )));
    }
    if let Some(wrong) = capacity.iter().find(|share| !(**share > 0.0 && **share <= 1.0)) {
        return Err(refuse(format!("`isobath.router.capacity` holds {wrong}; it must hold {allowed}")));
    }
    if let Some(pair) = capacity.windows(2).find(|pair| pair[1] > pair[0]) {
        return Err(refuse(format!(
            "`isobath.router.capacity` rises from {} to {}; it must hold {allowed}",
            pair[0], pair[1]
        )));
    }
    Ok(())
}

fn check_token(router: &Router) -> Result<(), ModelError> {
    if !matches!(router.function, RouterFunction::Softmax | RouterFunction::Sigmoid) {
        return Err(refuse(
            "`isobath.router.function` is \"tanh\" or \"none\"; with kind \"token\" it must be \"softmax\" or \"sigmoid\"",
        ));
    }
    let only_expert =
        [("auxiliary", router.auxiliary), ("gate_first", router.gate_first), ("capacity", !router.capacity.is_empty())];
    match only_expert.iter().find(|(_, set)| *set) {
        Some((field, _)) => {
            Err(refuse(format!("`isobath.router.{field}` is set; it is for kind \"expert\", not for \"token\"")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"model_type":"llama","hidden_size":576,"intermediate_size":1536,
        "num_hidden_layers":32,"num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152 BLOCK}"#;

    fn with(more: &str) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(&PLAIN.replace("BLOCK", more))
    }

    fn refused(more: &str, parts: &[&str]) {
        let message = with(more).expect_err(more).to_string();
        for part in parts {
            assert!(message.contains(part), "{more}: `{message}` lacks `{part}`");
        }
    }

    #[test]
    fn refusals_name_field_value_and_range() {
        refused(r#","hidden_act":"gelu""#, &["gelu", "silu"]);
        refused(r#","model_type":"qwen3","mlp_bias":true"#, &["mlp_bias", "qwen3"]);
        refused(r#","rope_scaling":{"rope_type":"yarn","factor":8}"#, &["yarn", "llama3", "as it was trained"]);
        refused(r#","rope_scaling":{"rope_type":"llama3","factor":8}"#, &["low_freq_factor", "missing"]);
        let mut mistral = with(r#","model_type":"mistral""#).unwrap();
        mistral.biases.feed_forward = true;
        let message = mistral.check().unwrap_err().to_string();
        for part in
            ["a mistral model with biases on: the feed-forward part", "linears (llama, qwen3, gemma)", "(qwen2)"]
        {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
        refused(r#","max_position_embeddings":-3"#, &["max_position_embeddings", "-3"]);
        refused(r#","isobath":{"recusion":{}}"#, &["isobath.recusion", "recursion"]);
        refused(r#","isobath":{"recursion":{"count":7,"sharing":"cycle"}}"#, &["32", "7", "multiple"]);
        refused(r#","isobath":{"recursion":{"count":4000000000,"sharing":"cycle"}}"#, &["count", "64"]);
        refused(r#","isobath":{"recursion":{"count":3,"sharing":"circle"}}"#, &["circle", "middle_cycle"]);
        refused(r#","isobath":{"kv":{"mode":"hybrid"}}"#, &["hybrid", "expert"]);
        refused(r#","isobath":{"kv":{"mode":"share","count":2}}"#, &["isobath.kv.sharing", "missing"]);
        refused(r#","isobath":{"router":{"kind":"expert"}}"#, &["router", "plain stack"]);
        refused(r#","isobath":{"lora":{}}"#, &["lora", "recursion"]);
    }

    #[test]
    fn routers_that_contradict_themselves() {
        let recursive =
            |more: &str| format!(r#","isobath":{{"recursion":{{"count":3,"sharing":"middle_cycle"}},{more}}}"#);
        refused(&recursive(r#""router":{"kind":"token","function":"tanh"}"#), &["tanh", "softmax"]);
        refused(&recursive(r#""router":{"kind":"expert","function":"softmax"}"#), &["softmax", "sigmoid"]);
        refused(&recursive(r#""router":{"kind":"expert","temperature":0}"#), &["temperature", "0"]);
        refused(&recursive(r#""router":{"kind":"expert","capacity":[1,0.5]}"#), &["capacity", "2", "3"]);
        refused(&recursive(r#""router":{"kind":"expert","capacity":[1,0.5,0.6]}"#), &["0.5", "0.6"]);
        refused(&recursive(r#""router":{"kind":"expert","capacity":[1,0.5,0]}"#), &["capacity", "holds 0"]);
        refused(&recursive(r#""router":{"kind":"expert"},"kv":{"mode":"share","count":2}"#), &["repeat"]);
    }
}
