//! `'%s of %d' % values`, `'{} of {}'.format(values)`: texts with values filled in, as Python does it.
//!
//! The renderer's own filter fills in one value at a time; what it does not know of Python's is put in its words here.

use std::vec;

use minijinja::formatting::{self, FormatStyle};
use minijinja::value::{Rest, ValueKind};
use minijinja::{Error, State, Value, filters};

use super::options::Given;
use super::python::{as_float, repr_of, str_of, wrong};

/// `format % values`, where a tuple is several values.
pub(super) fn fill_in(state: &mut State, format: &str, values: &Value) -> Result<String, Error> {
    let mapping = (values.kind() == ValueKind::Map).then_some(values);
    let values: Vec<Value> = if values.is_tuple() { values.try_iter()?.collect() } else { vec![values.clone()] };
    let mut values = values.into_iter();
    let mut text = String::new();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        text.push_str(&rest[..start]);
        let (directive, behind) = Directive::parse(&rest[start + 1..], &mut values)?;
        rest = behind;
        if directive.conversion == '%' {
            text.push('%');
            continue;
        }
        let value = match (directive.key, mapping) {
            (None, _) => next(&mut values)?,
            (Some(key), Some(mapping)) => mapping.get_item(&Value::from(key))?,
            (Some(key), None) => return Err(wrong(format!("`%({key})` needs a mapping"))),
        };
        let filled = directive.written(state, value)?;
        state.consume_fuel(1 + filled.len() as u64 / 64)?;
        text.push_str(&filled);
    }
    if mapping.is_none() && values.next().is_some() {
        return Err(wrong(format!("there are more values than places in {format:?}")));
    }
    Ok(text + rest)
}

/// The filter of the same use: values in their order, or by their names.
pub(super) fn format(state: &mut State, format: &Value, given: Given) -> Result<String, Error> {
    let mut given: Vec<Value> = given.0.into_iter().map(|value| value.into_value()).collect();
    let named = given.pop_if(|last| last.is_kwargs());
    let values = match named {
        Some(named) => Value::from_pairs(
            named
                .try_iter()?
                .map(|key| named.get_item(&key).map(|value| (key, value)))
                .collect::<Result<Vec<_>, _>>()?,
        ),
        None => Value::from(minijinja::value::Tuple::new(given)),
    };
    let format = str_of(state, format)?;
    fill_in(state, &format, &values)
}

/// `format.format(values)`, which pays for widths and for what it repeats beforehand.
pub(super) fn braces(state: &State, format: &str, arguments: &[Value]) -> Result<String, Error> {
    let numbers = format.split(|character: char| !character.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let width = numbers.map(|digits| digits.parse().unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    let length = |value: &Value| value.as_str().map_or(64, str::len) as u64;
    let longest = arguments.iter().map(length).max().unwrap_or_default();
    let places = format.matches('{').count() as u64;
    state.consume_fuel((width.saturating_add(places.saturating_mul(longest))) / 64)?;
    formatting::format(FormatStyle::StrFormat, format, arguments)
}

fn next(values: &mut vec::IntoIter<Value>) -> Result<Value, Error> {
    values.next().ok_or_else(|| wrong("there are fewer values than places to fill in"))
}

/// What stands behind a `%`.
struct Directive<'f> {
    key: Option<&'f str>,
    /// Flags, width and precision, in digits.
    shape: String,
    conversion: char,
}

impl<'f> Directive<'f> {
    /// The directive, and what follows it; a star takes a number from the values.
    fn parse(text: &'f str, values: &mut vec::IntoIter<Value>) -> Result<(Self, &'f str), Error> {
        let unfinished = || wrong("a `%` stands for itself only when it is doubled");
        let (key, mut rest) = match text.strip_prefix('(') {
            Some(inside) => inside.split_once(')').map(|(key, rest)| (Some(key), rest)).ok_or_else(unfinished)?,
            None => (None, text),
        };
        let mut shape = String::new();
        loop {
            let character = rest.chars().next().ok_or_else(unfinished)?;
            rest = &rest[character.len_utf8()..];
            match character {
                '*' => shape += &next(values)?.to_string(),
                '-' | '+' | ' ' | '#' | '.' | '0'..='9' => shape.push(character),
                // Sizes of numbers in C, which mean nothing.
                'h' | 'l' | 'L' => (),
                conversion => return Ok((Self { key, shape, conversion }, rest)),
            }
        }
    }

    fn written(&self, state: &mut State, value: Value) -> Result<String, Error> {
        let (conversion, value) = match self.conversion {
            's' => ('s', Value::from(str_of(state, &value)?)),
            'r' | 'a' => ('s', Value::from(repr_of(state, &value)?)),
            'd' | 'i' | 'u' => ('d', whole(value)?),
            other @ ('x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'c') => (other, value),
            other => return Err(wrong(format!("`%{other}` is no place for a value"))),
        };
        if let (Some(text), 's') = (value.as_str(), conversion) {
            return self.padded(state, text);
        }
        let one = format!("%{}{conversion}", self.shape);
        let text = filters::format(state, &Value::from(one), Rest(vec![value.into()]))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }
}

impl Directive<'_> {
    /// The text at its width and precision, which count characters.
    fn padded(&self, state: &State, text: &str) -> Result<String, Error> {
        let shape = self.shape.trim_start_matches(['-', '+', ' ', '#', '0']);
        let (width, precision) = shape.split_once('.').map_or((shape, None), |(width, rest)| (width, Some(rest)));
        let width: usize = width.parse().unwrap_or_default();
        let length = precision.map_or(usize::MAX, |precision| precision.parse().unwrap_or_default());
        let text: String = text.chars().take(length).collect();
        let blanks = width.saturating_sub(text.chars().count());
        state.consume_fuel(blanks as u64 / 64)?;
        let blanks = " ".repeat(blanks);
        Ok(if self.shape.contains('-') { text + &blanks } else { blanks + &text })
    }
}

/// Without what stands behind the point.
fn whole(value: Value) -> Result<Value, Error> {
    match (value.kind(), as_float(&value)) {
        (_, Some(float)) if float.is_finite() => Ok(Value::from(float.trunc() as i128)),
        (ValueKind::Bool, _) => Ok(Value::from(i64::from(value.is_true()))),
        (ValueKind::Number, None) => Ok(value),
        (kind, _) => Err(wrong(format!("`%d` needs a number, not a value of type {kind}"))),
    }
}
