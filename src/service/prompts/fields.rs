//! A JSON object taken apart into its fields, each value as the text that stands there.
//!
//! **Invariant:** nothing is read into numbers or lists here, so a value of any size comes back as it came.

use serde::Deserialize;
use serde::de::{Error, IgnoredAny};
use serde_json::Deserializer;

/// A field's name, and its value's text.
pub(super) type Field<'a> = (String, &'a str);

/// What JSON takes for white space.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// The fields in their order.
///
/// # Errors
/// A text that is not JSON, or not an object.
pub(super) fn fields(text: &str) -> Result<Vec<Field<'_>>, serde_json::Error> {
    // First as a whole: so a fault is told with its place in the text.
    serde_json::from_str::<IgnoredAny>(text)?;
    let not_an_object = || serde_json::Error::custom("it is not an object");
    let mut rest = trimmed(text).strip_prefix('{').ok_or_else(not_an_object)?;
    let mut fields = Vec::new();
    while !trimmed(rest).starts_with('}') {
        let (name, after) = cut(rest)?;
        let (value, after) = cut(trimmed(after).strip_prefix(':').ok_or_else(not_an_object)?)?;
        fields.push((serde_json::from_str(name)?, value));
        rest = trimmed(after);
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Ok(fields)
}

/// The text of the value at the beginning, and what follows it.
fn cut(text: &str) -> Result<(&str, &str), serde_json::Error> {
    let text = trimmed(text);
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next().unwrap_or_else(|| Err(serde_json::Error::custom("it ends too early")))?;
    Ok(text.split_at(values.byte_offset()))
}

/// The value of that text, or why it is none of its kind.
pub(super) fn value<'a, T: Deserialize<'a>>(name: &str, text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        // The place counts from the value's beginning, which tells nobody anything.
        format!("`{name}`: {}", why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why))
    })
}

/// Keeps a value that is said once, or twice alike.
pub(super) fn keep<T: PartialEq>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        Some(before) if place.as_ref() != Some(&before) => {
            Err(format!("`{name}` is said twice, with different values; say it once"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_as_they_stand() {
        let text = " {\t\"a\" : 340282366920938463463374607431768211455 ,\"b\":1.0,\"\\u0063\":{ \"x\" : [1e999, null]},\
                    \"d\":\"\\ud800 }\",\"e\":[],\"f\":-0}\r";
        let found: Vec<(String, &str)> = fields(text).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(
            found,
            [
                ("a", "340282366920938463463374607431768211455"),
                ("b", "1.0"),
                ("c", "{ \"x\" : [1e999, null]}"),
                ("d", "\"\\ud800 }\""),
                ("e", "[]"),
                ("f", "-0"),
            ]
        );
        assert_eq!(fields("{ }").unwrap(), []);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(fields(&deep).unwrap()[0].1.len(), 200_000);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in
            ["", "{", "[]", "1", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":01}", "{\"\\ud800\":1}"]
        {
            assert!(fields(text).is_err(), "{text}");
        }
    }
}
