//! From words to arguments: texts and numbers may begin with a dash, and an option that stands where a text should is still seen for what it is.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, Error, FromArgMatches};

use super::args::Arguments;

/// The command line. Where a number is asked for, a negative one is refused by what it may be, not as an unknown option.
///
/// # Errors
/// What is to be told, help and version among it.
pub fn parse(words: &[OsString]) -> Result<Arguments, Error> {
    check(words)?;
    let signed = |argument: Arg| {
        let value = argument.get_action().takes_values() && !argument.is_positional();
        if value { argument.allow_negative_numbers(true) } else { argument }
    };
    let command = Arguments::command().mut_subcommands(|command| command.mut_args(signed));
    Arguments::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// Refuses `-p --json`: the text was forgotten. Behind `=` stands whatever one likes.
fn check(words: &[OsString]) -> Result<(), Error> {
    let mut command = Arguments::command();
    command.build();
    let name = words.get(1).map(|word| word.to_string_lossy()).unwrap_or_default();
    let Some(command) = command.find_subcommand_mut(name.as_ref()) else { return Ok(()) };
    let words: Vec<_> =
        words.iter().skip(2).map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
    for pair in words.windows(2) {
        let (option, text) = (pair[0].as_ref(), pair[1].as_ref());
        let Some(long) = text_option(command, option).and_then(Arg::get_long) else { continue };
        if command.get_arguments().any(|argument| names(argument, text)) {
            let why = format!(
                "`{option}` needs a text, and `{text}` is an option; as a text it is given so: --{long}={text}"
            );
            return Err(command.error(ErrorKind::InvalidValue, why));
        }
    }
    Ok(())
}

/// The option of that word, which takes the next word for its text.
fn text_option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let short = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')).and_then(|rest| rest.chars().last());
    command.get_arguments().filter(|argument| argument.is_allow_hyphen_values_set()).find(|argument| {
        let long = argument.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        long || (short.is_some() && argument.get_short() == short)
    })
}

/// Whether the word is this option, alone or with its value.
fn names(argument: &Arg, word: &str) -> bool {
    if let Some(rest) = word.strip_prefix("--") {
        let name = rest.split_once('=').map_or(rest, |(name, _)| name);
        return argument.get_long() == Some(name);
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let short = letters.next();
    short.is_some() && argument.get_short() == short && letters.all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> Option<String> {
        let words: Vec<OsString> = ["isobath"].iter().chain(words).map(OsString::from).collect();
        check(&words).err().map(|error| error.to_string())
    }

    #[test]
    fn a_text_that_was_forgotten_is_missed() {
        for words in [
            &["run", "-p", "--json"][..],
            &["run", "model", "--prompt", "-n", "3"],
            &["run", "-qp", "-n3"],
            &["run", "--stop", "--seed=4"],
            &["run", "-p", "--help"],
            &["chat", "--system", "--quiet"],
        ] {
            let error = said(words).unwrap_or_default();
            assert!(error.contains("needs a text") && error.contains("is an option"), "{words:?}: {error}");
        }
        assert!(said(&["run", "-p", "--json"]).unwrap().contains("--prompt=--json"));
    }

    #[test]
    fn texts_are_texts() {
        for words in [
            &["run", "-p", "- milk", "--json"][..],
            &["run", "-p", "-", "--json"],
            &["run", "-p", "--- a", "--stop", "---", "--stop", "--", "-p"],
            &["run", "-p", "-none", "-n", "3"],
            &["run", "-p", "--jsonl", "--prompt=--json"],
            &["run", "--adapter", "--json"],
            &["chat", "--system", "- be brief"],
            &["nothing", "-p", "--json"],
            &[],
        ] {
            assert_eq!(said(words), None, "{words:?}");
        }
    }
}
