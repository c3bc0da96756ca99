//! Values as Python writes them, and what that costs.

use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::globals::{Range, View};

/// Deepest nesting of lists and mappings that become text.
const MOST_LEVELS: u32 = 100;

/// An error of a template's own making.
pub(super) fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// Whether it is one of the renderer's own objects of that type.
pub(super) fn is_a(value: &Value, name: &str) -> bool {
    let of_type = |type_name: &str| type_name.strip_suffix(name).is_some_and(|path| path.ends_with("::"));
    value.as_object().is_some_and(|object| of_type(object.type_name()))
}

/// Whether it is a mapping and not only something with attributes.
pub(super) fn is_mapping(value: &Value) -> bool {
    value.kind() == ValueKind::Map && !["Macro", "Loop", "Namespace"].iter().any(|name| is_a(value, name))
}

/// Whether it is a list, a tuple or a range: also one that the renderer computes when it is asked, like a stretch.
pub(super) fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Seq => true,
        ValueKind::Iterable => value.downcast_object_ref::<View>().is_none(),
        _ => false,
    }
}

/// Text that grows and is paid for before: a list that holds another twice is small in memory and doubles as text with
/// each step. Levels are counted too, because writing nests as deeply.
pub(super) struct Text<'a, 'b> {
    pub out: String,
    state: &'a State<'b, 'b>,
    levels: u32,
}

impl<'a, 'b> Text<'a, 'b> {
    pub fn new(state: &'a State<'b, 'b>) -> Self {
        Self { out: String::new(), state, levels: 0 }
    }

    pub fn push(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(1 + text.len() as u64 / 64)?;
        self.out.push_str(text);
        Ok(())
    }

    pub fn push_times(&mut self, text: &str, times: usize) -> Result<(), Error> {
        self.state.consume_fuel(1 + (text.len() as u64).saturating_mul(times as u64) / 64)?;
        self.out.push_str(&text.repeat(times));
        Ok(())
    }

    pub fn enter(&mut self) -> Result<u32, Error> {
        self.levels += 1;
        if self.levels > MOST_LEVELS {
            return Err(wrong(format!("lists and mappings are nested more than {MOST_LEVELS} deep")));
        }
        Ok(self.levels)
    }

    pub fn leave(&mut self) {
        self.levels -= 1;
    }

    /// The value as Python's `repr` writes it.
    fn push_repr(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::Undefined => self.push("Undefined"),
            ValueKind::String => self.push(&quoted(value.as_str().unwrap_or_default())),
            ValueKind::Number => self.push(&number(value)),
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => self.push_container(value),
            _ => self.push(&value.to_string()),
        }
    }

    fn push_container(&mut self, value: &Value) -> Result<(), Error> {
        if let Some(range) = value.downcast_object_ref::<Range>() {
            return self.push(&range.to_string());
        }
        if is_a(value, "Macro") || is_a(value, "Loop") {
            return self.push(&value.to_string());
        }
        let view = value.downcast_object_ref::<View>().map(View::name);
        let (open, close) = match (value.kind(), view) {
            (_, Some(name)) => (format!("{name}(["), "])"),
            (ValueKind::Map, None) if is_a(value, "Namespace") => ("<Namespace {".to_owned(), "}>"),
            (ValueKind::Map, None) => ("{".to_owned(), "}"),
            _ if value.is_tuple() => ("(".to_owned(), ")"),
            _ => ("[".to_owned(), "]"),
        };
        self.enter()?;
        self.push(&open)?;
        let mut count = 0;
        for item in value.try_iter()?.checked() {
            let item = item?;
            if count > 0 {
                self.push(", ")?;
            }
            self.push_repr(&item)?;
            if value.kind() == ValueKind::Map {
                self.push(": ")?;
                self.push_repr(&value.get_item(&item)?)?;
            }
            count += 1;
        }
        if value.is_tuple() && count == 1 {
            self.push(",")?;
        }
        self.leave();
        self.push(close)
    }
}

/// The value as Python's `str` writes it.
pub(super) fn str_of(state: &State, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        _ => repr_of(state, value),
    }
}

/// The value as Python's `repr` writes it.
pub(super) fn repr_of(state: &State, value: &Value) -> Result<String, Error> {
    let mut text = Text::new(state);
    text.push_repr(value)?;
    Ok(text.out)
}

/// The number as a float, where it is one.
pub(super) fn as_float(value: &Value) -> Option<f64> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok()
}

/// A number; floats have a point or an exponent of a sign and two digits.
pub(super) fn number(value: &Value) -> String {
    let Some(float) = as_float(value) else { return value.to_string() };
    match float {
        _ if float.is_nan() => "nan".into(),
        _ if float.is_infinite() => if float > 0.0 { "inf" } else { "-inf" }.into(),
        _ => {
            // The shortest digits that mean it, as there; and an exponent from the same sizes on.
            let digits = format!("{float:?}");
            match digits.split_once('e') {
                Some((digits, exponent)) => {
                    let exponent: i32 = exponent.parse().unwrap_or_default();
                    format!("{digits}e{exponent:+03}")
                }
                None => digits,
            }
        }
    }
}

/// Whether Python prints the character as it is.
pub(super) fn is_printable(character: char) -> bool {
    // Behind another character so that marks, which are printable but cannot stand first, count as such.
    let pair = [b'a', 0, 0, 0, 0];
    let mut pair = pair;
    let length = 1 + character.encode_utf8(&mut pair[1..]).len();
    let text = std::str::from_utf8(&pair[..length]).unwrap_or_default();
    matches!(character, '\\' | '\'' | '"') || text.escape_debug().nth(1) != Some('\\')
}

/// A text in quotes, with Python's escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        let code = u32::from(character);
        // Nothing fails that is written into a text.
        let _ = match character {
            '\n' => write!(quoted, "\\n"),
            '\r' => write!(quoted, "\\r"),
            '\t' => write!(quoted, "\\t"),
            '\\' => write!(quoted, "\\\\"),
            _ if character == quote => write!(quoted, "\\{quote}"),
            _ if is_printable(character) => write!(quoted, "{character}"),
            _ if code < 0x100 => write!(quoted, "\\x{code:02x}"),
            _ if code < 0x10000 => write!(quoted, "\\u{code:04x}"),
            _ => write!(quoted, "\\U{code:08x}"),
        };
    }
    quoted.push(quote);
    quoted
}
