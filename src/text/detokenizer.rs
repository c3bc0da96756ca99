//! The bytes that each token stands for, worked out once from the `decoder` part of a `tokenizer.json`.
//!
//! **Invariant:** a token's bytes do not depend on its neighbours; only a first space may be taken away afterwards.

use serde_json::Value;

use super::tokenizer::refused;
use crate::error::TextError;

/// How the vocabulary's spelling of a token becomes bytes.
#[derive(Debug, PartialEq)]
pub(super) struct DecodeRule {
    spelling: Spelling,
    strips_first_space: bool,
}

#[derive(Debug, PartialEq)]
enum Spelling {
    /// Each byte is spelled as one printable character (GPT-2).
    ByteLevel,
    /// Pieces of text, some with replacements (`▁` for a space), and `<0x0A>` for single bytes.
    Pieces { replacements: Vec<(String, String)>, byte_fallback: bool },
}

impl DecodeRule {
    /// Reads the rule; a decoder whose tokens depend on their neighbours is refused.
    pub fn from_json(decoder: &Value) -> Result<Self, TextError> {
        let mut rule = Self {
            spelling: Spelling::Pieces { replacements: Vec::new(), byte_fallback: false },
            strips_first_space: false,
        };
        match decoder.get("decoders").and_then(Value::as_array) {
            Some(steps) => steps.iter().try_for_each(|step| rule.add_step(step))?,
            None => rule.add_step(decoder)?,
        }
        Ok(rule)
    }

    fn add_step(&mut self, step: &Value) -> Result<(), TextError> {
        let text = |name: &str| step.get(name).and_then(Value::as_str);
        let kind = text("type").unwrap_or("none");
        match (kind, &mut self.spelling) {
            ("ByteLevel", spelling) => *spelling = Spelling::ByteLevel,
            ("Fuse", _) => {}
            ("ByteFallback", Spelling::Pieces { byte_fallback, .. }) => *byte_fallback = true,
            ("Replace", Spelling::Pieces { replacements, .. }) => {
                let pattern = step.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
                match (pattern, text("content")) {
                    (Some(from), Some(to)) if !from.is_empty() => replacements.push((from.to_string(), to.to_string())),
                    _ => return Err(refused("decoder Replace is supported only from one fixed text to another")),
                }
            }
            ("Metaspace", Spelling::Pieces { replacements, .. }) => {
                replacements.push((text("replacement").unwrap_or("▁").to_string(), " ".to_string()));
                let prefix = step.get("add_prefix_space").and_then(Value::as_bool) != Some(false);
                self.strips_first_space = prefix && text("prepend_scheme") != Some("never");
            }
            ("Strip", _) => {
                let number = |name: &str| step.get(name).and_then(Value::as_u64).unwrap_or(0);
                if text("content") != Some(" ") || number("start") > 1 || number("stop") > 0 {
                    return Err(refused("decoder Strip is supported only for one space at the start"));
                }
                self.strips_first_space = number("start") == 1;
            }
            _ => {
                return Err(refused(format!(
                    "decoder `{kind}` is not supported; supported: ByteLevel, Metaspace, or \
                     a Sequence of Replace, ByteFallback, Fuse and Strip"
                )));
            }
        }
        Ok(())
    }

    /// Bytes of one token of the vocabulary.
    pub fn bytes_of(&self, spelling: &str) -> Vec<u8> {
        match &self.spelling {
            Spelling::ByteLevel => spelling
                .chars()
                .map(byte_of_character)
                .collect::<Option<Vec<u8>>>()
                .unwrap_or_else(|| spelling.as_bytes().to_vec()),
            Spelling::Pieces { replacements, byte_fallback } => {
                if let Some(byte) = byte_of_fallback(spelling).filter(|_| *byte_fallback) {
                    return vec![byte];
                }
                let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
                replacements.iter().fold(spelling.to_string(), replace).into_bytes()
            }
        }
    }

    /// Bytes of a token that was added to the vocabulary: plain text, but for spaces that are spelled as another character.
    pub fn bytes_of_added(&self, text: &str) -> Vec<u8> {
        match self.spelling {
            Spelling::ByteLevel => text.as_bytes().to_vec(),
            Spelling::Pieces { .. } => self.bytes_of(text),
        }
    }
}

/// `<0x0A>` is the byte 10.
fn byte_of_fallback(spelling: &str) -> Option<u8> {
    let digits = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
}

/// GPT-2's spelling of bytes: printable characters stand for themselves, the 68 others follow from `U+0100`.
fn byte_of_character(character: char) -> Option<u8> {
    match character as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The bytes of all tokens, one behind the other.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    /// Where each token's bytes begin; one entry more than tokens.
    starts: Vec<usize>,
    special: Vec<bool>,
    strips_first_space: bool,
}

impl Pieces {
    /// An empty table.
    pub fn new(rule: &DecodeRule) -> Self {
        Self { bytes: Vec::new(), starts: vec![0], special: Vec::new(), strips_first_space: rule.strips_first_space }
    }

    /// Adds a token; numbers must rise, those left out stand for nothing.
    pub fn push(&mut self, id: u32, bytes: &[u8], special: bool) {
        let id = id as usize;
        self.starts.resize(id + 1, self.bytes.len());
        self.special.resize(id, false);
        self.bytes.extend_from_slice(bytes);
        self.starts.push(self.bytes.len());
        self.special.push(special);
    }

    /// Largest token plus one.
    pub fn len(&self) -> usize {
        self.special.len()
    }

    /// Bytes of a token; none outside the vocabulary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        if id < self.len() { &self.bytes[self.starts[id]..self.starts[id + 1]] } else { &[] }
    }

    /// Whether the token is a special one.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// Whether one space at the very start is taken away.
    pub fn strips_first_space(&self) -> bool {
        self.strips_first_space
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn byte_characters_cover_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of_character).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of_character('Ġ'), Some(b' '));
        assert_eq!(byte_of_character('Ċ'), Some(b'\n'));
    }

    #[test]
    fn rules_of_known_families() {
        let byte_level = DecodeRule::from_json(&json!({"type": "ByteLevel"})).unwrap();
        assert_eq!(byte_level.bytes_of("Ġcaf"), b" caf");
        let llama = DecodeRule::from_json(&json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]}))
        .unwrap();
        assert!(llama.strips_first_space);
        assert_eq!(llama.bytes_of("▁the"), b" the");
        assert_eq!(llama.bytes_of("<0xE6>"), [0xe6]);
        assert_eq!(llama.bytes_of("<0x+6>"), b"<0x+6>");
        let refusal = DecodeRule::from_json(&json!({"type": "WordPiece"})).unwrap_err().to_string();
        assert!(refusal.contains("WordPiece") && refusal.contains("ByteLevel"), "{refusal}");
        assert!(DecodeRule::from_json(&Value::Null).is_err());
    }

    #[test]
    fn numbers_left_out_stand_for_nothing() {
        let rule = DecodeRule::from_json(&json!({"type": "ByteLevel"})).unwrap();
        let mut pieces = Pieces::new(&rule);
        pieces.push(1, b"one", false);
        pieces.push(4, b"four", true);
        assert_eq!(pieces.len(), 5);
        let texts: Vec<&[u8]> = (0..6).map(|id| pieces.bytes(id)).collect();
        assert_eq!(texts, [&b""[..], b"one", b"", b"", b"four", b""]);
        assert!(pieces.is_special(4) && !pieces.is_special(1) && !pieces.is_special(9));
    }
}
