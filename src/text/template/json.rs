//! JSON in chat templates, as Python's `json.dumps` writes it; Jinja's own filter would escape it for HTML.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::globals::Range;
use super::options::{Given, Options};
use super::python::{self, Text, is_mapping, is_sequence, wrong};

/// How it is written.
struct Format {
    ensure_ascii: bool,
    sort_keys: bool,
    /// What stands for one level, where each item has a line of its own.
    indent: Option<String>,
    between_items: String,
    behind_key: String,
}

/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn tojson(state: &State, value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let ensure_ascii = options.is_set("ensure_ascii")?;
    let indent = options.value("indent")?.filter(|indent| !indent.is_none());
    let separators = options.value("separators")?.filter(|separators| !separators.is_none());
    let sort_keys = options.is_set("sort_keys")?;
    options.end()?;
    let indent = indent.as_ref().map(indentation).transpose()?;
    let comma = if indent.is_some() { "," } else { ", " };
    let default = || Ok((comma.to_owned(), ": ".to_owned()));
    let (between_items, behind_key) = separators.as_ref().map_or_else(default, pair)?;
    let format = Format { ensure_ascii, sort_keys, indent, between_items, behind_key };
    let mut text = Text::new(state);
    push(&mut text, value, &format)?;
    Ok(Value::from(text.out))
}

/// One level: that many blanks, or that text.
fn indentation(indent: &Value) -> Result<String, Error> {
    /// More than anybody reads, and little memory.
    const MOST: i64 = 1024;
    match (indent.as_str(), i64::try_from(indent.clone())) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Ok(width)) if width <= MOST => Ok(" ".repeat(width.max(0) as usize)),
        (None, Ok(_)) => Err(wrong(format!("tojson: an indent is at most {MOST} blanks"))),
        (None, Err(_)) => Err(wrong(format!("tojson: an indent is a number or a text, not {}", indent.kind()))),
    }
}

fn pair(separators: &Value) -> Result<(String, String), Error> {
    let parts: Vec<Value> = separators.try_iter()?.collect();
    match parts.iter().map(Value::as_str).collect::<Vec<_>>()[..] {
        [Some(items), Some(key)] => Ok((items.to_owned(), key.to_owned())),
        _ => Err(wrong("tojson: separators are two texts")),
    }
}

fn push(text: &mut Text, value: &Value, format: &Format) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => text.push("null"),
        ValueKind::Bool => text.push(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => text.push(&number(value)),
        ValueKind::String => push_quoted(text, value.as_str().unwrap_or_default(), format),
        _ if is_sequence(value) && value.downcast_object_ref::<Range>().is_none() => {
            push_container(text, value, format)
        }
        ValueKind::Map if is_mapping(value) => push_container(text, value, format),
        kind => Err(wrong(format!("tojson: a value of type {kind} has no form as JSON"))),
    }
}

fn number(value: &Value) -> String {
    match python::as_float(value) {
        Some(float) if float.is_nan() => "NaN".into(),
        Some(float) if float.is_infinite() => if float > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        _ => python::number(value),
    }
}

fn push_container(text: &mut Text, value: &Value, format: &Format) -> Result<(), Error> {
    let is_map = value.kind() == ValueKind::Map;
    let (open, close) = if is_map { ("{", "}") } else { ("[", "]") };
    let level = text.enter()?;
    text.push(open)?;
    let mut items: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
    if is_map && format.sort_keys {
        items.sort();
    }
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(&format.between_items)?;
        }
        new_line(text, level, format)?;
        if is_map {
            push_quoted(text, &key(item)?, format)?;
            text.push(&format.behind_key)?;
            push(text, &value.get_item(item)?, format)?;
        } else {
            push(text, item, format)?;
        }
    }
    if !items.is_empty() {
        new_line(text, level - 1, format)?;
    }
    text.leave();
    text.push(close)
}

fn new_line(text: &mut Text, level: u32, format: &Format) -> Result<(), Error> {
    let Some(indent) = &format.indent else { return Ok(()) };
    text.push("\n")?;
    text.push_times(indent, level as usize)
}

/// A key, which in JSON is a text.
fn key(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => Ok(number(key)),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        kind => Err(wrong(format!("tojson: a key is a text or a number, not {kind}"))),
    }
}

fn push_quoted(text: &mut Text, content: &str, format: &Format) -> Result<(), Error> {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for character in content.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..='\u{1f}' => escape(&mut quoted, character),
            // Python leaves this one alone unless only ASCII may stand there.
            '\u{7f}'.. if format.ensure_ascii => escape(&mut quoted, character),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    text.push(&quoted)
}

/// As one or two units of UTF-16.
fn escape(text: &mut String, character: char) {
    let mut units = [0; 2];
    text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
}
