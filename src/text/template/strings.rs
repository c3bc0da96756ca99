//! Methods of Python's texts: those that the renderer's own collection lacks or does otherwise.

use minijinja::value::{Kwargs, Tuple, from_args};
use minijinja::{Error, State, Value};

use super::percent;
use super::python::{is_printable, wrong};

/// `None` where it is left to the collection.
pub(super) fn method(state: &State, text: &str, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    match name {
        "strip" | "lstrip" | "rstrip" => strip(text, name, arguments),
        "split" | "rsplit" => split(state, text, name == "rsplit", arguments),
        "splitlines" => {
            let (keep, named): (Option<bool>, Kwargs) = from_args(arguments)?;
            let keep = keep.or(named.get("keepends")?).unwrap_or(false);
            named.assert_all_used()?;
            state.consume_fuel(text.matches(is_line_end).count() as u64)?;
            Ok(lines(text, keep).into_iter().map(Value::from).collect())
        }
        "startswith" | "endswith" => ends(text, name == "startswith", arguments).map(Value::from),
        "find" | "rfind" | "index" | "rindex" | "count" => found(text, name, arguments),
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => partition(text, name == "rpartition", arguments),
        "zfill" | "center" | "ljust" | "rjust" | "expandtabs" => wider(state, text, name, arguments),
        "join" => join(state, text, arguments),
        "encode" => {
            let (encoding,): (Option<&str>,) = from_args(arguments)?;
            match encoding.unwrap_or("utf-8").to_lowercase().as_str() {
                "utf-8" | "utf8" => Ok(Value::from_bytes(text.as_bytes().to_vec())),
                other => Err(wrong(format!("texts are encoded as utf-8 only, not as {other}"))),
            }
        }
        "format" => percent::braces(state, text, arguments).map(Value::from),
        "capitalize" | "title" | "swapcase" | "casefold" => {
            let () = from_args(arguments)?;
            Ok(cased(text, name).into())
        }
        "isdecimal" | "istitle" | "isidentifier" | "isprintable" | "isspace" => {
            let () = from_args(arguments)?;
            Ok(is(text, name).into())
        }
        _ => return Ok(None),
    }
    .map(Some)
}

/// What Python counts as blank.
pub(super) fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn strip(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (characters,): (Option<&str>,) = from_args(arguments)?;
    let stripped = |character: char| characters.map_or_else(|| is_blank(character), |set| set.contains(character));
    Ok(Value::from(match name {
        "lstrip" => text.trim_start_matches(stripped),
        "rstrip" => text.trim_end_matches(stripped),
        _ => text.trim_matches(stripped),
    }))
}

fn split(state: &State, text: &str, from_behind: bool, arguments: &[Value]) -> Result<Value, Error> {
    let (separator, most, named): (Option<&str>, Option<i64>, Kwargs) = from_args(arguments)?;
    let separator = separator.or(named.get("sep")?);
    let most = most.or(named.get("maxsplit")?).and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX - 1);
    named.assert_all_used()?;
    // A part takes more memory than the character between two.
    let parts = match separator {
        Some(separator) => text.matches(separator).count(),
        None => text.matches(is_blank).count(),
    };
    state.consume_fuel(parts.min(most) as u64)?;
    let mut parts: Vec<Value> = match separator {
        Some("") => return Err(wrong("a text cannot be split at an empty one")),
        Some(separator) if from_behind => text.rsplitn(most + 1, separator).map(Value::from).collect(),
        Some(separator) => text.splitn(most + 1, separator).map(Value::from).collect(),
        None => words(text, from_behind, most).into_iter().map(Value::from).collect(),
    };
    if from_behind {
        parts.reverse();
    }
    Ok(Value::from(parts))
}

/// Parts between blanks, and the rest as it is once there are enough.
fn words(text: &str, from_behind: bool, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = if from_behind { text.trim_end_matches(is_blank) } else { text.trim_start_matches(is_blank) };
    while !rest.is_empty() {
        let end = if from_behind { rest.rfind(is_blank) } else { rest.find(is_blank) };
        let Some(end) = end.filter(|_| words.len() < most) else {
            words.push(rest);
            break;
        };
        let behind = end + rest[end..].chars().next().map_or(0, char::len_utf8);
        if from_behind {
            words.push(&rest[behind..]);
            rest = rest[..end].trim_end_matches(is_blank);
        } else {
            words.push(&rest[..end]);
            rest = rest[behind..].trim_start_matches(is_blank);
        }
    }
    words
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Lines, at all that ends one in Python.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(is_line_end) {
        let mark =
            if rest[end..].starts_with("\r\n") { 2 } else { rest[end..].chars().next().map_or(0, char::len_utf8) };
        lines.push(&rest[..if keep { end + mark } else { end }]);
        rest = &rest[end + mark..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// The stretch from one character to another as in Python, and how many characters stand before it.
fn stretch(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(&str, usize)> {
    if start.is_none() && end.is_none() {
        return Some((text, 0));
    }
    let length = text.chars().count() as i64;
    let bound = |index: i64| if index < 0 { (index + length).max(0) } else { index };
    let (start, end) = (start.map_or(0, bound), end.map_or(length, bound).min(length));
    if start > end {
        return None;
    }
    let byte = |index: i64| text.char_indices().nth(index as usize).map_or(text.len(), |(at, _)| at);
    Some((&text[byte(start)..byte(end)], start as usize))
}

fn ends(text: &str, at_start: bool, arguments: &[Value]) -> Result<bool, Error> {
    let (sought, start, end): (&Value, Option<i64>, Option<i64>) = from_args(arguments)?;
    let inside = stretch(text, start, end);
    let one = |sought: &Value| match (sought.as_str(), inside) {
        (None, _) => {
            Err(wrong(format!("the beginning or end of a text is a text or a tuple of texts, not {}", sought.kind())))
        }
        (Some(_), None) => Ok(false),
        (Some(sought), Some((inside, _))) if at_start => Ok(inside.starts_with(sought)),
        (Some(sought), Some((inside, _))) => Ok(inside.ends_with(sought)),
    };
    if !sought.is_tuple() {
        return one(sought);
    }
    for sought in sought.try_iter()? {
        if one(&sought)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn found(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (sought, start, end): (&str, Option<i64>, Option<i64>) = from_args(arguments)?;
    let inside = stretch(text, start, end);
    if name == "count" {
        return Ok(Value::from(inside.map_or(0, |(inside, _)| inside.matches(sought).count())));
    }
    let at = inside.and_then(|(inside, before)| {
        let at = if name.starts_with('r') { inside.rfind(sought) } else { inside.find(sought) };
        at.map(|at| before + inside[..at].chars().count())
    });
    match at {
        Some(at) => Ok(Value::from(at)),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(wrong("the text that is looked for does not occur")),
    }
}

fn partition(text: &str, from_behind: bool, arguments: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(arguments)?;
    if separator.is_empty() {
        return Err(wrong("a text cannot be split at an empty one"));
    }
    let parts = if from_behind { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match parts {
        Some((before, behind)) => [before, separator, behind],
        None if from_behind => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// Makes it at least so wide; the fuel pays beforehand.
fn wider(state: &State, text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    if name == "expandtabs" {
        let (size, named): (Option<i64>, Kwargs) = from_args(arguments)?;
        let size = size.or(named.get("tabsize")?).unwrap_or(8).max(0) as usize;
        named.assert_all_used()?;
        return expand_tabs(state, text, size).map(Value::from);
    }
    let (width, fill): (i64, Option<&str>) = if name == "zfill" {
        from_args::<(i64,)>(arguments).map(|(width,)| (width, Some("0")))?
    } else {
        from_args(arguments)?
    };
    let fill = fill.unwrap_or(" ");
    if fill.chars().count() != 1 {
        return Err(wrong("a text is filled up with one character"));
    }
    let width = width.max(0) as usize;
    let lacking = width.saturating_sub(text.chars().count());
    state.consume_fuel((lacking as u64).saturating_mul(fill.len() as u64) / 64)?;
    // As there: of an odd number the larger half stands behind, unless the width is odd as well.
    let left = match name {
        "ljust" => 0,
        "center" => lacking / 2 + (lacking & width & 1),
        _ => lacking,
    };
    let sign = if name == "zfill" && text.starts_with(['+', '-']) { 1 } else { 0 };
    let (sign, digits) = text.split_at(sign);
    Ok(Value::from(format!("{sign}{}{digits}{}", fill.repeat(left), fill.repeat(lacking - left))))
}

fn expand_tabs(state: &State, text: &str, size: usize) -> Result<String, Error> {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for character in text.chars() {
        match character {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                state.consume_fuel(1 + blanks as u64 / 64)?;
                expanded.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => (),
            _ => {
                expanded.push(character);
                column = if matches!(character, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(expanded)
}

fn join(state: &State, separator: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (values,): (&Value,) = from_args(arguments)?;
    let mut joined = String::new();
    for (index, value) in values.try_iter()?.checked().enumerate() {
        let value = value?;
        let Some(text) = value.as_str() else {
            return Err(wrong(format!("texts are joined, but item {index} is of type {}", value.kind())));
        };
        state.consume_fuel((separator.len() + text.len()) as u64 / 64)?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::from(joined))
}

fn cased(text: &str, name: &str) -> String {
    let mut inside = false;
    let mut cased = String::with_capacity(text.len());
    for character in text.chars() {
        match name {
            "casefold" => cased.extend(character.to_uppercase().flat_map(char::to_lowercase)),
            "swapcase" if character.is_uppercase() => cased.extend(character.to_lowercase()),
            "swapcase" => cased.extend(character.to_uppercase()),
            _ if inside => cased.extend(character.to_lowercase()),
            _ => {
                // A title's letter: of several the first alone is large.
                let mut upper = character.to_uppercase();
                cased.extend(upper.next());
                cased.extend(upper.flat_map(char::to_lowercase));
            }
        }
        // A title's words begin behind each character that is no letter.
        inside = name == "capitalize" || character.is_alphabetic();
    }
    cased
}

fn is(text: &str, name: &str) -> bool {
    if name == "isprintable" {
        return text.chars().all(is_printable);
    }
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    match name {
        "isspace" => text.chars().all(is_blank),
        "isdecimal" => text.chars().all(char::is_numeric),
        "isidentifier" => {
            (first.is_alphabetic() || first == '_') && characters.all(|next| next.is_alphanumeric() || next == '_')
        }
        _ => {
            let letters = text.chars().any(|character| character.is_uppercase() || character.is_lowercase());
            letters && cased(text, "title") == text
        }
    }
}
