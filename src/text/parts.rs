//! Which parts of a `tokenizer.json` are handed to the `tokenizers` crate.
//!
//! The crate trusts its input: some parts panic on what a stranger may write, or take memory without bound. What passes
//! here cannot.
//!
//! **Invariant:** a part of a kind that is not listed is refused by name.

use serde_json::Value;

use super::tokenizer::refused;
use crate::error::TextError;

/// `Precompiled` is left out: its table leads the crate out of bounds.
const NORMALIZERS: [&str; 11] =
    ["Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend", "ByteLevel"];

const PRE_TOKENIZERS: [&str; 8] =
    ["Sequence", "ByteLevel", "Metaspace", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit"];

const POST_PROCESSORS: [&str; 5] =
    ["Sequence", "ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing"];

/// Most regular expressions; each may take 10 MB when it is compiled.
const MOST_EXPRESSIONS: usize = 16;

/// Longest regular expression in bytes.
const LONGEST_EXPRESSION: usize = 1 << 14;

/// Bytes that one byte of text may become before it is split.
const MOST_GROWTH: usize = 64;

/// Checks all three.
pub(super) fn check(normalizer: &Value, pre_tokenizer: &Value, post_processor: &Value) -> Result<(), TextError> {
    let mut expressions = vec![];
    let mut growth = 1usize;
    for part in flat("normalizer", normalizer, "normalizers", &NORMALIZERS)? {
        expressions.extend(part["pattern"]["Regex"].as_str());
        if let Some(content) = part["content"].as_str() {
            // An expression that matches nothing puts the content between any two characters.
            growth = growth.saturating_mul(1 + content.len());
        }
    }
    if growth > MOST_GROWTH {
        return Err(refused(format!(
            "the normalizer's Replace parts could make a text {growth} times as long; at most {MOST_GROWTH} times is \
             supported"
        )));
    }
    for part in flat("pre_tokenizer", pre_tokenizer, "pretokenizers", &PRE_TOKENIZERS)? {
        expressions.extend(part["pattern"]["Regex"].as_str());
    }
    if expressions.len() > MOST_EXPRESSIONS {
        let count = expressions.len();
        return Err(refused(format!("it has {count} regular expressions; at most {MOST_EXPRESSIONS} are supported")));
    }
    if let Some(long) = expressions.iter().find(|expression| expression.len() > LONGEST_EXPRESSION) {
        return Err(refused(format!(
            "a regular expression has {} bytes; at most {LONGEST_EXPRESSION} are supported",
            long.len()
        )));
    }
    for part in flat("post_processor", post_processor, "processors", &POST_PROCESSORS)? {
        if part["type"] == "TemplateProcessing" {
            check_template(part)?;
        }
    }
    Ok(())
}

/// The part, or the parts of a `Sequence`, however deeply nested; null is none.
fn flat<'a>(name: &str, part: &'a Value, inner: &str, kinds: &[&str]) -> Result<Vec<&'a Value>, TextError> {
    let mut found = vec![];
    let mut open = vec![part];
    while let Some(part) = open.pop() {
        if part.is_null() {
            continue;
        }
        let kind = part["type"].as_str().unwrap_or("without a type");
        if !kinds.contains(&kind) {
            return Err(refused(format!("{name} ({kind}) is not supported; supported: {}", kinds.join(", "))));
        }
        match part[inner].as_array() {
            Some(parts) if kind == "Sequence" => open.extend(parts.iter().rev()),
            _ => found.push(part),
        }
    }
    Ok(found)
}

/// The tokens that a template puts around a text must be described, and it has one text only.
fn check_template(template: &Value) -> Result<(), TextError> {
    let tokens = &template["special_tokens"];
    for (name, pieces) in ["single", "pair"].map(|name| (name, template[name].as_array())) {
        for piece in pieces.into_iter().flatten() {
            if let Some(token) = piece["SpecialToken"]["id"].as_str()
                && tokens.get(token).is_none()
            {
                return Err(refused(format!("post_processor names special token `{token}`, but does not describe it")));
            }
            if name == "single" && piece["Sequence"]["id"].as_str().is_some_and(|id| id != "A") {
                return Err(refused("post_processor's `single` speaks of a second text; it may hold sequence A only"));
            }
        }
    }
    for (token, described) in tokens.as_object().into_iter().flatten() {
        let count = |field: &str| described[field].as_array().map(Vec::len);
        if count("ids") != count("tokens") {
            return Err(refused(format!("post_processor's special token `{token}` has not as many ids as tokens")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(result: Result<(), TextError>, words: &[&str]) {
        let message = result.unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }

    #[test]
    fn parts_that_would_panic_are_refused() {
        let none = Value::Null;
        let normalizer = |part: Value| check(&part, &none, &none);
        normalizer(json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "_"}]}))
            .unwrap();
        let nested = json!({"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [{"type": "Precompiled"}]}]});
        says(normalizer(nested), &["normalizer (Precompiled)", "supported: Sequence, NFC"]);
        says(normalizer(json!({"type": 1})), &["without a type"]);
        says(normalizer(json!("NFC")), &["without a type"]);
        let grows = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaa"});
        normalizer(grows.clone()).unwrap();
        says(normalizer(json!({"type": "Sequence", "normalizers": [grows, grows]})), &["100 times as long"]);
    }

    #[test]
    fn expressions_are_few_and_short() {
        let none = Value::Null;
        let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}});
        let pre = |parts: Vec<Value>| check(&none, &json!({"type": "Sequence", "pretokenizers": parts}), &none);
        pre(vec![split("a"); 16]).unwrap();
        says(pre(vec![split("a"); 17]), &["17 regular expressions"]);
        says(pre(vec![split(&"a".repeat(20_000))]), &["20000 bytes"]);
        says(pre(vec![json!({"type": "FixedLength", "length": 0})]), &["pre_tokenizer (FixedLength)"]);
    }

    #[test]
    fn a_template_is_complete() {
        let none = Value::Null;
        let template = |single: Value, tokens: Value| {
            let part = json!({"type": "TemplateProcessing", "single": [single], "pair": [], "special_tokens": tokens});
            check(&none, &none, &json!({"type": "Sequence", "processors": [part]}))
        };
        let begin = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        template(begin.clone(), json!({"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}})).unwrap();
        says(template(begin.clone(), json!({})), &["`<s>`", "does not describe"]);
        says(template(begin, json!({"<s>": {"id": "<s>", "ids": [1], "tokens": []}})), &["as many ids"]);
        says(template(json!({"Sequence": {"id": "B", "type_id": 0}}), json!({})), &["sequence A only"]);
    }
}
