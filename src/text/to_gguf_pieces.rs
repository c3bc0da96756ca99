//! A SentencePiece `tokenizer.json` (BPE with bytes to fall back on) as a GGUF file describes it: scores in place of merges.
//!
//! **Invariant:** what is written is described again by the rules of reading, and has to come out as it was, but for the
//! order of the ways to make one piece.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::DecoderWrapper;

use super::to_gguf::split;
use super::tokenizer::{AddedEntry, Description, part, refused};
use super::vocabulary::{self, BYTE, GgufVocabulary, NORMAL, UNKNOWN};
use crate::error::TextError;

/// Describes a tokenizer whose tokens have these spellings and kinds. Where its prompts begin is for the caller to say.
pub(super) fn describe(
    own: &Description,
    tokens: Vec<String>,
    token_types: Vec<i32>,
) -> Result<GgufVocabulary, TextError> {
    let kind = |text: &String, kind: i32| match kind {
        _ if own.model.unk_token.as_ref() == Some(text) => UNKNOWN,
        NORMAL if is_byte(text) => BYTE,
        kind => kind,
    };
    let token_types: Vec<i32> = tokens.iter().zip(token_types).map(|(text, known)| kind(text, known)).collect();
    let file = GgufVocabulary {
        model: "llama".into(),
        scores: scores(own, &tokens, &token_types),
        tokens,
        token_types,
        add_space_prefix: own.normalizer.to_string().contains("Prepend"),
        ..GgufVocabulary::default()
    };
    check(own, &vocabulary::describe(file.clone())?)?;
    Ok(file)
}

/// `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

/// The earlier a piece is joined, the higher. Pieces that no merge makes come last; what is no piece has 0, as elsewhere.
fn scores(own: &Description, tokens: &[String], token_types: &[i32]) -> Vec<f32> {
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (rank, (left, right)) in merges(own).enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let last = own.model.merges.len();
    let score = |(text, kind): (&String, &i32)| match *kind {
        NORMAL => -(ranks.get(text).copied().unwrap_or(last) as f32),
        _ => 0.0,
    };
    tokens.iter().zip(token_types).map(score).collect()
}

/// In order. What is no merge was refused before.
fn merges(of: &Description) -> impl Iterator<Item = (&str, &str)> {
    of.model.merges.iter().filter_map(|merge| merge.pair().ok())
}

/// Merges in order, those of one piece in no order: they have one score, and transformers has sorted them in two ways.
fn by_piece(of: &Description) -> Vec<Vec<(&str, &str)>> {
    let merges: Vec<_> = merges(of).collect();
    let whole = |(left, right): &(&str, &str)| format!("{left}{right}");
    let mut pieces: Vec<Vec<_>> = merges.chunk_by(|one, next| whole(one) == whole(next)).map(<[_]>::to_vec).collect();
    pieces.iter_mut().for_each(|ways| ways.sort_unstable());
    pieces
}

/// Refuses a tokenizer that would be read back as another.
fn check(own: &Description, read: &Description) -> Result<(), TextError> {
    let says = |what: &str| refused(format!("a GGUF file cannot say what this SentencePiece tokenizer does: {what}"));
    if parts(own)? != parts(read)? {
        return Err(says(
            "it takes text apart in another way than by turning spaces into ▁, with one in front or without",
        ));
    }
    let model = |of: &Description| {
        let flags = [of.model.fuse_unk, of.model.byte_fallback, of.model.ignore_merges];
        (of.model.unk_token.clone(), flags.map(|flag| flag.unwrap_or(false)))
    };
    if model(own) != model(read) {
        return Err(says("it does not fall back on bytes, or does something else with what it does not know"));
    }
    if by_piece(own) != by_piece(read) {
        return Err(says("its merges are not those that follow from one score for each piece"));
    }
    let flags = |entry: &AddedEntry| [entry.single_word, entry.lstrip, entry.rstrip, entry.normalized, entry.special];
    let known: HashMap<u32, &AddedEntry> = read.added_tokens.iter().map(|entry| (entry.id, entry)).collect();
    match own.added_tokens.iter().find(|entry| known.get(&entry.id).is_none_or(|read| flags(read) != flags(entry))) {
        Some(entry) => Err(says(&format!("its token `{}` takes spaces or words with it", entry.content))),
        None => Ok(()),
    }
}

/// Normalizer, splitting and decoder, with defaults spelled out.
fn parts(of: &Description) -> Result<[Value; 3], TextError> {
    let [normalizer, pre_tokenizer] = split(&of.normalizer, &of.pre_tokenizer)?;
    let decoder = part::<DecoderWrapper>("decoder", of.decoder.clone())?;
    Ok([normalizer, pre_tokenizer, serde_json::to_value(decoder).map_err(refused)?])
}
