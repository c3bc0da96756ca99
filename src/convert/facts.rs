//! What is known of a model that does not describe itself, and from where.
//!
//! A fact is a field of the `isobath` block, or of `config.json`, by its path: `router.alpha` is 0.1, said by a flag,
//! by the training's YAML, or by the tensors.
//!
//! **Invariant:** two facts of one path that differ are an error which names both origins.

use serde_json::{Map, Value, json};

use crate::error::ModelError;

/// Every path that can be set. The parts alone, as in `router`, are true or false: whether there is such a part.
pub const PATHS: [&str; 29] = [
    "recursion",
    "recursion.count",
    "recursion.sharing",
    "recursion.share_norms",
    "recursion.share_attention",
    "recursion.encoding",
    "kv.mode",
    "kv.count",
    "kv.sharing",
    "lora",
    "lora.scale",
    "router",
    "router.kind",
    "router.network",
    "router.function",
    "router.alpha",
    "router.gating",
    "router.temperature",
    "router.auxiliary",
    "router.bias",
    "router.capacity",
    "router.gate_first",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "bos_token_id",
    "eos_token_id",
];

/// A field, its value, and who said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// One of [`PATHS`].
    pub path: &'static str,
    /// As it would stand in the file.
    pub value: Value,
    /// As it goes into a sentence: "--set", "train.yaml (mor.type)", "the tensors".
    pub origin: String,
}

/// All facts, the first of each path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    facts: Vec<Fact>,
}

impl Facts {
    /// Adds a fact; one that repeats another is dropped.
    pub fn add(&mut self, path: &'static str, value: impl Into<Value>, origin: &str) -> Result<(), ModelError> {
        let value = value.into();
        let (part, field) = path.split_once('.').unwrap_or((path, ""));
        let contradiction = |one: &Fact| {
            Err(ModelError::Config {
                why: format!(
                    "`{}` is {} by {}, but `{path}` is {value} by {origin}; correct one of them",
                    one.path, one.value, one.origin
                ),
            })
        };
        // Settings of a part that is said not to be there.
        let (absent, present) = (self.get(part).filter(|one| one.value == false), value != false);
        if let Some(one) = absent.filter(|_| !field.is_empty() && present) {
            return contradiction(one);
        }
        let inside = |one: &&Fact| one.path.starts_with(&format!("{part}.")) && one.value != false;
        if let Some(one) = self.facts.iter().find(inside).filter(|_| field.is_empty() && !present) {
            return contradiction(one);
        }
        match self.get(path) {
            Some(one) if same(&one.value, &value) => Ok(()),
            Some(one) => contradiction(one),
            None => {
                self.facts.push(Fact { path, value, origin: origin.to_owned() });
                Ok(())
            }
        }
    }

    /// Adds a fact in the words `PATH=VALUE`.
    pub fn add_words(&mut self, words: &str, origin: &str) -> Result<(), ModelError> {
        let refuse = |why: String| Err(ModelError::Config { why });
        let Some((path, value)) = words.split_once('=') else {
            return refuse(format!("{origin} says `{words}`; it must be PATH=VALUE, as in router.alpha=0.1"));
        };
        let Some(path) = PATHS.into_iter().find(|known| *known == path) else {
            return refuse(format!("{origin} says `{path}`; it must be one of {}", PATHS.join(", ")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        self.add(path, value, origin)
    }

    /// What is known of the path.
    pub fn get(&self, path: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.path == path)
    }

    /// Whether a part is there, as far as is known.
    pub fn has(&self, part: &str) -> bool {
        let within = |fact: &Fact| fact.path.split_once('.').is_some_and(|(whole, _)| whole == part);
        match self.get(part) {
            Some(fact) => fact.value == true,
            None => self.facts.iter().any(within),
        }
    }

    /// The number under that path.
    pub fn number(&self, path: &str) -> Option<u32> {
        self.get(path).and_then(|fact| fact.value.as_u64()).and_then(|number| u32::try_from(number).ok())
    }

    /// All facts in the order of [`PATHS`].
    pub fn all(&self) -> impl Iterator<Item = &Fact> {
        PATHS.iter().filter_map(|path| self.get(path))
    }

    /// The `isobath` block that they make up.
    pub fn block(&self) -> Value {
        let mut block = json!({ "version": 1 });
        for part in ["recursion", "kv", "lora", "router"] {
            let mut fields = Map::new();
            for fact in self.all() {
                let own = fact.path.strip_prefix(part).and_then(|rest| rest.strip_prefix('.'));
                if let Some(field) = own {
                    fields.insert(field.to_owned(), fact.value.clone());
                }
            }
            if (self.has(part) || part == "kv") && !fields.is_empty() {
                block[part] = Value::Object(fields);
            }
        }
        block
    }

    /// A sentence per fact that does not come from `known`.
    pub fn sentences(&self, known: &str) -> Vec<String> {
        let news = self.all().filter(|fact| fact.origin != known);
        news.map(|Fact { path, value, origin }| format!("{path}: {value}, by {origin}")).collect()
    }
}

/// Numbers are compared as numbers: 1 is 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_name_both_origins() {
        let check = |first: &str, second: &str, words: &[&str]| {
            let mut facts = Facts::default();
            facts.add_words(first, "--set").unwrap();
            let error = facts.add_words(second, "the tensors").unwrap_err().to_string();
            for word in words.iter().chain(&["--set", "the tensors"]) {
                assert!(error.contains(word), "`{word}` is not in: {error}");
            }
        };
        check("recursion.count=2", "recursion.count=3", &["2", "3"]);
        check("router=false", "router.kind=expert", &["`router`", "router.kind"]);
        check("router.kind=expert", "router=false", &["`router`", "router.kind"]);
        check("recursion.sharing=cycle", "recursion.sharing=middle_cycle", &["\"cycle\"", "\"middle_cycle\""]);
    }

    #[test]
    fn what_agrees_becomes_a_block() {
        let mut facts = Facts::default();
        for words in
            ["recursion.count=3", "recursion.count=3.0", "recursion.sharing=cycle", "lora=false", "router=true"]
        {
            facts.add_words(words, "--set").unwrap();
        }
        facts.add_words("router.capacity=[1, 0.5, 0.25]", "--set").unwrap();
        let want = json!({ "version": 1, "recursion": { "count": 3, "sharing": "cycle" },
            "router": { "capacity": [1, 0.5, 0.25] } });
        assert_eq!(facts.block(), want);
        assert_eq!(facts.sentences("config.json")[0], "recursion.count: 3, by --set");
        assert!(facts.add_words("router.alhpa=1", "--set").unwrap_err().to_string().contains("router.alpha"));
        assert!(facts.add_words("router", "--set").unwrap_err().to_string().contains("PATH=VALUE"));
    }
}
