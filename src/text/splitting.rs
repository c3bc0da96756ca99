//! How a GGUF file's text is taken apart before tokens are made: the rules that `tokenizer.ggml.pre` names, as data.
//!
//! A rule is a list of expressions. Each takes the pieces of the one before it apart; what it matches is a piece, and so is
//! what lies between. Names and rules are those of llama.cpp (`llama-vocab.cpp`), which reads some classes of characters in
//! a coarse way: capital letters beyond ASCII count as small ones too in `tekken` and `gpt-4o`. Where a model's own
//! `tokenizer.json` is known it is followed: contractions are found whatever their case in Unicode's sense, and `qwen2`
//! composes characters first.
//!
//! **Invariant:** time grows with the text and not faster: runs of more than 300 digits are not counted from their end.

use serde_json::{Value, json};

use super::splitting_rules::RULES;
use super::vocabulary::byte_level_part;

/// A rule and the names under which it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The first is written into files.
    pub(super) names: &'static [&'static str],
    pub(super) steps: &'static [Step],
    /// Characters are composed (NFC) before anything else.
    pub(super) composes: bool,
    /// A piece that is a token as a whole is not merged.
    pub(super) whole_words: bool,
    /// Prompts begin with the begin-of-sequence token unless the file says otherwise.
    pub(super) begins: bool,
}

/// A step of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Matches of an expression, and what is between.
    Split(&'static str),
    /// Each digit alone.
    Digits,
    /// The expression of GPT-2 in the part that spells bytes, as its `tokenizer.json` has it; only the last step.
    Gpt2,
}
use Step::{Digits, Gpt2, Split};

impl Rule {
    /// The rule of that name; a file that names none means `default`, as in llama.cpp.
    pub(super) fn named(pre: &str) -> Option<&'static Self> {
        let name = if pre.is_empty() { "default" } else { pre };
        RULES.iter().find(|rule| rule.names.contains(&name))
    }

    /// The part of a `tokenizer.json` that changes characters.
    pub(super) fn normalizer(&self) -> Value {
        if self.composes { json!({"type": "NFC"}) } else { Value::Null }
    }

    /// The part of a `tokenizer.json` that takes text apart.
    pub(super) fn pre_tokenizer(&self) -> Value {
        let mut parts: Vec<Value> = self.steps.iter().map(|step| step.part()).collect();
        if !matches!(self.steps.last(), Some(Gpt2)) {
            parts.push(byte_level_part(false));
        }
        match <[Value; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => json!({"type": "Sequence", "pretokenizers": parts}),
        }
    }
}

impl Step {
    fn part(self) -> Value {
        match self {
            Split(expression) => {
                json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
            }
            Digits => json!({"type": "Digits", "individual_digits": true}),
            Gpt2 => byte_level_part(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{GgufVocabulary, Tokenizer};
    use super::*;

    #[test]
    fn a_name_stands_once() {
        let mut names: Vec<&str> = RULES.iter().flat_map(|rule| rule.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// What makes an expression that goes back and forth take for ever.
    #[test]
    fn long_runs_take_no_rule_long() {
        let letters: Vec<String> = (33u8..127).map(|byte| char::from(byte).to_string()).collect();
        let tokens: Vec<String> = letters.into_iter().chain(["Ġ".into(), "Ċ".into()]).collect();
        for rule in RULES {
            let vocabulary = GgufVocabulary {
                model: "gpt2".into(),
                pre: rule.names[0].into(),
                tokens: tokens.clone(),
                ..GgufVocabulary::default()
            };
            let tokenizer = Tokenizer::from_vocabulary(vocabulary).unwrap();
            for run in [" ", "\n", "7", "aB", "(", "'", "a ", " \n", "A", "7 ", "IMG"] {
                let text = run.repeat(20_000 / run.len());
                let begin = Instant::now();
                let tokens = tokenizer.encode(&text, true).unwrap();
                assert!(begin.elapsed() < Duration::from_secs(20), "{} takes {run:?} too long", rule.names[0]);
                assert_eq!(tokens.len(), text.len(), "{} {run:?}", rule.names[0]);
            }
        }
    }
}
