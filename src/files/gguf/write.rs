//! Writes GGUF files, version 3, of plain Llama models, as llama.cpp reads them.
//!
//! **Invariant:** only what llama.cpp computes in the same way is written: a model with recursion, a router, shared
//! keys and values or adapters is refused.

use crate::error::{ModelError, refuse};
use crate::files::gguf::names::{Permuted, ggml_name, permuted, type_number};
use crate::files::write::{Entry, Export, ExportType, wanted};
use crate::network::config::{KvMode, ModelConfig};
use crate::network::form::Form;
use crate::network::generation::Suggestion;
use crate::network::names::EMBEDDING;
use crate::tensor::{DataType, TensorSource};
use crate::text::{EndKeys, GgufVocabulary};

/// Offsets of tensors are multiples of this, GGUF's default.
const ALIGNMENT: usize = 32;

/// What goes into the file beside config and tensors.
#[derive(Debug, Clone, Copy)]
pub struct GgufText<'a> {
    /// The tokenizer.
    pub vocabulary: &'a GgufVocabulary,
    /// The chat template, where there is one.
    pub template: Option<&'a str>,
    /// Name of the model.
    pub name: &'a str,
}

/// The GGUF file of a model. Vectors are f32, as llama.cpp wants them.
pub fn gguf<'a>(
    config: &ModelConfig,
    source: &'a dyn TensorSource,
    text: GgufText<'_>,
    export: ExportType,
) -> Result<Export<'a>, ModelError> {
    gguf_suggesting(config, source, text, &Suggestion::default(), export)
}

/// The same with what the model's author says of drawing tokens.
///
/// # Errors
/// As [`gguf`].
pub fn gguf_suggesting<'a>(
    config: &ModelConfig,
    source: &'a dyn TensorSource,
    text: GgufText<'_>,
    suggestion: &Suggestion,
    export: ExportType,
) -> Result<Export<'a>, ModelError> {
    check(config, text.vocabulary)?;
    let mut entries = Vec::new();
    let names = wanted(config, source)?;
    let types = export.types(source, &names)?;
    for name in &names {
        let mut entry = Entry::of(source, name, |found, shape| match shape.len() {
            1 => DataType::F32,
            _ => types.of(name, found, shape),
        })?;
        entry.padding = entry.bytes.next_multiple_of(ALIGNMENT) - entry.bytes;
        entry.permuted = permuted(&entry.name).map(|which| match which {
            Permuted::Queries => config.n_heads as usize,
            Permuted::Keys => config.n_kv_heads as usize,
        });
        entries.push(entry);
    }
    entries.sort_by_key(|entry| order(&entry.name));
    let mut writer = Writer::default();
    write_pairs(&mut writer, config, text, file_type(export, &entries))?;
    write_suggestion(&mut writer, suggestion);
    let head = finish(writer, &entries)?;
    Ok(Export { source, head, entries })
}

fn check(config: &ModelConfig, vocabulary: &GgufVocabulary) -> Result<(), ModelError> {
    let parts = [
        ("that shares layers between recursions", config.recursion.is_some()),
        ("that has a router", config.has_gates()),
        ("that shares keys and values between layers", config.kv != KvMode::Own),
        ("that has adapters", config.lora.is_some()),
    ];
    let part = parts.iter().find(|(_, is)| *is).map(|(what, _)| (*what).to_owned());
    let form = || Form::of(config).differences().first().map(|difference| format!("that differs in its {difference}"));
    if let Some(what) = part.or_else(form) {
        return Err(ModelError::Unsupported {
            what: format!("a GGUF file of a model {what}"),
            supported: "GGUF for plain Llama models; write a folder instead, or unroll a model without router first"
                .into(),
        });
    }
    let (tokens, rows) = (vocabulary.tokens.len(), config.vocab_size as usize);
    if tokens != rows {
        return Err(refuse(format!(
            "the tokenizer has {tokens} tokens and `vocab_size` is {rows}; llama.cpp wants as many of one as of the other"
        )));
    }
    Ok(())
}

/// Embedding first, then layer by layer, the head last.
fn order(name: &str) -> (u32, String) {
    let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    let rank = match (name, layer) {
        (EMBEDDING, _) => 0,
        (_, Some(layer)) => layer + 1,
        _ => u32::MAX,
    };
    (rank, name.to_owned())
}

/// llama.cpp's number for the mixture, or for the type that most matrices have, and whether blocks are in the file.
fn file_type(export: ExportType, entries: &[Entry]) -> (u32, bool) {
    match export {
        ExportType::Mixture(mixture) => (mixture.file_type(), true),
        _ => (most(entries), entries.iter().any(|entry| entry.data_type.block().0 > 1)),
    }
}

fn most(entries: &[Entry]) -> u32 {
    let bytes = |wanted: DataType| {
        let matrices = entries.iter().filter(|entry| entry.data_type == wanted && entry.shape.len() > 1);
        matrices.map(|entry| entry.bytes).sum::<usize>()
    };
    let most = DataType::ALL.into_iter().max_by_key(|data_type| bytes(*data_type));
    match most.unwrap_or(DataType::F32) {
        DataType::F32 => 0,
        DataType::F16 => 1,
        DataType::Q4_0 => 2,
        DataType::Q4_1 => 3,
        DataType::Q8_0 => 7,
        DataType::Q5_0 => 8,
        DataType::Q5_1 => 9,
        DataType::Q2K => 10,
        DataType::Q3K => 12,
        DataType::Q4K => 15,
        DataType::Q5K => 17,
        DataType::Q6K => 18,
        DataType::Iq4Nl => 25,
        DataType::Iq4Xs => 30,
        DataType::Bf16 => 32,
    }
}

fn write_pairs(
    writer: &mut Writer,
    config: &ModelConfig,
    text: GgufText<'_>,
    (file_type, blocks): (u32, bool),
) -> Result<(), ModelError> {
    writer.string("general.architecture", "llama");
    writer.string("general.name", text.name);
    writer.u32("general.file_type", file_type);
    if blocks {
        writer.u32("general.quantization_version", 2);
    }
    let head_dim = config.head_dim;
    for (key, value) in [
        ("block_count", config.n_layers),
        ("context_length", config.context_length),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.n_heads),
        ("attention.head_count_kv", config.n_kv_heads),
        ("attention.key_length", head_dim),
        ("attention.value_length", head_dim),
        ("rope.dimension_count", head_dim),
        ("vocab_size", config.vocab_size),
    ] {
        writer.u32(&format!("llama.{key}"), value);
    }
    writer.f32("llama.attention.layer_norm_rms_epsilon", config.rms_norm_eps);
    writer.f32("llama.rope.freq_base", config.rope_theta);
    write_vocabulary(writer, text.vocabulary);
    let [eos, eot, eom] = ends(config, text.vocabulary)?;
    let bos = config.bos_token.or(text.vocabulary.bos_token);
    for (key, token) in [("bos", bos), ("eos", eos), ("eot", eot), ("eom", eom)] {
        if let Some(token) = token {
            writer.u32(&format!("tokenizer.ggml.{key}_token_id"), token);
        }
    }
    if let Some(template) = text.template {
        writer.string("tokenizer.chat_template", template);
    }
    Ok(())
}

fn write_suggestion(writer: &mut Writer, suggestion: &Suggestion) {
    let Suggestion { temperature, top_k, top_p, min_p, repeat_penalty } = *suggestion;
    for (name, number) in
        [("temp", temperature), ("top_p", top_p), ("min_p", min_p), ("penalty_repeat", repeat_penalty)]
    {
        if let Some(number) = number {
            writer.f32(&format!("general.sampling.{name}"), number);
        }
    }
    if let Some(k) = top_k {
        writer.key("general.sampling.top_k", I32).extend((k.min(i32::MAX as u32)).to_le_bytes());
    }
}

/// What stands under the three keys of ends. Tokens that are spelled like an end are found without a key, so others come
/// first.
fn ends(config: &ModelConfig, vocabulary: &GgufVocabulary) -> Result<[Option<u32>; 3], ModelError> {
    let spelled = GgufVocabulary { eos_token: None, ..vocabulary.clone() }.end_tokens(EndKeys::default());
    let eos = config.end_tokens.first().copied().or(vocabulary.eos_token);
    let (known, unknown): (Vec<u32>, Vec<u32>) =
        config.end_tokens.iter().skip(1).partition(|token| spelled.contains(token));
    if unknown.len() > 2 {
        return Err(refuse(format!(
            "{} tokens end a text ({:?}); a GGUF file has keys for three, and those of others are not spelled like an end",
            config.end_tokens.len(),
            config.end_tokens
        )));
    }
    let mut others = unknown.into_iter().chain(known);
    Ok([eos, others.next(), others.next().filter(|token| !spelled.contains(token))])
}

fn write_vocabulary(writer: &mut Writer, vocabulary: &GgufVocabulary) {
    writer.string("tokenizer.ggml.model", &vocabulary.model);
    if !vocabulary.pre.is_empty() {
        writer.string("tokenizer.ggml.pre", &vocabulary.pre);
    }
    writer.strings("tokenizer.ggml.tokens", &vocabulary.tokens);
    if !vocabulary.scores.is_empty() {
        writer.array("tokenizer.ggml.scores", F32, vocabulary.scores.iter().map(|score| score.to_le_bytes()));
    }
    if !vocabulary.token_types.is_empty() {
        writer.array("tokenizer.ggml.token_type", I32, vocabulary.token_types.iter().map(|kind| kind.to_le_bytes()));
    }
    if !vocabulary.merges.is_empty() {
        writer.strings("tokenizer.ggml.merges", &vocabulary.merges);
    }
    writer.boolean("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
    if let Some(unknown) = vocabulary.unknown_token() {
        writer.u32("tokenizer.ggml.unknown_token_id", unknown);
    }
    if vocabulary.model == "llama" {
        writer.boolean("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
    }
}

/// Magic, counts, pairs, descriptions of tensors, and zeros up to the first of them.
fn finish(writer: Writer, entries: &[Entry]) -> Result<Vec<u8>, ModelError> {
    let mut head = b"GGUF".to_vec();
    head.extend(3u32.to_le_bytes());
    head.extend((entries.len() as u64).to_le_bytes());
    head.extend(writer.count.to_le_bytes());
    head.extend(writer.bytes);
    let mut offset = 0u64;
    for entry in entries {
        let name = ggml_name(&entry.name)
            .ok_or_else(|| refuse(format!("tensor `{}` has no name in a GGUF file", entry.name)))?;
        push_string(&mut head, &name);
        head.extend((entry.shape.len() as u32).to_le_bytes());
        // Innermost first.
        entry.shape.iter().rev().for_each(|size| head.extend((*size as u64).to_le_bytes()));
        head.extend(type_number(entry.data_type).to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += (entry.bytes + entry.padding) as u64;
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    Ok(head)
}

// GGUF's numbers of the types that are written here.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The metadata pairs.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    count: u64,
}

fn push_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl Writer {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.count += 1;
        push_string(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
        &mut self.bytes
    }

    fn u32(&mut self, key: &str, value: u32) {
        self.key(key, U32).extend(value.to_le_bytes());
    }

    fn f32(&mut self, key: &str, value: f32) {
        self.key(key, F32).extend(value.to_le_bytes());
    }

    fn boolean(&mut self, key: &str, value: bool) {
        self.key(key, BOOL).push(u8::from(value));
    }

    fn string(&mut self, key: &str, value: &str) {
        push_string(self.key(key, STRING), value);
    }

    fn array(&mut self, key: &str, kind: u32, values: impl ExactSizeIterator<Item = [u8; 4]>) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        values.for_each(|value| bytes.extend(value));
    }

    fn strings(&mut self, key: &str, values: &[String]) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(STRING.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| push_string(bytes, value));
    }
}
