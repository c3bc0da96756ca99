//! The tokenizer that a GGUF file brings along, as the `text` part wants it.

use crate::error::ModelError;
use crate::files::gguf::Gguf;
use crate::files::gguf::metadata::Value;
use crate::text::{EndKeys, GgufVocabulary, SpecialTokens, Tokenizer};

impl Gguf<'_> {
    /// The tokens that end a text: those of the vocabulary; in a file without one, those that keys name.
    pub(crate) fn end_tokens(&self) -> Result<Vec<u32>, ModelError> {
        let token = |name: &str| self.unsigned(&format!("tokenizer.ggml.{name}_token_id"));
        let (eos, turn, message) = (token("eos")?, token("eot")?, token("eom")?);
        let (padding, repository, file) = (token("fim_pad")?, token("fim_rep")?, token("fim_sep")?);
        let mut named: Vec<u32> = Vec::new();
        for token in [eos, turn, message].into_iter().flatten() {
            if !named.contains(&token) {
                named.push(token);
            }
        }
        // What keeps the vocabulary from being read is told when it is used.
        let keys = EndKeys { turn, message, padding, repository, file };
        Ok(self.vocabulary().map_or(named, |vocabulary| vocabulary.end_tokens(keys)))
    }

    /// The keys `tokenizer.ggml.*`.
    ///
    /// # Errors
    /// A key of another type than it should have, or no tokens at all.
    pub fn vocabulary(&self) -> Result<GgufVocabulary, ModelError> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let text = |name| Ok::<_, ModelError>(self.string(&key(name))?.unwrap_or_default().to_owned());
        let token = |name| Ok::<_, ModelError>(self.integer(&key(name))?.and_then(|id| u32::try_from(id).ok()));
        let list = |name| {
            let found = self.strings(&key(name))?.unwrap_or_default();
            Ok::<_, ModelError>(found.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let tokens = list("tokens")?;
        if tokens.is_empty() {
            let why = "the GGUF file has no tokenizer (`tokenizer.ggml.tokens`); convert the model with its tokenizer";
            return Err(ModelError::Config { why: why.to_owned() });
        }
        let kinds = self.integers(&key("token_type"))?.unwrap_or_default();
        let (model, pre) = (text("model")?, text("pre")?);
        // As llama.cpp takes them where no key says otherwise.
        let usual = |token: u32| Some(token).filter(|token| model == "llama" && (*token as usize) < tokens.len());
        let bos_token = token("bos_token_id")?.or(usual(1));
        let begins = GgufVocabulary::begins_by_default(&model, &pre) && bos_token.is_some();
        Ok(GgufVocabulary {
            token_types: kinds.into_iter().map(|kind| i32::try_from(kind).unwrap_or(0)).collect(),
            merges: list("merges")?,
            scores: self
                .array(&key("scores"))?
                .map_or_else(Vec::new, |array| array.values().filter_map(number).collect()),
            bos_token,
            eos_token: token("eos_token_id")?.or(usual(2)),
            add_bos: self.boolean(&key("add_bos_token"))?.unwrap_or(begins),
            pre,
            tokens,
            add_space_prefix: self.boolean(&key("add_space_prefix"))?.unwrap_or(true),
            model,
        })
    }
}

/// Keys of special tokens other than those that begin and end a sequence, and what chat templates call them.
const NAMED_TOKENS: [(&str, &str); 5] = [
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    // The key's own spelling.
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

impl Gguf<'_> {
    /// The special tokens by the names under which chat templates find them.
    ///
    /// # Errors
    /// A key of another type than it should have.
    pub fn special_tokens(&self, tokenizer: &Tokenizer) -> Result<SpecialTokens, ModelError> {
        let mut tokens = SpecialTokens::default().or_ids(tokenizer, None, None);
        for (name, key) in NAMED_TOKENS {
            let id = self.integer(key)?.and_then(|id| u32::try_from(id).ok());
            tokens = tokens.or(name, id.and_then(|id| tokenizer.token_text(id)));
        }
        Ok(tokens)
    }
}

fn number(value: Value<'_>) -> Option<f32> {
    match value {
        Value::Float(number) => Some(number as f32),
        _ => None,
    }
}
