//! A GGUF file's vocabulary, described in the terms of a `tokenizer.json`.
//!
//! GGUF names the splitting rule (`pre`) instead of spelling it out; `splitting_rules.rs` has the table. SentencePiece vocabularies have scores instead of merges; merges are derived from
//! them as transformers does (`convert_slow_tokenizer.py`).

use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::models::bpe::Vocab;

use super::splitting::Rule;
use super::splitting_rules::RULES;
use super::tokenizer::{AddedEntry, BpeDescription, Description, Merge, refused};
use crate::error::TextError;

pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// The keys `tokenizer.ggml.*` of a GGUF file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `model`: `gpt2` is byte-level BPE, `llama` is SentencePiece BPE with bytes to fall back on.
    pub model: String,
    /// `pre`: how text is split before merging; only for `gpt2`.
    pub pre: String,
    /// `tokens`: spelling of every token.
    pub tokens: Vec<String>,
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; empty is all normal.
    pub token_types: Vec<i32>,
    /// `merges`: pieces to join, `a b`, best first; only for `gpt2`.
    pub merges: Vec<String>,
    /// `scores`: how early a piece is joined; only for `llama`.
    pub scores: Vec<f32>,
    /// `bos_token_id`.
    pub bos_token: Option<u32>,
    /// `eos_token_id`.
    pub eos_token: Option<u32>,
    /// `add_bos_token`: prompts begin with the begin-of-sequence token.
    pub add_bos: bool,
    /// `add_space_prefix`: a space is put before the text; only for `llama`, where true if the key is absent.
    pub add_space_prefix: bool,
}

impl GgufVocabulary {
    /// The token for what has no other.
    pub fn unknown_token(&self) -> Option<u32> {
        (0..).zip(&self.token_types).find(|(_, kind)| **kind == UNKNOWN).map(|(id, _)| id)
    }

    /// Whether prompts begin with the begin-of-sequence token in a file of that `model` and `pre` that does not say.
    pub fn begins_by_default(model: &str, pre: &str) -> bool {
        model == "llama" || model == "gpt2" && Rule::named(pre).is_some_and(|rule| rule.begins)
    }

    /// What a person should know who uses the file; nothing where all is well.
    pub fn warning(&self) -> Option<&'static str> {
        (self.model == "gpt2" && self.pre.is_empty()).then_some(
            "the file does not name its way of splitting text (`tokenizer.ggml.pre`); llama.cpp's `default` is taken, which \
             may not be the model's own: convert the model anew where its texts are poor",
        )
    }
}

/// Puts the vocabulary into the terms of a `tokenizer.json`.
pub(super) fn describe(mut vocabulary: GgufVocabulary) -> Result<Description, TextError> {
    vocabulary.settle();
    check(&vocabulary)?;
    let post_processor = match vocabulary.bos_token.filter(|_| vocabulary.add_bos) {
        Some(bos) => begins_with(&vocabulary.tokens[bos as usize], bos),
        None => Value::Null,
    };
    let mut vocab = Vocab::default();
    for (id, token) in (0u32..).zip(&vocabulary.tokens) {
        if let Some(first) = vocab.insert(token.clone(), id) {
            return Err(refused(format!("tokens {first} and {id} are both `{token}`")));
        }
    }
    let added_tokens = added_tokens(&vocabulary);
    match vocabulary.model.as_str() {
        "gpt2" => byte_level(vocabulary, vocab, added_tokens, post_processor),
        "llama" => sentence_piece(vocabulary, vocab, added_tokens, post_processor),
        other => Err(refused(format!("GGUF tokenizer model `{other}` is not supported; supported: gpt2, llama"))),
    }
}

fn check(vocabulary: &GgufVocabulary) -> Result<(), TextError> {
    let count = vocabulary.tokens.len();
    let types = vocabulary.token_types.len();
    if types != 0 && types != count {
        return Err(refused(format!("there are {count} tokens, but {types} token types")));
    }
    for (name, token) in [("bos_token_id", vocabulary.bos_token), ("eos_token_id", vocabulary.eos_token)] {
        if let Some(id) = token.filter(|&id| id as usize >= count) {
            return Err(refused(format!("{name} is {id}, but there are only {count} tokens")));
        }
    }
    if vocabulary.add_bos && vocabulary.bos_token.is_none() {
        return Err(refused("add_bos_token is set, but there is no bos_token_id"));
    }
    Ok(())
}

/// User-defined pieces of SentencePiece are spelled with `▁` and are found once spaces are; a space in front of the text
/// would come before them as well, so there they are taken as they stand.
fn added_tokens(vocabulary: &GgufVocabulary) -> Vec<AddedEntry> {
    let spelled = vocabulary.model == "llama" && !vocabulary.add_space_prefix;
    let entries = (0u32..).zip(vocabulary.tokens.iter().zip(&vocabulary.token_types));
    entries
        .filter(|(_, (_, kind))| matches!(**kind, UNKNOWN | CONTROL | USER_DEFINED))
        .map(|(id, (text, &kind))| AddedEntry {
            id,
            content: text.clone(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: spelled && kind == USER_DEFINED,
            special: kind != USER_DEFINED,
        })
        .collect()
}

fn begins_with(text: &str, id: u32) -> Value {
    let special = |type_id: u32| json!({"SpecialToken": {"id": text, "type_id": type_id}});
    let sequence = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    json!({
        "type": "TemplateProcessing",
        "single": [special(0), sequence("A", 0)],
        "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    })
}

fn byte_level(
    vocabulary: GgufVocabulary,
    vocab: Vocab,
    added_tokens: Vec<AddedEntry>,
    post_processor: Value,
) -> Result<Description, TextError> {
    let rule = Rule::named(&vocabulary.pre).ok_or_else(|| {
        let names: Vec<&str> = RULES.iter().flat_map(|rule| rule.names).copied().collect();
        refused(format!("GGUF pre-tokenizer `{}` is not supported; supported: {}", vocabulary.pre, names.join(", ")))
    })?;
    Ok(Description {
        added_tokens,
        normalizer: rule.normalizer(),
        pre_tokenizer: rule.pre_tokenizer(),
        post_processor,
        decoder: byte_level_part(false),
        model: BpeDescription {
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: None,
            byte_fallback: None,
            ignore_merges: Some(rule.whole_words),
            vocab,
            merges: vocabulary.merges.into_iter().map(Merge::Joined).collect(),
        },
    })
}

pub(super) fn byte_level_part(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn sentence_piece(
    vocabulary: GgufVocabulary,
    vocab: Vocab,
    added_tokens: Vec<AddedEntry>,
    post_processor: Value,
) -> Result<Description, TextError> {
    let (count, scores) = (vocabulary.tokens.len(), vocabulary.scores.len());
    if scores != count {
        return Err(refused(format!(
            "a vocabulary of model `llama` needs a score per token; {count} tokens, {scores} scores"
        )));
    }
    if let Some(id) = vocabulary.scores.iter().position(|score| score.is_nan()) {
        return Err(refused(format!("the score of token {id} is not a number")));
    }
    let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let mut normalizers = vec![replace(" ", "▁")];
    let mut decoders = vec![replace("▁", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if vocabulary.add_space_prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let unknown = vocabulary.token_types.iter().position(|&kind| kind == UNKNOWN);
    Ok(Description {
        added_tokens,
        normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
        pre_tokenizer: Value::Null,
        post_processor,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        model: BpeDescription {
            unk_token: unknown.map(|id| vocabulary.tokens[id].clone()),
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: Some(true),
            byte_fallback: Some(true),
            ignore_merges: Some(false),
            merges: merges_by_score(&vocabulary),
            vocab,
        },
    })
}

/// Every way to make a normal piece out of two, best score first. Ties: as transformers orders them.
fn merges_by_score(vocabulary: &GgufVocabulary) -> Vec<Merge> {
    let is_normal = |id: usize| vocabulary.token_types.get(id).is_none_or(|&kind| kind == NORMAL);
    let pieces = vocabulary.tokens.iter().enumerate().filter(|(id, _)| is_normal(*id));
    let ids: HashMap<&str, usize> = pieces.map(|(id, text)| (text.as_str(), id)).collect();
    let mut merges: Vec<(f32, &str, &str)> = Vec::new();
    for (whole, text) in vocabulary.tokens.iter().enumerate().filter(|(id, _)| is_normal(*id)) {
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let mut found: Vec<(usize, usize, &str, &str)> =
            cuts.filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?, left, right))).collect();
        found.sort_unstable();
        merges.extend(found.into_iter().map(|(_, _, left, right)| (vocabulary.scores[whole], left, right)));
    }
    // Python's `reverse` keeps equal elements in their order; so does a stable sort with the arguments swapped.
    let key = |&(score, left, right): &(f32, &str, &str)| (score, left.chars().count(), right.chars().count());
    merges.sort_by(|one, other| {
        let (one, other) = (key(one), key(other));
        other.0.total_cmp(&one.0).then(other.1.cmp(&one.1)).then(other.2.cmp(&one.2))
    });
    merges.into_iter().map(|(_, left, right)| Merge::Pair(left.to_string(), right.to_string())).collect()
}
