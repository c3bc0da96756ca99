//! Jinja2 as transformers runs it, said in the renderer's dialect.
//!
//! The renderer knows no `%` between a text and values, no unary plus, no tag `generation`, fewer escapes in texts, and
//! loops over less. These are put into words that it knows; all else goes on as it stands, on the same line. What
//! cannot be understood goes on unchanged, for the renderer to complain of.

use minijinja::{Error, ErrorKind};

use super::grammar::Translator;
use super::lexer::{Piece, Tag, pieces};

/// Stands for `%`.
pub(super) const REMAINDER: &str = "__remainder__";
/// Makes of what a loop is given what the renderer can loop over.
pub(super) const ITERATED: &str = "__iterated__";
/// The source in the renderer's dialect.
///
/// # Errors
/// A loop that is left from inside another block: the renderer cannot do that.
pub(in super::super) fn translate(source: &str) -> Result<String, Error> {
    // As jinja2 does first of all.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut open = Vec::new();
    for piece in pieces(&source) {
        match piece {
            Piece::Verbatim(text) => out.push_str(text),
            Piece::Raw(start, rest) => {
                out.push_str(start);
                // The renderer drops the first line end, jinja2 does not.
                if !start.ends_with("-%}") && rest.starts_with('\n') {
                    out.push('\n');
                }
                out.push_str(rest);
            }
            Piece::Print(tag) => translated(&mut out, &tag, false),
            Piece::Block(tag) => {
                follow(&mut open, &tag)?;
                translated(&mut out, &tag, true);
            }
        }
    }
    Ok(out)
}

/// Keeps the blocks that are open, but for conditions.
fn follow<'s>(open: &mut Vec<&'s str>, tag: &Tag<'s>) -> Result<(), Error> {
    let Some(word) = tag.tokens.first().map(|token| token.text) else { return Ok(()) };
    match word {
        "set" if tag.tokens.iter().any(|token| token.text == "=") => (),
        "for" | "with" | "generation" | "block" | "filter" | "call" | "macro" | "autoescape" | "set" => open.push(word),
        "break" | "continue" => {
            if let Some(block) = open.last().filter(|block| **block != "for") {
                let why =
                    format!("`{word}` inside of `{block}`; put the whole loop inside, or the block into a condition");
                return Err(Error::new(ErrorKind::SyntaxError, why));
            }
        }
        _ if word.strip_prefix("end").is_some_and(|word| open.last() == Some(&word)) => drop(open.pop()),
        _ => (),
    }
    Ok(())
}

/// The tag in other words, or as it is.
fn translated(out: &mut String, tag: &Tag<'_>, block: bool) {
    out.push_str(tag.open);
    let start = out.len();
    let mut translator = Translator::new(&tag.tokens, std::mem::take(out));
    let understood = translator.tag(block);
    *out = translator.out;
    if !understood {
        out.truncate(start);
        for token in &tag.tokens {
            out.push_str(token.before);
            out.push_str(token.text);
        }
    }
    out.push_str(tag.close);
}

/// A text's escapes as Python reads them, in those that the renderer reads.
pub(super) fn push_literal(out: &mut String, literal: &str) {
    let mut characters = literal.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('\n') => (),
            Some('a') => out.push_str("\\x07"),
            Some('v') => out.push_str("\\x0b"),
            // To the renderer this would be a slash alone.
            Some('/') => out.push_str("\\\\/"),
            Some('U') => {
                let digits = characters.as_str().get(..8).filter(|digits| !digits.starts_with('+')).unwrap_or_default();
                match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
                    Some(character) if character.is_ascii() => *out += &format!("\\x{:02x}", u32::from(character)),
                    Some(character) => out.push(character),
                    None => {
                        out.push_str("\\U");
                        continue;
                    }
                }
                characters = characters.as_str()[8..].chars();
            }
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        assert_eq!(translate(source).unwrap(), expected);
        assert_eq!(source.matches('\n').count(), expected.matches('\n').count(), "lines keep their numbers");
    }

    #[test]
    fn what_the_renderer_lacks_is_said_in_its_words() {
        check("{{ a * b % c % d ~ 7 }}", "{{ __remainder__( a * b , c , d) ~ 7 }}");
        check("{{ f(x % 2)[y %\n 3] }}", "{{ f( __remainder__(x , 2))[ __remainder__(y ,\n 3)] }}");
        check(
            "{% for a, b in c | list if a % 2 %}",
            "{% for a, b in __iterated__( c | list) if __remainder__( a , 2) %}",
        );
        check(
            "{% macro f(a, b=a.x) -%}",
            "{% macro f(a, b=__unset__) %}{% if b is undefined %}{% set b = a.x %}{% endif -%}",
        );
        check("{%- generation %}x{% endgeneration -%}", "{%- with %}x{% endwith -%}");
        check("{{ +3 }}{{ '\\a\\U0001F642\\/' }}", "{{  3 }}{{ '\\x07\u{1f642}\\\\/' }}");
    }

    #[test]
    fn all_else_stays() {
        for source in [
            "a % b {# {{ a % b }} #}{% raw %}{{ a % b }}{% endraw %}",
            "{{ '%' ~ \"a % b\" }}{% set a, b.c = d, {'x': [1:2:-1], **y} %}{% with a = b, c = d if e else f %}",
            "{% call(a, b=1) f(*x, **y) %}{% filter trim | replace('a', b) %}{% set x | upper %}{% include 'a' % b %}",
            "{{ a is not divisibleby 3 and b.0.c(d)['e'] is in [f] or not g }}{%- else -%}{% elif x -%}",
            "{{ a % }}{{ (% }}{{ a % b",
        ] {
            assert_eq!(translate(source).unwrap(), source);
        }
    }

    #[test]
    fn a_loop_is_not_left_from_inside_another_block() {
        let refused =
            "{% for a in b %}{% if c %}{% with %}{% if d %}{% break %}{% endif %}{% endwith %}{% endif %}{% endfor %}";
        assert!(translate(refused).unwrap_err().to_string().contains("`break` inside of `with`"));
        assert!(translate("{% for a in b %}{% set c %}{% continue %}").is_err());
        let allowed = "{% with %}{% for a in b %}{% with c = 1 %}{% endwith %}{% set d = 1 %}{% if d %}{% break %}";
        assert!(translate(allowed).is_ok());
    }

    #[test]
    fn what_nests_without_end_is_left_to_the_renderer() {
        let deep = format!("{{{{ {}a % b{} }}}}", "(".repeat(500), ")".repeat(500));
        assert_eq!(translate(&deep).unwrap(), deep);
        let alternating = format!("{{{{ a{} }}}}", " % b * c".repeat(500));
        assert_eq!(translate(&alternating).unwrap(), alternating);
        let chain = format!("{{{{ a{} }}}}", " % b".repeat(50_000));
        assert!(translate(&chain).unwrap().starts_with("{{ __remainder__( a , b , b ,"));
    }
}
