//! JSON in chat templates, as Python writes it, and what a value costs before it becomes text.

use std::cell::Cell;
use std::io;

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Deepest nesting of lists and mappings that become text.
const MOST_LEVELS: u32 = 100;

/// JSON as Python's `json.dumps(ensure_ascii=False)` writes it; Jinja's own filter would escape it for HTML.
pub(super) fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let failed = |error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error);
    let indent: Option<usize> = options.get("indent")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    charge(state, value)?;
    let mut json = serde_json::to_value(value).map_err(failed)?;
    if sort_keys == Some(true) {
        json.sort_all_objects();
    }
    let mut bytes = Vec::new();
    match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(64));
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).map_err(failed)?;
        }
        None => json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced)).map_err(failed)?,
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Value::from_safe_string(if ensure_ascii == Some(true) { escape_non_ascii(&text) } else { text }))
}

/// Takes from the fuel what the value is worth as text, before it is written: a list that holds another twice is
/// small in memory and doubles as text with each step. Levels are counted too, because writing nests as deeply.
pub(super) fn charge(state: &State, value: &Value) -> Result<(), Error> {
    let too_deep = Cell::new(false);
    let mut meter = Meter { state, refusal: None };
    let levels = Levels { depth: 0, too_deep: &too_deep };
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut meter, levels));
    match meter.refusal {
        Some(error) => Err(error),
        None if written.is_err() && too_deep.get() => {
            let why = format!("lists and mappings are nested more than {MOST_LEVELS} deep");
            Err(Error::new(ErrorKind::InvalidOperation, why))
        }
        // What has no form as JSON may still have one as text.
        None => Ok(()),
    }
}

/// Burns fuel for what is written to it.
struct Meter<'a, 'b> {
    state: &'a State<'b, 'b>,
    refusal: Option<Error>,
}

impl io::Write for Meter<'_, '_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.state.consume_fuel(1 + text.len() as u64 / 64) {
            Ok(()) => Ok(text.len()),
            Err(error) => {
                self.refusal = Some(error);
                Err(io::Error::other("out of fuel"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses values that are nested too deeply.
struct Levels<'a> {
    depth: u32,
    too_deep: &'a Cell<bool>,
}

impl Levels<'_> {
    fn enter(&mut self) -> io::Result<()> {
        self.depth += 1;
        self.too_deep.set(self.depth > MOST_LEVELS);
        if self.too_deep.get() { Err(io::Error::other("too deep")) } else { Ok(()) }
    }
}

impl Formatter for Levels<'_> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"}")
    }
}

fn escape_non_ascii(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            let mut units = [0; 2];
            escaped.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// One line, with a space after `,` and `:` as in Python.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
