//! The YAML with which the released Mixture-of-Recursions code was trained, as facts of a model.
//!
//! Only these settings say what the tensors cannot: how scores become gates, which keys a deeper layer attends to,
//! how adapters are scaled. Settings of a part that is switched off are stale and are not looked at.

use serde_json::{Value, json};

use super::facts::Facts;
use crate::error::ModelError;

/// Far more than any settings file has; a larger one is something else.
const MOST_BYTES: usize = 1 << 20;

/// Far more than the aliases of any settings file unfold to.
const MOST_REPLAYED: usize = 10_000;

/// Reads the file; `name` is what messages call it.
pub fn read(text: &str, name: &str, facts: &mut Facts) -> Result<(), ModelError> {
    let format = |why: String| ModelError::Format { file: name.to_owned(), why };
    if text.len() > MOST_BYTES {
        return Err(format(format!("the file has {} bytes; settings have at most {MOST_BYTES}", text.len())));
    }
    // The parser bounds depth and nodes by itself; what aliases unfold to it allows to be a million nodes.
    let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPLAYED };
    let options = serde_saphyr::options! { alias_limits: aliases };
    let settings: Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| format(error.to_string()))?;
    if !settings.is_object() {
        return Err(format("it holds no settings; it must hold `recursive`, `mor` and so on".into()));
    }
    let mut reader = Reader { settings: &settings, name, facts };
    let known = ["recursive", "kv_sharing", "mor", "relaxation"];
    if known.iter().all(|part| reader.settings[part].is_null()) {
        return Err(format(format!("none of {} stands in it", known.join(", "))));
    }
    reader.recursive()?;
    reader.kv_sharing()?;
    reader.mor()?;
    reader.relaxation()?;
    reader.copy("num_hidden_layers", "model_config.num_hidden_layers")
}

struct Reader<'a> {
    settings: &'a Value,
    name: &'a str,
    facts: &'a mut Facts,
}

impl Reader<'_> {
    /// The value under a path with dots, null where there is none.
    fn value(&self, path: &str) -> Value {
        path.split('.').fold(self.settings, |value, key| &value[key]).clone()
    }

    fn origin(&self, path: &str) -> String {
        format!("{} ({path})", self.name)
    }

    fn say(&mut self, ours: &'static str, value: impl Into<Value>, theirs: &str) -> Result<(), ModelError> {
        let origin = self.origin(theirs);
        self.facts.add(ours, value, &origin)
    }

    /// Takes a value over, where there is one.
    fn copy(&mut self, ours: &'static str, theirs: &str) -> Result<(), ModelError> {
        match self.value(theirs) {
            Value::Null => Ok(()),
            value => self.say(ours, value, theirs),
        }
    }

    /// Whether a part is on; it says so where it is not.
    fn enabled(&mut self, part: &'static str, theirs: &str) -> Result<bool, ModelError> {
        let path = format!("{theirs}.enable");
        match self.value(&path) {
            Value::Bool(true) => Ok(true),
            Value::Bool(false) => self.say(part, false, &path).map(|()| false),
            Value::Null => Ok(false),
            other => Err(self.unsupported(format!("{path} {other}"), "true or false")),
        }
    }

    fn unsupported(&self, what: String, supported: &str) -> ModelError {
        ModelError::Unsupported { what: format!("{what} in {}", self.name), supported: supported.into() }
    }

    fn recursive(&mut self) -> Result<(), ModelError> {
        if !self.enabled("recursion", "recursive")? {
            return Ok(());
        }
        if self.value("recursive.num_recursion") == 1 {
            return self.say("recursion", false, "recursive.num_recursion");
        }
        self.copy("recursion.count", "recursive.num_recursion")?;
        self.copy("recursion.sharing", "recursive.sharing")?;
        // Norms that may differ need not.
        if self.value("recursive.ln_share") == true {
            self.say("recursion.share_norms", true, "recursive.ln_share")
        } else {
            Ok(())
        }
    }

    fn kv_sharing(&mut self) -> Result<(), ModelError> {
        if self.value("kv_sharing.enable") != true {
            return match self.value("kv_sharing.enable") {
                Value::Null => Ok(()),
                _ => self.say("kv.mode", "own", "kv_sharing.enable"),
            };
        }
        if self.value("kv_sharing.update_cache") == true {
            return self.say("kv.mode", "hybrid", "kv_sharing.update_cache");
        }
        self.say("kv.mode", "share", "kv_sharing.enable")?;
        // The released code copies these from `recursive` where that is on.
        let from = if self.value("recursive.enable") == true { "recursive" } else { "kv_sharing" };
        self.copy("kv.count", &format!("{from}.num_recursion"))?;
        self.copy("kv.sharing", &format!("{from}.sharing"))
    }

    fn mor(&mut self) -> Result<(), ModelError> {
        if !self.enabled("router", "mor")? {
            return Ok(());
        }
        if self.value("mor.rand_router") == true {
            return Err(self.unsupported("mor.rand_router true".into(), "routers with weights"));
        }
        let kind = self.value("mor.type");
        let Some(kind) = kind.as_str().filter(|kind| ["expert", "token"].contains(kind)) else {
            return Err(self.unsupported(format!("mor.type {kind}"), "expert, token"));
        };
        let own = |field: &str| format!("mor.{kind}.{field}");
        self.say("router.kind", kind, "mor.type")?;
        // `wide_mlp` is the same network in the released code.
        let network = self.value("mor.router_type");
        let network = if network == "wide_mlp" { json!("mlp") } else { network };
        if !network.is_null() {
            self.say("router.network", network, "mor.router_type")?;
        }
        self.copy("router.temperature", "mor.temp")?;
        if !self.value(&format!("mor.{kind}")).is_null() {
            let function = self.value(&own("router_func"));
            let function = if function.is_null() { json!("none") } else { function };
            self.say("router.function", function, &own("router_func"))?;
        }
        self.copy("router.alpha", &own("alpha"))?;
        self.copy("router.gating", &own("gating"))?;
        if kind == "token" {
            let loss_free = self.value(&own("balancing")) == "loss_free";
            return self.say("router.bias", loss_free, &own("balancing"));
        }
        let auxiliary = self.value(&own("sampling")) == "aux_router";
        self.say("router.auxiliary", auxiliary, &own("sampling"))?;
        self.capacity()
    }

    /// A list, or its numbers with commas between.
    fn capacity(&mut self) -> Result<(), ModelError> {
        let value = self.value("mor.capacity");
        let shares = match &value {
            Value::Null => return Ok(()),
            Value::String(text) => text.split(',').map(|share| share.trim().parse().ok()).collect(),
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            _ => None,
        };
        let shares: Vec<f64> = shares
            .ok_or_else(|| self.unsupported(format!("mor.capacity {value}"), "numbers with commas between, or null"))?;
        self.say("router.capacity", shares, "mor.capacity")
    }

    fn relaxation(&mut self) -> Result<(), ModelError> {
        if !self.enabled("lora", "relaxation")? {
            return Ok(());
        }
        let method = self.value("relaxation.method");
        match method.as_str() {
            // The tensors say where encodings stand.
            Some("recursion_encoding") => return Ok(()),
            Some("lora") | None => {}
            Some(other) => return Err(self.unsupported(format!("relaxation.method {other}"), "lora")),
        }
        if !self.value("relaxation.lora.alpha_pattern").is_null() {
            // Each module's alpha is its rank times this.
            return self.copy("lora.scale", "relaxation.lora.alpha_pattern");
        }
        let number = |field: &str| self.value(&format!("relaxation.lora.{field}")).as_f64();
        match (number("alpha"), number("r")) {
            (Some(alpha), Some(rank)) if rank > 0.0 => self.say("lora.scale", alpha / rank, "relaxation.lora.alpha"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Result<Facts, ModelError> {
        let mut facts = Facts::default();
        read(text, "train.yaml", &mut facts).map(|()| facts)
    }

    fn refuses(text: &str, words: &[&str]) {
        let error = facts(text).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in: {error}"));
    }

    const EXPERT: &str = "
recursive: {enable: true, num_recursion: 3, sharing: middle_cycle, ln_share: true, base_depth: null}
kv_sharing: {enable: true, num_recursion: 9, sharing: sequence, update_cache: false}
mor:
  enable: true
  type: expert
  capacity: '1.0, 0.6,0.3'
  router_type: wide_mlp
  temp: 0.5
  expert: {router_func: null, alpha: 0.1, sampling: aux_router, gating: additive}
  token: {router_func: sigmoid, alpha: 7.0, balancing: loss_free}
relaxation: {enable: false, lora: {alpha_pattern: 2.0}}
";

    #[test]
    fn what_is_on_is_taken_and_what_is_off_is_not() {
        let want = json!({
            "version": 1,
            "recursion": { "count": 3, "sharing": "middle_cycle", "share_norms": true },
            "kv": { "mode": "share", "count": 3, "sharing": "middle_cycle" },
            "router": { "kind": "expert", "network": "mlp", "function": "none", "alpha": 0.1, "gating": "additive",
                "temperature": 0.5, "auxiliary": true, "capacity": [1.0, 0.6, 0.3] },
        });
        let found = facts(EXPERT).unwrap();
        assert_eq!(found.block(), want);
        assert_eq!(found.get("router.alpha").unwrap().origin, "train.yaml (mor.expert.alpha)");
        let token = facts(&EXPERT.replace("type: expert", "type: token").replace("wide_mlp", "linear")).unwrap();
        assert_eq!(token.get("router.alpha").unwrap().value, 7.0);
        assert_eq!(token.get("router.bias").unwrap().value, true);
        assert!(token.get("router.capacity").is_none());
    }

    #[test]
    fn adapters_are_scaled_by_their_pattern() {
        let scale = |lora: &str| {
            let text = format!("relaxation: {{enable: true, method: lora, lora: {lora}}}");
            facts(&text).unwrap().get("lora.scale").map(|fact| fact.value.clone())
        };
        assert_eq!(scale("{r: 4, alpha: 4, alpha_pattern: 2.0}"), Some(json!(2.0)));
        assert_eq!(scale("{r: 8, alpha: 4, alpha_pattern: null}"), Some(json!(0.5)));
        assert_eq!(scale("{r: 8}"), None);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        refuses("mor: {enable: true, type: layer}", &["mor.type", "layer", "expert, token"]);
        refuses("mor: {enable: true, type: token, rand_router: true}", &["rand_router"]);
        refuses("mor: {enable: true, type: expert, capacity: 'a,b'}", &["capacity", "a,b"]);
        refuses("relaxation: {enable: true, method: dora}", &["dora", "lora"]);
        refuses("mor: {enable: maybe}", &["mor.enable", "maybe"]);
        refuses("a: [", &["train.yaml"]);
        refuses("- 1\n- 2", &["train.yaml", "recursive"]);
        refuses("other: 1", &["recursive, kv_sharing"]);
        refuses(&" ".repeat(MOST_BYTES + 1), &["bytes"]);
    }

    #[test]
    fn aliases_that_unfold_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 9].join(", ");
            text += &format!("a{level}: &a{level} [{inner}]\n");
        }
        refuses(&text, &["train.yaml"]);
        refuses(&format!("mor: {}{}", "[".repeat(100_000), "]".repeat(100_000)), &["train.yaml"]);
    }
}
