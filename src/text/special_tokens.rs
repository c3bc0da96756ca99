//! Special tokens by the names under which chat templates find them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Tokenizer;

/// Classes of tokenizers that have no special tokens of their own.
const WITHOUT_DEFAULTS: [&str; 2] = ["PreTrainedTokenizerFast", "TokenizersBackend"];

/// Texts of special tokens: `bos_token`, `eos_token`, `unk_token`, `pad_token` and what else a model names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    texts: BTreeMap<String, String>,
    /// Those that the model's files say it has not.
    absent: BTreeSet<String>,
    /// Those that nobody speaks of are not there either.
    complete: bool,
    /// There was a `tokenizer_config.json`.
    configured: bool,
}

impl SpecialTokens {
    /// What the text of a `tokenizer_config.json` names, and that of a `special_tokens_map.json` where the first is of
    /// the age in which that counted.
    ///
    /// # Errors
    /// A text that is no JSON.
    pub fn from_config(tokenizer_config: &str, map: Option<&str>) -> Result<Self, serde_json::Error> {
        let config: Map<String, Value> = serde_json::from_str(tokenizer_config)?;
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        let complete = class.is_some_and(|class| WITHOUT_DEFAULTS.contains(&class));
        let mut tokens = Self { complete, configured: true, ..Self::default() };
        tokens.add(&config);
        if let Some(map) = map
            && !config.contains_key("added_tokens_decoder")
        {
            tokens.add(&serde_json::from_str(map)?);
        }
        Ok(tokens)
    }

    /// The entries that are named like tokens: texts, objects with a text, or null for one that is not there.
    fn add(&mut self, entries: &Map<String, Value>) {
        let extra = entries.get("extra_special_tokens").and_then(Value::as_object).into_iter().flatten();
        let own = entries.iter().filter(|(name, _)| name.ends_with("_token"));
        for (name, value) in own.chain(extra) {
            match value.as_str().or_else(|| value.get("content").and_then(Value::as_str)) {
                Some(text) => {
                    self.absent.remove(name);
                    self.texts.insert(name.clone(), text.to_owned());
                }
                None if value.is_null() => {
                    self.texts.remove(name);
                    self.absent.insert(name.clone());
                }
                // `add_bos_token` and the like are conditions.
                None => (),
            }
        }
    }

    /// With a token of that name, unless the files have one or say that there is none.
    #[must_use]
    pub fn or(mut self, name: &str, text: Option<String>) -> Self {
        if let Some(text) = text.filter(|_| !self.complete && !self.absent.contains(name)) {
            self.texts.entry(name.to_owned()).or_insert(text);
        }
        self
    }

    /// With the texts of the tokens that begin and end a sequence, by their ids: those that the tokenizer knows, else
    /// these. Without a `tokenizer_config.json` a model that has none has empty ones, so that templates can say them.
    #[must_use]
    pub fn or_ids(self, tokenizer: &Tokenizer, begin: Option<u32>, end: Option<u32>) -> Self {
        let empty = (!self.configured).then(String::new);
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).or_else(|| empty.clone());
        let begin = text(tokenizer.bos_token().or(begin));
        let end = text(tokenizer.eos_token().or(end));
        self.or("bos_token", begin).or("eos_token", end)
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for SpecialTokens {
    fn from(tokens: [(&str, &str); N]) -> Self {
        let texts = tokens.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        Self { texts, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tokens: &SpecialTokens, expected: &[(&str, &str)]) {
        assert_eq!(tokens.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn texts_objects_and_extra_names() {
        let config = r#"{"bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": false}, "eos_token": "</s>",
            "pad_token": null, "add_bos_token": true, "image_token": "<image>", "model_max_length": 5,
            "extra_special_tokens": {"audio_token": "<audio>"}}"#;
        let tokens = SpecialTokens::from_config(config, None).unwrap();
        let expected =
            [("audio_token", "<audio>"), ("bos_token", "<s>"), ("eos_token", "</s>"), ("image_token", "<image>")];
        check(&tokens, &expected);
        // What the files say counts more than ids, also that there is none.
        check(&tokens.or("eos_token", Some("x".into())).or("pad_token", Some("x".into())), &expected);
        assert!(SpecialTokens::from_config("{", None).is_err());
    }

    #[test]
    fn ids_where_nothing_is_said() {
        let tokens = SpecialTokens::from_config(r#"{"tokenizer_class": "LlamaTokenizer"}"#, None).unwrap();
        check(&tokens.or("bos_token", Some("<s>".into())), &[("bos_token", "<s>")]);
        // This class has none of its own, so what is not said is not there.
        let tokens = SpecialTokens::from_config(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, None).unwrap();
        check(&tokens.or("bos_token", Some("<s>".into())), &[]);
    }

    #[test]
    fn the_map_counts_without_added_tokens() {
        let map = Some(r#"{"eos_token": {"content": "<end>"}, "pad_token": "<pad>"}"#);
        let both = [("eos_token", "<end>"), ("pad_token", "<pad>")];
        check(&SpecialTokens::from_config(r#"{"eos_token": "</s>"}"#, map).unwrap(), &both);
        let newer = r#"{"eos_token": "</s>", "added_tokens_decoder": {}}"#;
        check(&SpecialTokens::from_config(newer, map).unwrap(), &[("eos_token", "</s>")]);
    }
}
