//! A file of prompts: one per line, as a JSON string, as an object with settings of its own, or as a line of OpenAI's
//! batches.
//!
//! **Invariant:** a line that cannot be read refuses the whole file, before anything is computed. A line of OpenAI's that
//! can be read and not followed is answered with the reason, as OpenAI's own service does.

mod fields;
mod openai;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use super::prompt::{Prompt, Settings};
use crate::error::RequestError;
use fields::{Field, fields, keep, value};

/// What a line says of how it is answered; what it does not say is as for the whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Most tokens to write.
    pub tokens: Option<u32>,
    /// Temperature of the draw.
    pub temperature: Option<f32>,
    /// Only the k most probable tokens.
    pub top_k: Option<u32>,
    /// Only the most probable tokens that sum up to this.
    pub top_p: Option<f32>,
    /// Only tokens at least this fraction as probable as the best.
    pub min_p: Option<f32>,
    /// Tokens that were seen become less probable by this factor.
    pub repeat_penalty: Option<f32>,
    /// Seed of the draw.
    pub seed: Option<u64>,
    /// Rounds of every token.
    pub depth: Option<u32>,
    /// The higher, the sooner.
    pub priority: Option<u8>,
    /// Writing ends before the first of these texts.
    pub stop: Option<Box<[String]>>,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// What is to be gone on from.
    pub prompt: Prompt,
    /// It is a conversation, and the answer an assistant's message.
    pub chat: bool,
    /// How it is answered.
    pub settings: Overrides,
    /// The name by which the line calls the model; handed back with the answer.
    pub model: Option<Box<str>>,
}

/// Whose form a line and its answer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string, or an object with `prompt`.
    Own,
    /// An object with `custom_id` and `body`.
    OpenAi,
}

/// A line and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Hash of the line's text, so that answers to other prompts are not taken for answers to these.
    pub hash: u64,
    /// Whose form it has.
    pub form: Form,
    /// The JSON text of its `id` or `custom_id`, to be handed back untouched.
    pub id: Option<Box<str>>,
    /// What it asks for, or why that cannot be followed.
    pub body: Result<Body, String>,
}

/// The lines of the file's text; empty ones are left out, and so is a byte order mark.
///
/// # Errors
/// The first line that is neither a string nor an object of one of the forms.
pub fn parse(text: &str) -> Result<Vec<Line>, RequestError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let said = || (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    // Exactly as many: a line may have three bytes, and what is kept of it dozens of times as much.
    let mut lines = Vec::with_capacity(said().count());
    for (number, text) in said() {
        lines.push(line(number, text)?);
    }
    Ok(lines)
}

fn line(number: usize, text: &str) -> Result<Line, RequestError> {
    let refused = |why: String| RequestError::PromptLine { line: number, why };
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    if text.trim_start().starts_with('"') {
        let text = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        let body = Body { prompt: Prompt::Text(text), chat: false, settings: Overrides::default(), model: None };
        return Ok(Line { number, hash, form: Form::Own, id: None, body: Ok(body) });
    }
    let fields = fields(text).map_err(|error| refused(error.to_string()))?;
    let of = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| (*value).into());
    Ok(if fields.iter().any(|(name, _)| name == "custom_id" || name == "body") {
        Line { number, hash, form: Form::OpenAi, id: of("custom_id"), body: openai::body(&fields) }
    } else {
        let body = own(&fields).map_err(refused)?;
        Line { number, hash, form: Form::Own, id: of("id"), body: Ok(body) }
    })
}

fn own(fields: &[Field]) -> Result<Body, String> {
    let (mut text, mut id, mut settings) = (None, None, Overrides::default());
    for (name, given) in fields {
        match name.as_str() {
            "prompt" => keep(&mut text, name, value::<String>(name, given)?)?,
            "id" => keep(&mut id, name, *given)?,
            _ if settings.take(name, given)? => {}
            _ => {
                let known = Overrides::NAMES.map(|name| format!("`{name}`")).join(", ");
                return Err(format!("unknown field `{}`; there are `prompt`, `id`, {known}", short(name)));
            }
        }
    }
    let text = text.ok_or("it has no `prompt`, nor OpenAI's `custom_id` and `body`")?;
    Ok(Body { prompt: Prompt::Text(text), chat: false, settings, model: None })
}

impl Overrides {
    /// What holds for the line: its own settings, and those of the whole run for the rest.
    pub fn over(&self, run: &Settings) -> Settings {
        Settings {
            max_tokens: self.tokens.unwrap_or(run.max_tokens),
            temperature: self.temperature.unwrap_or(run.temperature),
            top_k: self.top_k.unwrap_or(run.top_k),
            top_p: self.top_p.unwrap_or(run.top_p),
            min_p: self.min_p.unwrap_or(run.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(run.repeat_penalty),
            seed: self.seed.unwrap_or(run.seed),
            depth: self.depth.or(run.depth),
            priority: self.priority.unwrap_or(run.priority),
            stop: self.stop.clone().map_or_else(|| run.stop.clone(), Vec::from),
            ..run.clone()
        }
    }

    /// What a line calls them; the first two are the same.
    const NAMES: [&str; 11] = [
        "tokens",
        "max_tokens",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repeat_penalty",
        "seed",
        "depth",
        "priority",
        "stop",
    ];

    /// Takes over a setting; false where it is none of these.
    fn take(&mut self, name: &str, given: &str) -> Result<bool, String> {
        if !Self::NAMES.contains(&name) {
            return Ok(false);
        }
        // As if it were not there.
        if given == "null" {
            return Ok(true);
        }
        match name {
            "tokens" | "max_tokens" => keep(&mut self.tokens, name, value(name, given)?)?,
            "temperature" => keep(&mut self.temperature, name, value(name, given)?)?,
            "top_k" => keep(&mut self.top_k, name, value(name, given)?)?,
            "top_p" => keep(&mut self.top_p, name, value(name, given)?)?,
            "min_p" => keep(&mut self.min_p, name, value(name, given)?)?,
            "repeat_penalty" => keep(&mut self.repeat_penalty, name, value(name, given)?)?,
            "seed" => keep(&mut self.seed, name, value(name, given)?)?,
            "depth" => keep(&mut self.depth, name, value(name, given)?)?,
            "priority" => keep(&mut self.priority, name, value(name, given)?)?,
            _ => {
                let Texts(texts) = value(name, given)?;
                if texts.iter().any(String::is_empty) {
                    return Err("`stop` holds an empty text; it must have at least one character".into());
                }
                keep(&mut self.stop, name, texts.into())?;
            }
        }
        Ok(true)
    }
}

/// The beginning of a stranger's text, for a message.
fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// One text, or a list of texts.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Texts;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(line: &Line) -> &Body {
        line.body.as_ref().unwrap()
    }

    #[test]
    fn lines_are_strings_or_objects() {
        let lines = parse("\u{feff}\"one\"\n\n{\"prompt\":\"two\",\"id\":7,\"tokens\":3}\r\n").unwrap();
        assert_eq!((lines[0].number, &body(&lines[0]).prompt), (1, &Prompt::Text("one".into())));
        assert_eq!((lines[1].number, body(&lines[1]).settings.tokens, lines[1].id.as_deref()), (3, Some(3), Some("7")));
        for (wrong, why) in [
            ("word", "expected value"),
            ("{}", "it has no `prompt`"),
            ("{\"prompt\":\"a\",\"token\":1}", "unknown field `token`; there are `prompt`, `id`, `tokens`"),
            ("[1]", "it is not an object"),
            ("{\"prompt\":null}", "`prompt`: invalid type: null, expected a string"),
            ("{\"prompt\":\"a\",\"tokens\":1.5}", "`tokens`: invalid type: floating point `1.5`, expected u32"),
            ("{\"prompt\":\"a\",\"tokens\":1,\"max_tokens\":2}", "`max_tokens` is said twice"),
            ("{\"prompt\":\"a\",\"id\":1,\"id\":2}", "`id` is said twice"),
            ("{\"prompt\":\"a\",\"stop\":[\"\"]}", "`stop` holds an empty text"),
            ("{\"prompt\":\"a\",\"stop\":3}", "expected a text or a list of texts"),
        ] {
            let error = parse(&format!("\"a\"\n{wrong}")).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn settings_have_the_names_that_people_type() {
        let text = r#"{"prompt":"a","max_tokens":3,"stop":"b","top_p":0.5,"top_k":4,"min_p":0.1,"repeat_penalty":1.1,
            "temperature":1,"seed":18446744073709551615,"depth":2,"priority":1}"#
            .replace('\n', "");
        let want = Overrides {
            tokens: Some(3),
            temperature: Some(1.0),
            top_k: Some(4),
            top_p: Some(0.5),
            min_p: Some(0.1),
            repeat_penalty: Some(1.1),
            seed: Some(u64::MAX),
            depth: Some(2),
            priority: Some(1),
            stop: Some(["b".into()].into()),
        };
        assert_eq!(body(&parse(&text).unwrap()[0]).settings, want);
        let run = Settings { ignore_end: true, top_k: 9, ..Settings::default() };
        assert_eq!(
            Overrides { top_k: None, ..want.clone() }.over(&run).top_k,
            9,
            "what it does not say is as for the run"
        );
        let held = want.over(&run);
        assert_eq!(
            (held.max_tokens, held.seed, held.ignore_end, &*held.stop),
            (3, u64::MAX, true, &["b".to_owned()][..])
        );
        let nothing = r#"{"prompt":"a","tokens":null,"stop":null}"#;
        assert_eq!(body(&parse(nothing).unwrap()[0]).settings, Overrides::default());
    }
}
