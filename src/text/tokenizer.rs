//! Text to tokens and back, from a `tokenizer.json` or from the vocabulary inside a GGUF file.
//!
//! Encoding is done by the `tokenizers` crate, so that it agrees with Hugging Face. Decoding is done here, from a
//! table of the bytes that each token stands for: text can then be streamed at a cost that does not grow.
//!
//! **Invariant:** a description is checked when it is loaded; a loaded tokenizer encodes any text and decodes any
//! numbers without panicking.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{
    AddedToken, AddedVocabulary, Model, OffsetReferential, OffsetType, PostProcessorWrapper, PreTokenizer,
};

use super::detokenizer::{DecodeRule, Pieces};
use super::parts;
use super::vocabulary::{self, GgufVocabulary};
use crate::error::TextError;

/// Largest vocabulary that is accepted; a damaged file could otherwise ask for gigabytes.
const MAX_VOCABULARY: usize = 1 << 22;

/// The error of this module.
pub(super) fn refused(why: impl Display) -> TextError {
    TextError::Tokenizer { why: why.to_string() }
}

/// A description in the format of `tokenizer.json`, with the parts that we pass on untouched as JSON.
#[derive(Deserialize)]
pub(super) struct Description {
    #[serde(default)]
    pub added_tokens: Vec<AddedEntry>,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub decoder: Value,
    pub model: BpeDescription,
}

/// A token that is found in the text before anything else is done with it.
#[derive(Deserialize)]
pub(super) struct AddedEntry {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
    #[serde(default)]
    pub special: bool,
}

/// Byte pair encoding: the vocabulary and the merges in order of rank.
#[derive(Deserialize)]
pub(super) struct BpeDescription {
    #[serde(default)]
    pub unk_token: Option<String>,
    #[serde(default)]
    pub continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub fuse_unk: Option<bool>,
    #[serde(default)]
    pub byte_fallback: Option<bool>,
    #[serde(default)]
    pub ignore_merges: Option<bool>,
    pub vocab: Vocab,
    pub merges: Vec<Merge>,
}

/// Two pieces that become one; older files join them by a space.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    Pair(String, String),
    Joined(String),
}

impl Merge {
    /// The two pieces.
    ///
    /// # Errors
    /// The text that is not two pieces with a space between.
    pub(super) fn pair(&self) -> Result<(&str, &str), &str> {
        match self {
            Self::Pair(left, right) => Ok((left, right)),
            Self::Joined(joined) => match joined.split_once(' ') {
                Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                    Ok((left, right))
                }
                _ => Err(joined),
            },
        }
    }
}

/// Text to tokens and back.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The added tokens once more, set to treat special tokens as plain text.
    plain_vocabulary: AddedVocabulary,
    pieces: Pieces,
    bos_token: Option<u32>,
    eos_token: Option<u32>,
}

impl Tokenizer {
    /// Reads a Hugging Face `tokenizer.json` (byte pair encoding; truncation, padding and dropout are ignored).
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        #[derive(Deserialize)]
        struct Kind {
            model: KindOfModel,
        }
        #[derive(Deserialize)]
        struct KindOfModel {
            #[serde(rename = "type")]
            name: Option<String>,
        }
        let kind: Kind =
            serde_json::from_slice(bytes).map_err(|error| refused(format!("tokenizer.json is not valid: {error}")))?;
        if let Some(name) = kind.model.name.filter(|name| name != "BPE") {
            return Err(refused(format!("model type `{name}` is not supported; supported: BPE")));
        }
        let description =
            serde_json::from_slice(bytes).map_err(|error| refused(format!("tokenizer.json is not valid: {error}")))?;
        Self::build(description)
    }

    /// Builds the tokenizer that a GGUF file describes in its metadata.
    pub fn from_vocabulary(vocabulary: GgufVocabulary) -> Result<Self, TextError> {
        let (bos_token, eos_token) = (vocabulary.bos_token, vocabulary.eos_token);
        let mut tokenizer = Self::build(vocabulary::describe(vocabulary)?)?;
        tokenizer.bos_token = bos_token;
        tokenizer.eos_token = eos_token;
        Ok(tokenizer)
    }

    fn build(description: Description) -> Result<Self, TextError> {
        let Description { added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model } = description;
        parts::check(&normalizer, &pre_tokenizer, &post_processor)?;
        let rule = DecodeRule::from_json(&decoder)?;
        let mut inner = tokenizers::Tokenizer::new(byte_pair_encoding(model)?);
        inner.with_normalizer(part::<tokenizers::NormalizerWrapper>("normalizer", normalizer)?).map_err(refused)?;
        inner.with_pre_tokenizer(part::<tokenizers::PreTokenizerWrapper>("pre_tokenizer", pre_tokenizer)?);
        inner.with_post_processor(part::<PostProcessorWrapper>("post_processor", post_processor)?);
        inner.with_decoder(part::<tokenizers::DecoderWrapper>("decoder", decoder)?);
        add_tokens(&mut inner, added_tokens)?;

        let mut plain_vocabulary = inner.get_added_vocabulary().clone();
        plain_vocabulary.set_encode_special_tokens(true);
        let pieces = pieces(&inner, rule)?;
        let tokenizer = Self { inner, plain_vocabulary, pieces, bos_token: None, eos_token: None };
        if let Some(id) =
            tokenizer.encode_prompt("", false)?.into_iter().find(|&id| id as usize >= tokenizer.vocab_size())
        {
            return Err(refused(format!("post_processor adds token {id}, which is not in the vocabulary")));
        }
        Ok(tokenizer)
    }

    /// Tokens of a text. With `special`, special tokens in the text (`<|im_end|>`) become one token each; without,
    /// they are text like any other, which is how words of a stranger should be read.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        self.encode_with(text, special, false)
    }

    /// Tokens of a whole prompt: as [`Tokenizer::encode`], with the begin-of-sequence token and whatever else the
    /// model wants around it. A rendered chat template brings its own; encode that with [`Tokenizer::encode`].
    pub fn encode_prompt(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        self.encode_with(text, special, true)
    }

    fn encode_with(&self, text: &str, special: bool, add_special: bool) -> Result<Vec<u32>, TextError> {
        let vocabulary = if special { self.inner.get_added_vocabulary() } else { &self.plain_vocabulary };
        let mut splits = vocabulary.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut splits).map_err(refused)?;
        }
        self.inner.get_model().tokenize_in_pretokenized(&mut splits, None).map_err(refused)?;
        if !add_special {
            let splits = splits.get_splits(OffsetReferential::Original, OffsetType::None);
            return Ok(splits.into_iter().flat_map(|(_, _, tokens)| tokens.iter().flatten()).map(|t| t.id).collect());
        }
        let encoding = splits.into_encoding(None, 0, OffsetType::None).map_err(refused)?;
        Ok(self.inner.post_process(encoding, None, true).map_err(refused)?.get_ids().to_vec())
    }

    /// Text of the tokens; bytes that are not UTF-8 become `U+FFFD`, numbers outside the vocabulary are left out.
    /// Special tokens are shown as their text, or skipped.
    pub fn decode(&self, tokens: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::new();
        for &token in tokens {
            bytes.extend_from_slice(self.shown_bytes(token, skip_special));
        }
        let text = String::from_utf8_lossy(&bytes);
        match text.strip_prefix(' ') {
            Some(rest) if self.strips_first_space() => rest.to_string(),
            _ => text.into_owned(),
        }
    }

    /// Text of one token for people to read; `None` outside the vocabulary. Parts of characters show as `U+FFFD`.
    pub fn token_text(&self, token: u32) -> Option<String> {
        let inside = (token as usize) < self.vocab_size();
        inside.then(|| String::from_utf8_lossy(self.pieces.bytes(token)).into_owned())
    }

    /// Bytes that the token adds to the text; none outside the vocabulary.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.pieces.bytes(token)
    }

    /// Whether the token is a special one, such as an end of turn.
    pub fn is_special(&self, token: u32) -> bool {
        self.pieces.is_special(token)
    }

    /// Largest token plus one.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The token that is spelled like this in the vocabulary (`<|im_end|>`, `Ġthe`).
    pub fn id_of(&self, spelling: &str) -> Option<u32> {
        self.inner.token_to_id(spelling)
    }

    /// Begin-of-sequence token, where the vocabulary names one (a `tokenizer.json` does not).
    pub fn bos_token(&self) -> Option<u32> {
        self.bos_token
    }

    /// End-of-sequence token, where the vocabulary names one (a `tokenizer.json` does not).
    pub fn eos_token(&self) -> Option<u32> {
        self.eos_token
    }

    /// The tokenizer as a `tokenizer.json`.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.inner.to_string(false).map_err(refused)
    }

    /// Bytes to show for the token: nothing for a special one that is skipped.
    pub(super) fn shown_bytes(&self, token: u32, skip_special: bool) -> &[u8] {
        if skip_special && self.is_special(token) { &[] } else { self.pieces.bytes(token) }
    }

    /// Whether a space at the start of the text was added by the tokenizer and is taken away again.
    pub(super) fn strips_first_space(&self) -> bool {
        self.pieces.strips_first_space()
    }
}

/// A part of the description, in the crate's type; JSON's null is no part.
pub(super) fn part<T: serde::de::DeserializeOwned>(name: &str, json: Value) -> Result<Option<T>, TextError> {
    let kind = json.get("type").and_then(Value::as_str).unwrap_or("without a type").to_string();
    serde_json::from_value(json).map_err(|error| refused(format!("{name} ({kind}) cannot be used: {error}")))
}

/// The model, after the checks that the crate does not make: it would panic on merges into unknown tokens.
fn byte_pair_encoding(description: BpeDescription) -> Result<BPE, TextError> {
    let BpeDescription { vocab, merges, .. } = &description;
    let affix = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if affix(&description.continuing_subword_prefix) || affix(&description.end_of_word_suffix) {
        return Err(refused(
            "continuing_subword_prefix and end_of_word_suffix are not supported; \
             supported: byte-level BPE and SentencePiece BPE",
        ));
    }
    if vocab.is_empty() || vocab.len() > MAX_VOCABULARY {
        return Err(refused(format!("the vocabulary has {} tokens; it must have 1 to {MAX_VOCABULARY}", vocab.len())));
    }
    let mut seen = vec![false; MAX_VOCABULARY];
    for (token, &id) in vocab {
        match seen.get_mut(id as usize) {
            None => return Err(refused(format!("token `{token}` has number {id}; numbers go up to {MAX_VOCABULARY}"))),
            Some(true) => return Err(refused(format!("number {id} is used twice, one of them for token `{token}`"))),
            Some(unseen) => *unseen = true,
        }
    }
    if let Some(unknown) = description.unk_token.as_ref().filter(|unknown| !vocab.contains_key(*unknown)) {
        return Err(refused(format!("unk_token `{unknown}` is not in the vocabulary")));
    }
    let merges = merges.iter().enumerate().map(|(rank, merge)| checked_merge(rank, merge, vocab));
    let merges = merges.collect::<Result<Vec<_>, _>>()?;
    let mut builder = BPE::builder()
        .fuse_unk(description.fuse_unk.unwrap_or(false))
        .byte_fallback(description.byte_fallback.unwrap_or(false))
        .ignore_merges(description.ignore_merges.unwrap_or(false));
    if let Some(unknown) = description.unk_token {
        builder = builder.unk_token(unknown);
    }
    builder.vocab_and_merges(description.vocab, merges).build().map_err(refused)
}

fn checked_merge(rank: usize, merge: &Merge, vocab: &Vocab) -> Result<(String, String), TextError> {
    let wrong = |text| refused(format!("merge {rank} is `{text}`; it must be two pieces with a space between"));
    let (left, right) = merge.pair().map_err(wrong)?;
    for piece in [left, right, &format!("{left}{right}")] {
        if !vocab.contains_key(piece) {
            return Err(refused(format!(
                "merge {rank} (`{left}` + `{right}`) needs `{piece}`, which is not in the vocabulary"
            )));
        }
    }
    Ok((left.to_string(), right.to_string()))
}

fn add_tokens(inner: &mut tokenizers::Tokenizer, entries: Vec<AddedEntry>) -> Result<(), TextError> {
    let wanted: Vec<(String, u32)> = entries.iter().map(|entry| (entry.content.clone(), entry.id)).collect();
    let tokens = entries.into_iter().map(|entry| {
        AddedToken::from(entry.content, entry.special)
            .single_word(entry.single_word)
            .lstrip(entry.lstrip)
            .rstrip(entry.rstrip)
            .normalized(entry.normalized)
    });
    inner.add_tokens(tokens).map_err(|error| refused(format!("added tokens cannot be used: {error}")))?;
    for (content, id) in wanted {
        let found = inner.token_to_id(&content);
        if found != Some(id) {
            let found = found.map_or("none".to_string(), |found| found.to_string());
            return Err(refused(format!(
                "added token `{content}` has number {id}, but the vocabulary gives it {found}"
            )));
        }
    }
    Ok(())
}

/// The bytes of every token.
fn pieces(inner: &tokenizers::Tokenizer, rule: DecodeRule) -> Result<Pieces, TextError> {
    let mut spellings: Vec<(u32, String)> = inner.get_vocab(false).into_iter().map(|(text, id)| (id, text)).collect();
    let added = inner.get_added_vocabulary().get_added_tokens_decoder();
    spellings.retain(|(id, _)| !added.contains_key(id));
    spellings.extend(added.iter().map(|(&id, token)| (id, token.content.clone())));
    spellings.sort_unstable();
    if let Some((id, text)) = spellings.last().filter(|(id, _)| *id as usize >= MAX_VOCABULARY) {
        return Err(refused(format!("token `{text}` has number {id}; numbers go up to {MAX_VOCABULARY}")));
    }
    let mut pieces = Pieces::new(&rule);
    for (id, text) in spellings {
        match added.get(&id) {
            Some(token) => pieces.push(id, &rule.bytes_of_added(&text), token.special),
            None => pieces.push(id, &rule.bytes_of(&text), false),
        }
    }
    Ok(pieces)
}
