//! Lines of OpenAI's batches: `custom_id`, `method`, `url`, and as `body` what would be posted there.
//!
//! **Invariant:** a field that would change the answer and cannot be followed is refused, never passed over.

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};

use super::fields::{Field, fields, keep, value};
use super::{Body, Overrides, Prompt, short};
use crate::text::Message;

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

/// Fields that may be there as long as they ask for nothing.
const ASKS_NOTHING: [(&str, &[&str]); 17] = [
    ("n", &["1"]),
    ("best_of", &["1"]),
    ("stream", &["false"]),
    ("echo", &["false"]),
    ("suffix", &["\"\""]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("frequency_penalty", &["0"]),
    ("presence_penalty", &["0"]),
    ("logit_bias", &["{}"]),
    ("tools", &["[]"]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("functions", &["[]"]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("response_format", &["{\"type\":\"text\"}"]),
    ("modalities", &["[\"text\"]"]),
    ("stream_options", &["{}"]),
];

/// Fields that say nothing of the answer.
const OF_THE_SERVICE: [&str; 8] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// What the line asks for, or why it cannot be followed.
pub(super) fn body(line: &[Field]) -> Result<Body, String> {
    let (mut url, mut body, mut custom_id) = (None, None, None);
    for (name, given) in line {
        match name.as_str() {
            "custom_id" => keep(&mut custom_id, name, *given)?,
            "method" if matches!(*given, "\"POST\"" | "null") => {}
            "method" => return Err(format!("`method` is {}; it must be \"POST\"", short(given))),
            "url" => keep(&mut url, name, value::<String>(name, given)?)?,
            "body" => keep(&mut body, name, *given)?,
            _ => return Err(format!("unknown field `{}` beside `body`", short(name))),
        }
    }
    let chat = match url.as_deref() {
        Some(CHAT) => Some(true),
        Some(COMPLETIONS) => Some(false),
        None => None,
        Some(other) => {
            return Err(format!("`url` is {:?}; it must be {CHAT} or {COMPLETIONS}", short(other)));
        }
    };
    let body = fields(body.ok_or("it has no `body`")?).map_err(|error| format!("`body`: {error}"))?;
    let chat = chat.unwrap_or_else(|| body.iter().any(|(name, _)| name == "messages"));
    read(&body, chat)
}

fn read(body: &[Field], chat: bool) -> Result<Body, String> {
    let (mut prompt, mut model, mut settings) = (None, None, Overrides::default());
    for (name, given) in body.iter().filter(|(_, given)| *given != "null") {
        match name.as_str() {
            "messages" if chat => keep(&mut prompt, name, Prompt::Chat(messages(given)?))?,
            "prompt" if !chat => keep(&mut prompt, name, text(given)?)?,
            "model" => keep(&mut model, name, value::<String>(name, given)?.into_boxed_str())?,
            // OpenAI's seeds have a sign.
            "seed" if given.starts_with('-') => {
                keep(&mut settings.seed, name, value::<i64>(name, given)?.cast_unsigned())?;
            }
            "max_completion_tokens" => drop(settings.take("max_tokens", given)?),
            "repetition_penalty" => drop(settings.take("repeat_penalty", given)?),
            "tokens" => return Err("unknown field `tokens` in `body`; say `max_tokens`".into()),
            name if OF_THE_SERVICE.contains(&name) => {}
            name if settings.take(name, given)? => {}
            name => asks_nothing(name, given)?,
        }
    }
    let missing = if chat { "`body` has no `messages`" } else { "`body` has no `prompt`" };
    Ok(Body { prompt: prompt.ok_or(missing)?, chat, settings, model })
}

fn asks_nothing(name: &str, given: &str) -> Result<(), String> {
    let Some((_, harmless)) = ASKS_NOTHING.iter().find(|(known, _)| *known == name) else {
        return Err(format!("`{}` cannot be followed here; leave it out", short(name)));
    };
    let plain: String = given.chars().filter(|letter| !letter.is_whitespace()).collect();
    let number = |text: &str| text.parse::<f64>().ok();
    if harmless.iter().any(|value| plain == *value || (number(value).is_some() && number(value) == number(&plain))) {
        return Ok(());
    }
    Err(format!("`{name}` is {}, which cannot be followed here; leave it out", short(given)))
}

/// What a completion goes on from.
fn text(given: &str) -> Result<Prompt, String> {
    if !given.starts_with('[') {
        return Ok(Prompt::Text(value("prompt", given)?));
    }
    if let Ok(tokens) = serde_json::from_str(given) {
        return Ok(Prompt::Tokens(tokens));
    }
    let texts: Vec<String> = value("prompt", given)?;
    match <[String; 1]>::try_from(texts) {
        Ok([text]) => Ok(Prompt::Text(text)),
        Err(texts) => Err(format!(
            "`prompt` is a list of {} texts; one answer is written for a line, give each its own",
            texts.len()
        )),
    }
}

/// One message, as it is posted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: String,
    content: Option<Content>,
    name: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
    tool_call_id: Option<IgnoredAny>,
    refusal: Option<IgnoredAny>,
    audio: Option<IgnoredAny>,
    /// Where an earlier answer has its sources from; no template reads them.
    #[serde(rename = "annotations")]
    _annotations: Option<IgnoredAny>,
}

fn messages(given: &str) -> Result<Vec<Message>, String> {
    let said: Vec<Said> = value("messages", given)?;
    if said.is_empty() {
        return Err("`messages` is empty; give at least one".into());
    }
    (1..).zip(said).map(|(number, said)| message(said).map_err(|why| format!("message {number}: {why}"))).collect()
}

fn message(said: Said) -> Result<Message, String> {
    for (name, there) in [
        ("name", said.name.is_some()),
        ("tool_calls", said.tool_calls.is_some()),
        ("function_call", said.function_call.is_some()),
        ("tool_call_id", said.tool_call_id.is_some()),
        ("refusal", said.refusal.is_some()),
        ("audio", said.audio.is_some()),
    ] {
        if there {
            return Err(format!("`{name}` cannot be followed here; leave it out"));
        }
    }
    let Content(content) = said.content.ok_or("it has no `content`")?;
    match said.role.as_str() {
        // What newer models of OpenAI call it; templates do not know it.
        "developer" => Ok(Message::new("system", content)),
        role @ ("system" | "user" | "assistant") => Ok(Message::new(role, content)),
        role => Err(format!("`role` is {:?}; it must be system, developer, user or assistant", short(role))),
    }
}

/// What is said: a text, or parts that are texts.
struct Content(String);

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("a text or a list of parts that are texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut content = String::new();
                while let Some(part) = parts.next_element::<Part>()? {
                    match (part.r#type.as_str(), part.text) {
                        ("text", Some(text)) => content.push_str(&text),
                        (kind, _) => {
                            return Err(A::Error::custom(format!("a part of type {:?} is no text", short(kind))));
                        }
                    }
                }
                Ok(Content(content))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Form, parse};
    use super::*;

    fn line(url: &str, body: &str) -> Result<Body, String> {
        let text = format!(r#"{{"custom_id":"a","method":"POST","url":"/v1/{url}","body":{body}}}"#);
        let line = parse(&text).unwrap().remove(0);
        assert_eq!((line.form, line.id.as_deref()), (Form::OpenAi, Some("\"a\"")));
        line.body
    }

    #[test]
    fn bodies_become_prompts() {
        let body = r#"{"model":"m","messages":[{"role":"developer","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
            "max_completion_tokens":5,"max_tokens":5,"temperature":0.5,"top_p":0.9,"seed":-1,"stop":"x","n":1,
            "frequency_penalty":0.0,"presence_penalty":null,"user":"u","response_format":{ "type": "text" },"tools":[]}"#
            .replace('\n', "");
        let found = line("chat/completions", &body).unwrap();
        let said = vec![Message::new("system", "Be brief."), Message::new("user", "ab")];
        assert_eq!((found.prompt, found.model), (Prompt::Chat(said), Some("m".into())));
        let want = Overrides {
            tokens: Some(5),
            temperature: Some(0.5),
            top_p: Some(0.9),
            seed: Some(u64::MAX),
            stop: Some(["x".into()].into()),
            ..Overrides::default()
        };
        assert_eq!(found.settings, want);
        let prompt = |body: &str| line("completions", body).unwrap().prompt;
        assert_eq!(prompt(r#"{"prompt":"a"}"#), Prompt::Text("a".into()));
        assert_eq!(prompt(r#"{"prompt":["a"]}"#), Prompt::Text("a".into()));
        assert_eq!(prompt(r#"{"prompt":[1,2]}"#), Prompt::Tokens(vec![1, 2]));
    }

    #[test]
    fn what_cannot_be_followed_is_said_for_the_line_alone() {
        let user = r#""messages":[{"role":"user","content":"a"}]"#;
        let check = |url: &str, body: &str, want: &str| {
            let why = line(url, body).unwrap_err();
            assert!(why.contains(want), "{body}: {why}");
        };
        for (field, want) in [
            (r#""n":3"#, "`n` is 3, which cannot be followed here"),
            (r#""tools":[{"type":"function"}]"#, "`tools` is [{"),
            (r#""response_format":{"type":"json_object"}"#, "`response_format` is"),
            (r#""logprobs":true"#, "`logprobs` is true"),
            (r#""frequency_penalty":0.1"#, "`frequency_penalty` is 0.1"),
            (r#""stream":true"#, "`stream` is true"),
            (r#""reasoning_effort":"low""#, "`reasoning_effort` cannot be followed"),
            (r#""max_tokens":"5""#, "`max_tokens`: invalid type"),
            (r#""max_tokens":5,"max_completion_tokens":6"#, "said twice"),
            (r#""prompt":"a""#, "`prompt` cannot be followed"),
        ] {
            check("chat/completions", &format!("{{{user},{field}}}"), want);
        }
        check("embeddings", "{}", "`url` is \"/v1/embeddings\"");
        check("chat/completions", "{}", "no `messages`");
        check("chat/completions", "[]", "`body`: it is not an object");
        check("chat/completions", r#"{"messages":[]}"#, "`messages` is empty");
        check("completions", r#"{"prompt":["a","b"]}"#, "a list of 2 texts");
        for (message, want) in [
            (r#"{"role":"user"}"#, "message 1: it has no `content`"),
            (r#"{"role":"tool","content":"a"}"#, "`role` is \"tool\""),
            (r#"{"role":"user","content":"a","name":"b"}"#, "`name` cannot be followed"),
            (r#"{"role":"user","content":[{"type":"image_url"}]}"#, "a part of type \"image_url\" is no text"),
            (r#"{"role":"user","content":"a","x":1}"#, "unknown field `x`"),
        ] {
            check("chat/completions", &format!("{{\"messages\":[{message}]}}"), want);
        }
        let get = parse(r#"{"custom_id":1,"method":"GET","url":"/v1/completions","body":{"prompt":"a"}}"#).unwrap();
        assert!(get[0].body.as_ref().unwrap_err().contains("it must be \"POST\""));
        assert!(parse(r#"{"custom_id":1}"#).unwrap()[0].body.as_ref().unwrap_err().contains("no `body`"));
    }
}
