//! The vocabulary of a `tokenizer.json` as a GGUF file describes it.
//!
//! **Invariant:** a tokenizer that a GGUF file cannot describe exactly is refused, because other tokens would be read
//! from it in silence.

use serde_json::Value;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::splitting_rules::RULES;
use super::to_gguf_pieces;
use super::tokenizer::{Description, Merge, Tokenizer, part, refused};
use super::vocabulary::{CONTROL, GgufVocabulary, NORMAL, UNUSED, USER_DEFINED};
use crate::error::TextError;

impl GgufVocabulary {
    /// Describes a tokenizer whose model has `vocab_size` rows; rows without a token are named and marked as unused.
    pub fn from_json(bytes: &[u8], vocab_size: u32) -> Result<Self, TextError> {
        let tokenizer = Tokenizer::from_json(bytes)?;
        let description: Description =
            serde_json::from_slice(bytes).map_err(|error| refused(format!("tokenizer.json is not valid: {error}")))?;
        let (tokens, token_types) = tokens(&description, vocab_size)?;
        let (bos_token, add_bos) = match tokenizer.encode_prompt("", false)?[..] {
            [] => (None, false),
            [first] => (Some(first), true),
            _ => return Err(refused("it puts more than one token around a prompt, which a GGUF file cannot say")),
        };
        let described = match description.decoder["type"].as_str() {
            Some("ByteLevel") => byte_level(description, tokens, token_types)?,
            _ => to_gguf_pieces::describe(&description, tokens, token_types)?,
        };
        Ok(Self { bos_token, add_bos, ..described })
    }
}

fn byte_level(
    description: Description,
    tokens: Vec<String>,
    token_types: Vec<i32>,
) -> Result<GgufVocabulary, TextError> {
    let pre = rule(&description)?.to_owned();
    let joined = description.model.merges.into_iter().map(|merge| match merge {
        Merge::Pair(left, right) => format!("{left} {right}"),
        Merge::Joined(joined) => joined,
    });
    Ok(GgufVocabulary {
        model: "gpt2".into(),
        pre,
        tokens,
        token_types,
        merges: joined.collect(),
        ..GgufVocabulary::default()
    })
}

/// Spelling and kind of each row.
fn tokens(description: &Description, vocab_size: u32) -> Result<(Vec<String>, Vec<i32>), TextError> {
    let unused = |row: u32| (format!("[PAD{row}]"), UNUSED);
    let mut rows: Vec<(String, i32)> = (0..vocab_size).map(unused).collect();
    let plain = description.model.vocab.iter().map(|(text, id)| (*id, text, NORMAL));
    let added = description.added_tokens.iter();
    let added = added.map(|token| (token.id, &token.content, if token.special { CONTROL } else { USER_DEFINED }));
    for (id, text, kind) in plain.chain(added) {
        let row = rows.get_mut(id as usize);
        *row.ok_or_else(|| refused(format!("token `{text}` has number {id}, the model has {vocab_size} rows")))? =
            (text.clone(), kind);
    }
    Ok(rows.into_iter().unzip())
}

/// GGUF's name for the way in which text is split.
fn rule(description: &Description) -> Result<&'static str, TextError> {
    let own = split(&description.normalizer, &description.pre_tokenizer)?;
    for rule in RULES {
        if split(&rule.normalizer(), &rule.pre_tokenizer())? == own
            && rule.whole_words == description.model.ignore_merges.unwrap_or(false)
        {
            return Ok(rule.names[0]);
        }
    }
    let known: Vec<&str> = RULES.iter().map(|rule| rule.names[0]).collect();
    Err(refused(format!(
        "a GGUF file names its way of splitting text, and this one has no name that is known here; known: {}",
        known.join(", ")
    )))
}

/// What decides on tokens, with defaults spelled out.
pub(super) fn split(normalizer: &Value, pre_tokenizer: &Value) -> Result<[Value; 2], TextError> {
    let normalizer = part::<NormalizerWrapper>("normalizer", normalizer.clone())?;
    let pre_tokenizer = part::<PreTokenizerWrapper>("pre_tokenizer", pre_tokenizer.clone())?;
    let mut plain =
        [serde_json::to_value(normalizer).map_err(refused)?, serde_json::to_value(pre_tokenizer).map_err(refused)?];
    plain.iter_mut().for_each(without_offsets);
    Ok(plain)
}

/// Offsets into the text change no token.
fn without_offsets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.shift_remove("trim_offsets");
            map.values_mut().for_each(without_offsets);
        }
        Value::Array(list) => list.iter_mut().for_each(without_offsets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &[u8] = include_bytes!("../../tests/models/tiny/tokenizer.json");

    #[test]
    fn a_tokenizer_survives_the_way_through_a_gguf_file() {
        let tokenizer = Tokenizer::from_json(TINY).unwrap();
        let rows = tokenizer.vocab_size() as u32 + 3;
        let vocabulary = GgufVocabulary::from_json(TINY, rows).unwrap();
        assert_eq!((vocabulary.pre.as_str(), vocabulary.tokens.len()), ("gpt-2", rows as usize));
        assert_eq!(vocabulary.token_types[rows as usize - 1], UNUSED);
        let back = Tokenizer::from_vocabulary(vocabulary).unwrap();
        let back = Tokenizer::from_json(back.to_json().unwrap().as_bytes()).unwrap();
        for text in ["The sea was deep.", " 12 fish,  and\n\n more?", "don't <|endoftext|> é"] {
            for special in [true, false] {
                let want = tokenizer.encode_prompt(text, special).unwrap();
                assert_eq!(back.encode_prompt(text, special).unwrap(), want, "{text}");
            }
        }
    }

    #[test]
    fn what_gguf_cannot_say_is_refused() {
        let refuses = |change: &dyn Fn(&mut Value), rows: u32, word: &str| {
            let mut json: Value = serde_json::from_slice(TINY).unwrap();
            change(&mut json);
            let error = GgufVocabulary::from_json(json.to_string().as_bytes(), rows).unwrap_err().to_string();
            assert!(error.contains(word), "`{word}` is not in: {error}");
        };
        refuses(&|json| json["pre_tokenizer"]["add_prefix_space"] = true.into(), 4096, "smollm, gpt-2");
        refuses(&|json| json["model"]["ignore_merges"] = true.into(), 4096, "no name that is known");
        refuses(&|_| {}, 2, "the model has 2 rows");
    }
}
