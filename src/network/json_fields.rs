//! Typed access to the fields of a JSON object, so that every refusal names the field, its value and what it
//! may hold.
//!
//! **Invariant:** `null` counts as absent, and no value is converted silently: `"3"` is not a number.

use serde_json::{Map, Value};

use crate::error::{ModelError, refuse};

/// One JSON object and where it stands.
pub(crate) struct Fields<'a> {
    /// Path with a final dot, empty at the top.
    prefix: String,
    map: &'a Map<String, Value>,
}

/// A value as it goes into a message: never longer than a line.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl<'a> Fields<'a> {
    /// The object at `path`, which is empty for the whole file.
    pub(crate) fn new(path: &str, value: &'a Value) -> Result<Self, ModelError> {
        match value {
            Value::Object(map) => {
                let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
                Ok(Self { prefix, map })
            }
            other if path.is_empty() => {
                Err(refuse(format!("the file holds {}; it must hold a JSON object", brief(other))))
            }
            other => Err(refuse(format!("`{path}` is {}; it must be a JSON object", brief(other)))),
        }
    }

    /// The field's full name.
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Refuses every key that is not listed.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ModelError> {
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(refuse(format!("unknown key `{}`; known keys: {}", self.path(key), known.join(", ")))),
            None => Ok(()),
        }
    }

    /// The value, `None` where absent or `null`.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, be it with `null`.
    pub(crate) fn is_named(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The object under that key.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Fields<'a>>, ModelError> {
        self.value(key).map(|value| Fields::new(&self.path(key), value)).transpose()
    }

    /// The error for a value of the wrong kind or range.
    pub(crate) fn wrong(&self, key: &str, value: &Value, allowed: &str) -> ModelError {
        refuse(format!("`{}` is {}; it must be {allowed}", self.path(key), brief(value)))
    }

    /// The error for a field that has no default.
    pub(crate) fn missing(&self, key: &str, allowed: &str) -> ModelError {
        refuse(format!("`{}` is missing; it must be {allowed}", self.path(key)))
    }

    /// A whole number.
    pub(crate) fn unsigned(&self, key: &str) -> Result<Option<u32>, ModelError> {
        self.value(key).map(|value| as_unsigned(value).ok_or_else(|| self.wrong(key, value, UNSIGNED))).transpose()
    }

    /// A whole number that must be there.
    pub(crate) fn required(&self, key: &str) -> Result<u32, ModelError> {
        self.unsigned(key)?.ok_or_else(|| self.missing(key, UNSIGNED))
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f32>, ModelError> {
        self.value(key)
            .map(|value| {
                let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
                number.ok_or_else(|| self.wrong(key, value, "a number that fits in 32 bits"))
            })
            .transpose()
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f32>>, ModelError> {
        self.value(key)
            .map(|value| {
                let list =
                    value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
                let list = list.map(|list| list.into_iter().map(|number| number as f32).collect::<Vec<f32>>());
                list.ok_or_else(|| self.wrong(key, value, "a list of numbers"))
            })
            .transpose()
    }

    /// True or false.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.value(key).map(|value| value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))).transpose()
    }

    /// Text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, ModelError> {
        self.value(key).map(|value| value.as_str().ok_or_else(|| self.wrong(key, value, "a string"))).transpose()
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, ModelError> {
        self.value(key)
            .map(|value| {
                let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
                found.map(|(_, meaning)| *meaning).ok_or_else(|| self.wrong(key, value, &one_of(words)))
            })
            .transpose()
    }

    /// One of a few words, which must be there.
    pub(crate) fn required_word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<T, ModelError> {
        self.word(key, words)?.ok_or_else(|| self.missing(key, &one_of(words)))
    }
}

const UNSIGNED: &str = "a whole number from 0 to 4294967295";

/// A JSON number as `u32`, `None` where it is negative, has a fraction or is too large.
pub(crate) fn as_unsigned(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn one_of<T>(words: &[(&str, T)]) -> String {
    let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    match words.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", words.join(", ")),
    }
}
