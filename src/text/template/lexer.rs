//! A template's text cut into pieces: what is said as it stands, and tags with their tokens.
//!
//! Only as much as [`super::translate`] needs. What cannot be cut is left whole, and the renderer says what is wrong.

/// A part of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'s> {
    /// Text, comments, and what cannot be understood: goes on as it is.
    Verbatim(&'s str),
    /// `{% raw %}` to `{% endraw %}`: the first tag, and all the rest.
    Raw(&'s str, &'s str),
    /// `{{ ... }}`.
    Print(Tag<'s>),
    /// `{% ... %}`.
    Block(Tag<'s>),
}

/// A tag that is no text.
#[derive(Debug, PartialEq)]
pub(super) struct Tag<'s> {
    /// `{%`, `{%-` and the like.
    pub open: &'s str,
    pub tokens: Vec<Token<'s>>,
    /// Blanks and `%}`, `-%}` and the like.
    pub close: &'s str,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Operator,
}

/// A word in a tag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'s> {
    pub kind: Kind,
    /// Blanks in front of it.
    pub before: &'s str,
    pub text: &'s str,
}

/// Operators of more than one character, the longest first.
const LONG_OPERATORS: [&str; 7] = ["**", "//", "==", "!=", ">=", "<=", "..."];

/// All pieces, in order; together they are the source.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let (piece, length) = piece(rest);
        pieces.push(piece);
        rest = &rest[length..];
    }
    pieces
}

/// The first piece and its length, which is not 0.
fn piece(source: &str) -> (Piece<'_>, usize) {
    let whole = || (Piece::Verbatim(source), source.len());
    let begins = |(at, _): &(usize, &str)| matches!(source.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#'));
    let Some((at, _)) = source.match_indices('{').find(begins) else { return whole() };
    if at > 0 {
        return (Piece::Verbatim(&source[..at]), at);
    }
    if let Some(inside) = source.strip_prefix("{#") {
        return inside.find("#}").map_or_else(whole, |end| (Piece::Verbatim(&source[..end + 4]), end + 4));
    }
    if let Some(start) = keyword_tag(source, "raw") {
        let inside = &source[start..];
        let ends = inside.match_indices("{%");
        let end = ends.filter_map(|(at, _)| keyword_tag(&inside[at..], "endraw").map(|length| at + length)).next();
        return end.map_or_else(whole, |end| (Piece::Raw(&source[..start], &inside[..end]), start + end));
    }
    let block = source.starts_with("{%");
    match tag(source, block) {
        Some((tag, length)) if block => (Piece::Block(tag), length),
        Some((tag, length)) => (Piece::Print(tag), length),
        None => whole(),
    }
}

/// The length of a block tag that holds this word alone.
fn keyword_tag(source: &str, word: &str) -> Option<usize> {
    let inside = source.strip_prefix("{%")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start().strip_prefix(word)?.trim_start();
    let rest = inside.strip_prefix(['-', '+']).unwrap_or(inside).strip_prefix("%}")?;
    Some(source.len() - rest.len())
}

/// A tag and its length; `None` where it does not end or holds what no tag can hold.
fn tag(source: &str, block: bool) -> Option<(Tag<'_>, usize)> {
    let ends: &[&str] = if block { &["%}", "-%}", "+%}"] } else { &["}}", "-}}"] };
    let marked = source[2..].starts_with('-') || (block && source[2..].starts_with('+'));
    let (open, mut rest) = source.split_at(2 + usize::from(marked));
    let mut tokens = Vec::new();
    let mut open_brackets = 0_usize;
    loop {
        let trimmed = rest.trim_start();
        let before = &rest[..rest.len() - trimmed.len()];
        if open_brackets == 0
            && let Some(end) = ends.iter().find(|end| trimmed.starts_with(**end))
        {
            let close = &rest[..before.len() + end.len()];
            let length = source.len() - rest.len() + close.len();
            return Some((Tag { open, tokens, close }, length));
        }
        let (kind, length) = token(trimmed)?;
        let text = &trimmed[..length];
        match text {
            "(" | "[" | "{" => open_brackets += 1,
            ")" | "]" | "}" => open_brackets = open_brackets.checked_sub(1)?,
            _ => (),
        }
        tokens.push(Token { kind, before, text });
        rest = &trimmed[length..];
    }
}

/// Kind and length of the token with which the text begins.
fn token(text: &str) -> Option<(Kind, usize)> {
    let first = text.chars().next()?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if first.is_ascii_digit() {
        return Some((Kind::Number, number(text)));
    }
    if word(first) {
        return Some((Kind::Name, text.find(|c| !word(c)).unwrap_or(text.len())));
    }
    if first == '\'' || first == '"' {
        let mut escaped = false;
        for (at, character) in text.char_indices().skip(1) {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == first => return Some((Kind::Text, at + 1)),
                _ => (),
            }
        }
        return None;
    }
    let length = LONG_OPERATORS.iter().find(|long| text.starts_with(**long)).map_or(1, |long| long.len());
    first.is_ascii_punctuation().then_some((Kind::Operator, length))
}

/// Length of a number: `12`, `1_000`, `0x1f`, `1.5e-3`. A point counts where a digit follows.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let prefixed = at(0) == b'0' && at(1).is_ascii_alphabetic();
    let mut length = 1;
    loop {
        let exponent = !prefixed && at(length - 1).eq_ignore_ascii_case(&b'e');
        match at(length) {
            byte if word(byte) => length += 1,
            b'.' if !prefixed && at(length + 1).is_ascii_digit() && !text[..length].contains('.') => length += 1,
            b'+' | b'-' if exponent && at(length + 1).is_ascii_digit() => length += 1,
            _ => return length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let pieces = pieces(source);
        let tag = |Tag { open, tokens, close }: &Tag| {
            let words: Vec<&str> = tokens.iter().map(|token| token.text).collect();
            format!("{open}|{}|{close}", words.join(" "))
        };
        let shown: Vec<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Verbatim(text) => (*text).to_owned(),
                Piece::Raw(start, rest) => format!("{start}..{rest}"),
                Piece::Print(inside) | Piece::Block(inside) => tag(inside),
            })
            .collect();
        assert_eq!(shown, expected, "{source}");
    }

    #[test]
    fn tags_and_text() {
        check("a{{ b }}c{%- if x-%}d", &["a", "{{|b| }}", "c", "{%-|if x|-%}", "d"]);
        check("{# {{ a }} #}{#}#}{{'}}'}}", &["{# {{ a }} #}", "{#}#}", "{{|'}}'|}}"]);
        check("{{ {'a': {}} }}{{- [1][-1] -}}", &["{{|{ 'a' : { } }| }}", "{{-|[ 1 ] [ - 1 ]| -}}"]);
        check(
            "{%- raw -%} {{ x }} {%+ endraw %}b{% raw %}",
            &["{%- raw -%}.. {{ x }} {%+ endraw %}", "b", "{% raw %}"],
        );
        check("é{% set a='\\'é%}' %}", &["é", "{%|set a = '\\'é%}'| %}"]);
    }

    #[test]
    fn numbers() {
        check("{{ 1_0 1.5 1e-5 1.a 0x1f 1..2 a.0.b }}", &["{{|1_0 1.5 1e-5 1 . a 0x1f 1 . . 2 a . 0 . b| }}"]);
        check("{{1-1}}{{1e5-1}}", &["{{|1 - 1|}}", "{{|1e5 - 1|}}"]);
    }

    #[test]
    fn what_does_not_end_is_left_whole() {
        for source in ["{{ a", "{% if 'a %}", "{# a", "{{ ) }}", "{{ \u{7} }}", "{%", "{{"] {
            check(source, &[source]);
        }
    }
}
