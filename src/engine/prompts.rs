//! A file of prompts: one per line, as a JSON string or as an object with settings of its own.
//!
//! **Invariant:** a line that cannot be read refuses the whole file, before anything is computed.

use serde::Deserialize;
use serde_json::Value;

use crate::error::RequestError;

/// One line of the prompts: an object, or the prompt alone. What is not said here is as for the whole run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// The text to go on from.
    pub prompt: String,
    /// Handed back with the answer, untouched.
    #[serde(default)]
    pub id: Value,
    /// Most tokens to write.
    pub tokens: Option<u32>,
    /// Temperature of the draw.
    pub temperature: Option<f32>,
    /// Seed of the draw.
    pub seed: Option<u64>,
    /// Rounds of every token.
    pub depth: Option<u32>,
    /// The higher, the sooner.
    pub priority: Option<u8>,
    /// Writing ends before the first of these texts.
    pub stop: Option<Vec<String>>,
}

/// A prompt and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Hash of the line's text, so that answers to other prompts are not taken for answers to these.
    pub hash: String,
    /// What the line asks for.
    pub prompt: Prompt,
}

/// The lines of the file's text; empty ones are left out.
///
/// # Errors
/// The first line that is neither a string nor such an object.
pub fn parse(text: &str) -> Result<Vec<Line>, RequestError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, text)| line(number, text)).collect()
}

fn line(number: usize, text: &str) -> Result<Line, RequestError> {
    let prompt = if text.trim_start().starts_with('"') {
        serde_json::from_str(text).map(|prompt| Prompt { prompt, ..Prompt::default() })
    } else {
        serde_json::from_str(text)
    };
    let prompt = prompt.map_err(|error| RequestError::PromptLine { line: number, why: error.to_string() })?;
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    Ok(Line { number, hash: format!("{hash:016x}"), prompt })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_strings_or_objects() {
        let lines = parse("\"one\"\n\n{\"prompt\":\"two\",\"id\":7,\"tokens\":3}\n").unwrap();
        assert_eq!((lines[0].number, lines[0].prompt.prompt.as_str()), (1, "one"));
        assert_eq!((lines[1].number, lines[1].prompt.tokens, &lines[1].prompt.id), (3, Some(3), &json!(7)));
        for wrong in ["word", "{}", "{\"prompt\":\"a\",\"token\":1}", "[1]"] {
            let error = parse(&format!("\"a\"\n{wrong}")).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{wrong}: {error}");
        }
    }
}
