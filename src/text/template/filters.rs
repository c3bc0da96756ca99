//! Filters and tests of jinja2 that the renderer lacks or does otherwise.

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value, escape_formatter, filters};

use super::json;
use super::options::{Given, Options};
use super::percent;
use super::python::{as_float, is_a, is_mapping, is_sequence, repr_of, str_of, wrong};
use super::strings::{is_blank, lines};

pub(super) fn add(environment: &mut Environment<'static>) {
    for unknown_there in ["split", "zip", "lines", "chain", "bool"] {
        environment.remove_filter(unknown_there);
    }
    environment.set_formatter(|out, state, value| {
        let text = match value.kind() {
            ValueKind::Number | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => str_of(state, value)?,
            _ => return escape_formatter(out, state, value),
        };
        escape_formatter(out, state, &Value::from(text))
    });
    environment.add_filter("attr", |_: &Value, _: &str| Value::UNDEFINED);
    environment.add_filter("center", center);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    environment.add_filter("float", float);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment
        .add_filter("forceescape", |state: &State, value: &Value| str_of(state, value).map(|text| escaped(&text)));
    environment.add_filter("format", percent::format);
    environment.add_filter("indent", indent);
    environment.add_filter("int", int);
    environment.add_filter("pprint", |state: &State, value: &Value| repr_of(state, value));
    environment.add_filter("round", round);
    environment.add_filter("string", string);
    environment.add_filter("striptags", minijinja_contrib::filters::striptags);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("trim", trim);
    environment.add_filter("truncate", truncate);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("wordcount", wordcount);
    add_tests(environment);
}

fn add_tests(environment: &mut Environment<'static>) {
    environment.add_test("iterable", |value: &Value| {
        let single = matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number);
        !single && !is_a(value, "Namespace") && value.try_iter().is_ok()
    });
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Undefined | ValueKind::String) || is_sequence(value) || is_mapping(value)
    });
    environment.add_test("mapping", is_mapping);
    // An undefined value has a call that fails.
    environment.add_test("callable", |value: &Value| {
        matches!(value.kind(), ValueKind::Undefined | ValueKind::Plain) || is_a(value, "Macro") || is_a(value, "Loop")
    });
}

fn center(state: &mut State, value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let width = options.get("width", 80_i64)?;
    options.end()?;
    Value::from(str_of(state, value)?).call_method(state, "center", &[Value::from(width)])
}

fn default(value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let other = options.value("default_value")?.unwrap_or_else(|| Value::from(""));
    let also_false = options.is_set("boolean")?;
    options.end()?;
    Ok(if value.is_undefined() || (also_false && !value.is_true()) { other } else { value.clone() })
}

fn dictsort(state: &State, value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let case_sensitive = options.is_set("case_sensitive")?;
    let by = options.value("by")?.map_or_else(|| "key".to_owned(), String::from);
    let reverse = options.is_set("reverse")?;
    options.end()?;
    if value.kind() != ValueKind::Map || !matches!(by.as_str(), "key" | "value") {
        return Err(wrong("dictsort sorts a mapping by `key` or by `value`"));
    }
    let lower = |value: &Value| match value.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => value.clone(),
    };
    let mut pairs = Vec::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        // Comparing costs as much as the renderer's own sorting takes.
        state.consume_fuel(16)?;
        let item = value.get_item(&key)?;
        pairs.push((lower(if by == "key" { &key } else { &item }), key, item));
    }
    // Equal ones keep their order, backwards too.
    pairs.sort_by(|one, other| if reverse { other.0.cmp(&one.0) } else { one.0.cmp(&other.0) });
    Ok(pairs.into_iter().map(|(_, key, item)| Value::from(Tuple::from([key, item]))).collect())
}

fn escape(state: &State, value: &Value) -> Result<Value, Error> {
    if value.is_safe() { Ok(value.clone()) } else { str_of(state, value).map(|text| escaped(&text)) }
}

/// What HTML needs, as `markupsafe` writes it.
fn escaped(text: &str) -> Value {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    Value::from_safe_string(escaped)
}

/// Digits as Python reads them: an underscore may stand between two.
fn digits(text: &str) -> Option<String> {
    let text = text.trim_matches(is_blank);
    let wrongly = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    (!wrongly).then(|| text.replace('_', ""))
}

fn parse_float(text: &str) -> Option<f64> {
    digits(text)?.parse().ok()
}

fn parse_whole(text: &str, base: u32) -> Option<i128> {
    let text = digits(text)?.to_lowercase();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let digits = digits.strip_prefix(prefix).unwrap_or(digits);
    if !(2..=36).contains(&base) || digits.starts_with(['+', '-']) {
        return None;
    }
    let whole = i128::from_str_radix(digits, base).ok()?;
    Some(if negative { -whole } else { whole })
}

fn float(value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let default = options.value("default")?.unwrap_or_else(|| Value::from(0.0));
    options.end()?;
    Ok(as_any_float(value).map_or(default, Value::from))
}

fn as_any_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::String => parse_float(value.as_str().unwrap_or_default()),
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        // Through digits, because a whole number may be larger than a float holds exactly.
        ValueKind::Number => as_float(value).or_else(|| value.to_string().parse().ok()),
        _ => None,
    }
}

fn int(value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let default = options.value("default")?.unwrap_or_else(|| Value::from(0));
    let base = options.get("base", 10)?;
    options.end()?;
    if value.kind() == ValueKind::Number && value.is_integer() {
        return Ok(value.clone());
    }
    if let Some(whole) = value.as_str().and_then(|text| parse_whole(text, base)) {
        return Ok(Value::from(whole));
    }
    Ok(as_any_float(value)
        .filter(|float| float.is_finite())
        .map_or(default, |float| Value::from(float.trunc() as i128)))
}

/// Rounding up or down gives a float, as there.
fn round(value: Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let precision = options.get("precision", 0_i32)?;
    let method = options.value("method")?.map_or_else(|| "common".to_owned(), String::from);
    options.end()?;
    let rounded = filters::round(value, Some(precision), Some(&method), Kwargs::try_from(Value::UNDEFINED)?)?;
    let float = as_any_float(&rounded).filter(|_| method != "common");
    Ok(float.map_or(rounded, Value::from))
}

fn string(state: &State, value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::String { Ok(value.clone()) } else { str_of(state, value).map(Value::from) }
}

fn indent(state: &State, value: &Value, given: Given) -> Result<String, Error> {
    let mut options = Options::of(given)?;
    let width = options.value("width")?.unwrap_or_else(|| Value::from(4));
    let first = options.is_set("first")?;
    let blank = options.is_set("blank")?;
    options.end()?;
    let (mark, times) = match width.as_str() {
        Some(mark) => (mark.to_owned(), 1),
        None => (" ".to_owned(), i64::try_from(width.clone())?.max(0) as usize),
    };
    let text = str_of(state, value)? + "\n";
    state.consume_fuel(text.len() as u64 / 16)?;
    let mut indented = String::with_capacity(text.len());
    for (index, line) in lines(&text, false).into_iter().enumerate() {
        if index > 0 {
            indented.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            state.consume_fuel(1 + (mark.len() as u64).saturating_mul(times as u64) / 64)?;
            indented.push_str(&mark.repeat(times));
        }
        indented.push_str(line);
    }
    Ok(indented)
}

fn trim(state: &mut State, value: &Value, given: Given) -> Result<Value, Error> {
    let mut options = Options::of(given)?;
    let characters: Vec<Value> = options.value("chars")?.into_iter().collect();
    options.end()?;
    Value::from(str_of(state, value)?).call_method(state, "strip", &characters)
}

fn truncate(state: &State, value: &Value, given: Given) -> Result<String, Error> {
    let mut options = Options::of(given)?;
    let length = options.get("length", 255_i64)?;
    let kill_words = options.is_set("killwords")?;
    let end = options.value("end")?.map_or_else(|| "...".to_owned(), String::from);
    let leeway = options.get("leeway", 5_i64)?;
    options.end()?;
    let kept = length - end.chars().count() as i64;
    if kept < 0 || leeway < 0 {
        return Err(wrong("truncate: the length holds at least the end, and the leeway is not negative"));
    }
    let text = str_of(state, value)?;
    if text.chars().count() as i64 <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text.chars().take(kept as usize).collect();
    let kept = if kill_words { &kept } else { kept.rsplit_once(' ').map_or(&*kept, |(before, _)| before) };
    Ok(kept.to_owned() + &end)
}

fn urlencode(state: &State, value: &Value) -> Result<String, Error> {
    let in_query = |value: &Value| Ok::<_, Error>(percent(&str_of(state, value)?, false).replace("%20", "+"));
    let mut parts = Vec::new();
    match value.kind() {
        ValueKind::Map => {
            for key in value.try_iter()?.checked() {
                let key = key?;
                parts.push(format!("{}={}", in_query(&key)?, in_query(&value.get_item(&key)?)?));
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for pair in value.try_iter()?.checked() {
                let pair = pair?;
                parts.push(format!(
                    "{}={}",
                    in_query(&pair.get_item_by_index(0)?)?,
                    in_query(&pair.get_item_by_index(1)?)?
                ));
            }
        }
        _ => return Ok(percent(&str_of(state, value)?, true)),
    }
    Ok(parts.join("&"))
}

/// Bytes that mean something in an address as `%` and two digits.
fn percent(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || (keep_slash && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn wordcount(state: &State, value: &Value) -> Result<usize, Error> {
    let text = str_of(state, value)?;
    Ok(text
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .count())
}
