//! `generation_config.json`: where a text ends, and how the model's author would have its tokens drawn.
//!
//! What counts is what transformers' `generate` makes of the file. Where the file is there, its `eos_token_id` alone ends a
//! text; that of config.json does not count beside it. Sampling settings count only with `do_sample`, but for
//! `repetition_penalty`, and those that the file leaves out are then transformers' own (`top_k` 50).
//!
//! **Invariant:** a setting that would change the text and that the sampler cannot follow is listed, never dropped without
//! a word; lengths are the user's to choose.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ModelError;
use crate::network::config::ModelConfig;
use crate::network::json_fields::{Fields, as_unsigned, brief};

/// How the name of the file stands in messages.
const FILE: &str = "generation_config.json";

/// What the author says; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generation {
    /// Where it is said.
    pub origin: &'static str,
    /// The tokens that end a text, in place of those of the config; `None` where these count.
    pub end_tokens: Option<Vec<u32>>,
    /// How tokens are drawn where the user does not say.
    pub suggestion: Suggestion,
    /// What is asked for and not followed, in words.
    pub unfollowed: Vec<String>,
    /// What follows and may surprise, in words.
    pub notes: Vec<String>,
}

/// Settings of the sampler; `None` leaves one to the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suggestion {
    /// 0 takes the most probable token.
    pub temperature: Option<f32>,
    /// Only the k most probable tokens; 0 keeps all.
    pub top_k: Option<u32>,
    /// Only the most probable tokens whose probabilities sum up to this; 1 keeps all.
    pub top_p: Option<f32>,
    /// Only tokens at least this fraction as probable as the best; 0 keeps all.
    pub min_p: Option<f32>,
    /// Above 1 makes repetition less likely.
    pub repeat_penalty: Option<f32>,
}

impl Suggestion {
    /// The settings in words, those left out that change nothing; `None` where none is left.
    pub fn words(&self) -> Option<String> {
        let greedy = self.temperature == Some(0.0);
        let number = |name: &str, value: Option<f32>, off: f32| {
            value.filter(|value| *value != off).map(|value| format!("{name} {value}"))
        };
        let mut words = vec![match greedy {
            true => Some("the most probable token".to_owned()),
            false => self.temperature.map(|value| format!("temperature {value}")),
        }];
        if !greedy {
            words.push(self.top_k.filter(|k| *k != 0).map(|k| format!("top-k {k}")));
            words.push(number("top-p", self.top_p, 1.0));
            words.push(number("min-p", self.min_p, 0.0));
        }
        words.push(number("repeat-penalty", self.repeat_penalty, 1.0));
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// What the other settings are called and when they change nothing.
#[derive(Clone, Copy)]
enum Idle {
    /// Where they are absent, false, or an empty list.
    Absent,
    /// At that number, too.
    At(f64),
    /// Outside of 0 to 1, and where nothing is drawn.
    Cutoff,
    /// From 1 on, and where nothing is drawn.
    Share,
}

/// Settings of `generate` that change what is written and have nothing to match them here.
const OTHERS: [(&str, Idle); 26] = [
    ("num_beams", Idle::At(1.0)),
    ("num_beam_groups", Idle::At(1.0)),
    ("diversity_penalty", Idle::At(0.0)),
    ("penalty_alpha", Idle::At(0.0)),
    ("dola_layers", Idle::Absent),
    ("top_h", Idle::Share),
    ("typical_p", Idle::Share),
    ("epsilon_cutoff", Idle::Cutoff),
    ("eta_cutoff", Idle::Cutoff),
    ("encoder_repetition_penalty", Idle::At(1.0)),
    ("no_repeat_ngram_size", Idle::At(0.0)),
    ("encoder_no_repeat_ngram_size", Idle::At(0.0)),
    ("bad_words_ids", Idle::Absent),
    ("min_length", Idle::At(0.0)),
    ("min_new_tokens", Idle::At(0.0)),
    ("max_time", Idle::Absent),
    ("stop_strings", Idle::Absent),
    ("forced_bos_token_id", Idle::Absent),
    ("forced_eos_token_id", Idle::Absent),
    ("exponential_decay_length_penalty", Idle::Absent),
    ("suppress_tokens", Idle::Absent),
    ("begin_suppress_tokens", Idle::Absent),
    ("sequence_bias", Idle::Absent),
    ("guidance_scale", Idle::At(1.0)),
    ("watermarking_config", Idle::Absent),
    ("num_return_sequences", Idle::At(1.0)),
];

impl Idle {
    fn holds(self, value: &Value, draws: bool) -> bool {
        let number = value.as_f64();
        match self {
            _ if *value == Value::Bool(false) || value.as_array().is_some_and(Vec::is_empty) => true,
            Self::Absent => false,
            Self::At(idle) => number == Some(idle),
            Self::Cutoff => !draws || number.is_some_and(|number| number <= 0.0 || number >= 1.0),
            Self::Share => !draws || number.is_some_and(|number| number >= 1.0),
        }
    }
}

impl Generation {
    /// Reads the file.
    ///
    /// # Errors
    /// A text that is no JSON object, or ends that are no tokens. Other settings that make no sense are left out and told.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        Self::read(text).map_err(|error| match error {
            ModelError::Config { why } => ModelError::Format { file: FILE.into(), why },
            other => other,
        })
    }

    fn read(text: &str) -> Result<Self, ModelError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ModelError::Config { why: format!("the file is not valid JSON: {error}") })?;
        let fields = Fields::new("", &value)?;
        let mut generation = Self { origin: FILE, ..Self::default() };
        generation.end_tokens = Some(generation.ends(&fields)?);
        let draws = fields.boolean("do_sample")?;
        generation.suggestion = generation.sampling(&fields, draws);
        for (key, idle) in OTHERS {
            if let Some(value) = fields.value(key).filter(|value| !idle.holds(value, draws == Some(true))) {
                generation.unfollowed.push(format!("{key} {}", brief(value)));
            }
        }
        Ok(generation)
    }

    /// Numbers that no token can have end nothing, as in transformers.
    fn ends(&mut self, fields: &Fields) -> Result<Vec<u32>, ModelError> {
        const KEY: &str = "eos_token_id";
        let Some(value) = fields.value(KEY) else {
            self.notes.push("it names no eos_token_id, so no token ends a text, as in transformers".into());
            return Ok(vec![]);
        };
        let listed = match value {
            Value::Array(list) => &list[..],
            single => std::slice::from_ref(single),
        };
        if !listed.iter().all(|token| token.is_i64() || token.is_u64()) {
            return Err(fields.wrong(KEY, value, "a token number or a list of token numbers"));
        }
        if let Some(token) = listed.iter().find(|token| as_unsigned(token).is_none()) {
            self.unfollowed.push(format!("{KEY} {token} is no token"));
        }
        let mut seen = HashSet::new();
        Ok(listed.iter().filter_map(as_unsigned).filter(|token| seen.insert(*token)).collect())
    }

    fn sampling(&mut self, fields: &Fields, draws: Option<bool>) -> Suggestion {
        let mut usable = |key: &str, low: f32, open: bool, high: f32, allowed: &str| {
            let value = fields.value(key)?;
            let found = value.as_f64().map(|number| number as f32);
            let fits = found.filter(|number| {
                // Tokens are counted.
                let whole = key != "top_k" || number.fract() == 0.0;
                whole && (low..=high).contains(number) && !(open && *number == low)
            });
            if fits.is_none() {
                self.unfollowed.push(format!("{key} {}, which must be {allowed}", brief(value)));
            }
            fits
        };
        let suggestion = Suggestion {
            temperature: usable("temperature", 0.0, false, 100.0, "from 0 to 100"),
            // Some programs write -1 for all of them.
            top_k: usable("top_k", -1.0, false, u32::MAX as f32, "a number of tokens").map(|k| k.max(0.0) as u32),
            // From 1 on all tokens are kept, and at 0 the best one is.
            top_p: usable("top_p", 0.0, false, f32::MAX, "at least 0").map(|share| share.clamp(f32::MIN_POSITIVE, 1.0)),
            min_p: usable("min_p", 0.0, false, 1.0, "from 0 to 1"),
            repeat_penalty: usable("repetition_penalty", 0.0, true, 100.0, "above 0 and at most 100"),
        };
        if draws == Some(true) {
            let or = |own: Option<f32>, usual| Some(own.unwrap_or(usual));
            return Suggestion {
                temperature: or(suggestion.temperature, 1.0),
                top_k: Some(suggestion.top_k.unwrap_or(50)),
                top_p: or(suggestion.top_p, 1.0),
                min_p: or(suggestion.min_p, 0.0),
                repeat_penalty: or(suggestion.repeat_penalty, 1.0),
            };
        }
        let idle: Vec<&str> =
            ["temperature", "top_k", "top_p", "min_p"].into_iter().filter(|key| fields.value(key).is_some()).collect();
        if !idle.is_empty() {
            let state = if draws.is_some() { "false" } else { "not set" };
            self.unfollowed.push(format!("{} (do_sample is {state}, so they mean nothing)", idle.join(", ")));
        }
        // Without a word on `do_sample` the program keeps its own way.
        Suggestion {
            temperature: draws.map(|_| 0.0),
            repeat_penalty: suggestion.repeat_penalty,
            ..Suggestion::default()
        }
    }

    /// Lets a text of the model end where the author says.
    pub fn apply(&mut self, config: &mut ModelConfig) {
        let Some(tokens) = &self.end_tokens else { return };
        if let Some(token) = tokens.iter().find(|token| **token >= config.vocab_size) {
            let note = format!("eos_token_id {token} is not among the {} tokens", config.vocab_size);
            self.unfollowed.push(note);
        }
        let first = config.end_tokens.first().copied();
        config.end_tokens = tokens.iter().copied().filter(|token| *token < config.vocab_size).collect();
        // The token that stands for the end in templates stays the first.
        config.end_tokens.sort_by_key(|token| Some(*token) != first);
    }

    /// What is not followed, as a line; `None` where all is.
    pub fn warning(&self) -> Option<String> {
        let unfollowed = (!self.unfollowed.is_empty()).then(|| format!("not followed: {}", self.unfollowed.join("; ")));
        let notes: Vec<String> = self.notes.iter().cloned().chain(unfollowed).collect();
        (!notes.is_empty()).then(|| format!("{}: {}", self.origin, notes.join("; ")))
    }

    /// The file for a model whose texts end at these tokens.
    pub fn to_json(&self, end_tokens: &[u32]) -> Value {
        let Suggestion { temperature, top_k, top_p, min_p, repeat_penalty } = self.suggestion;
        let plain = crate::network::config::json::plain_number;
        let mut json = json!({"eos_token_id": end_tokens, "repetition_penalty": plain(repeat_penalty.unwrap_or(1.0))});
        match temperature {
            Some(0.0) => json["do_sample"] = false.into(),
            _ if self.suggestion == Suggestion::default() => {}
            _ => {
                json["do_sample"] = true.into();
                json["temperature"] = plain(temperature.unwrap_or(1.0)).into();
                json["top_k"] = top_k.unwrap_or(0).into();
                json["top_p"] = plain(top_p.unwrap_or(1.0)).into();
                json["min_p"] = plain(min_p.unwrap_or(0.0)).into();
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Generation {
        Generation::from_json(text).unwrap()
    }

    #[test]
    fn one_end_or_several_and_none() {
        let ends = |text: &str| read(text).end_tokens.unwrap();
        assert_eq!(ends(r#"{"eos_token_id": [256, 257]}"#), [256, 257]);
        assert_eq!(ends(r#"{"eos_token_id": 7}"#), [7]);
        assert_eq!(ends(r#"{"eos_token_id": [7, 7, -1, 4294967296]}"#), [7]);
        assert_eq!(read(r#"{"eos_token_id": [-1]}"#).unfollowed, ["eos_token_id -1 is no token"]);
        for text in ["{}", r#"{"eos_token_id": null}"#] {
            assert_eq!(ends(text), [0u32; 0]);
            assert!(read(text).warning().unwrap().contains("no token ends a text, as in transformers"));
        }
        assert_eq!(read(r#"{"eos_token_id": []}"#).warning(), None);
    }

    #[test]
    fn settings_count_where_tokens_are_drawn() {
        let suggested = |text: &str| read(text).suggestion;
        let drawn = suggested(r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9}"#);
        assert_eq!(drawn.words().unwrap(), "temperature 0.6, top-k 50, top-p 0.9");
        assert_eq!((drawn.min_p, drawn.repeat_penalty), (Some(0.0), Some(1.0)));
        let all = r#"{"do_sample": true, "temperature": 1, "top_k": 0, "top_p": 2.0, "min_p": 0.05, "repetition_penalty": 1.1}"#;
        assert_eq!(suggested(all).words().unwrap(), "temperature 1, min-p 0.05, repeat-penalty 1.1");
        let greedy = read(r#"{"do_sample": false, "temperature": 0.6, "top_k": 20, "repetition_penalty": 1.2}"#);
        assert_eq!(greedy.suggestion.words().unwrap(), "the most probable token, repeat-penalty 1.2");
        assert_eq!((greedy.suggestion.top_k, greedy.suggestion.top_p), (None, None));
        assert!(greedy.warning().unwrap().contains("temperature, top_k (do_sample is false"));
        let unsaid = read(r#"{"eos_token_id": 1, "top_p": 0.5}"#);
        assert_eq!(unsaid.suggestion, Suggestion::default());
        assert!(unsaid.warning().unwrap().contains("top_p (do_sample is not set"));
        assert_eq!(suggested(r#"{"do_sample": null}"#).words(), None);
    }

    #[test]
    fn what_is_not_followed_is_listed() {
        let idle = r#"{"eos_token_id": 1, "do_sample": true, "num_beams": 1, "typical_p": 1.0, "epsilon_cutoff": 0.0,
            "no_repeat_ngram_size": 0, "suppress_tokens": [], "stop_strings": null, "max_length": 4096, "guidance_scale": 1,
            "bos_token_id": 0, "pad_token_id": 0, "transformers_version": "5.0", "use_cache": false, "length_penalty": 2}"#;
        assert_eq!(read(idle).warning(), None);
        let asked = r#"{"eos_token_id": 1, "do_sample": DRAWN, "num_beams": 4, "typical_p": 0.9, "eta_cutoff": 0.1,
            "suppress_tokens": [3], "min_new_tokens": 5}"#;
        let unfollowed = |drawn| read(&asked.replace("DRAWN", drawn)).unfollowed.join(", ");
        assert_eq!(
            unfollowed("true"),
            "num_beams 4, typical_p 0.9, eta_cutoff 0.1, min_new_tokens 5, suppress_tokens [3]"
        );
        assert_eq!(unfollowed("false"), "num_beams 4, min_new_tokens 5, suppress_tokens [3]");
    }

    #[test]
    fn damaged_files_are_refused_in_words() {
        let says = |text: &str, words: &[&str]| {
            let error = Generation::from_json(text).unwrap_err().to_string();
            assert!([words, &["generation_config.json"]].concat().iter().all(|word| error.contains(word)), "{error}");
        };
        says("", &["not valid JSON"]);
        says("<html>", &["not valid JSON"]);
        says("[1]", &["JSON object"]);
        says(r#"{"eos_token_id": "2"}"#, &["`eos_token_id` is \"2\"", "list of token numbers"]);
        says(r#"{"eos_token_id": [1, 2.5]}"#, &["`eos_token_id` is [1,2.5]"]);
        says(r#"{"do_sample": "yes"}"#, &["`do_sample`", "true or false"]);
    }

    #[test]
    fn settings_that_make_no_sense_are_left_out_and_noted() {
        let drawn = |setting: &str| format!(r#"{{"eos_token_id": 1, "do_sample": true, {setting}}}"#);
        for (setting, note) in [
            (r#""temperature": "hot""#, "temperature \"hot\", which must be from 0 to 100"),
            (r#""temperature": -1"#, "temperature -1, which must be from 0 to 100"),
            (r#""top_k": 2.5"#, "top_k 2.5, which must be a number of tokens"),
            (r#""top_k": -2"#, "top_k -2, which must be a number of tokens"),
            (r#""top_p": -0.5"#, "top_p -0.5, which must be at least 0"),
            (r#""min_p": 1.5"#, "min_p 1.5, which must be from 0 to 1"),
            (r#""repetition_penalty": 0"#, "repetition_penalty 0, which must be above 0 and at most 100"),
            (r#""repetition_penalty": 1e39"#, "repetition_penalty 1e39, which must be above 0 and at most 100"),
        ] {
            let generation = read(&drawn(setting));
            assert_eq!(generation.unfollowed.join("; ").replace("1e+39", "1e39"), note);
            assert_eq!(generation.suggestion, read(&drawn("\"top_k\": null")).suggestion, "{setting}");
        }
        // Some programs write -1 for all of them.
        assert_eq!(
            (read(&drawn("\"top_k\": -1")).suggestion.top_k, read(&drawn("\"top_k\": -1")).warning()),
            (Some(0), None)
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [3, 4]}"#,
            r#"{"do_sample": false, "repetition_penalty": 1.1, "eos_token_id": [3, 4]}"#,
        ] {
            let first = read(text);
            assert_eq!(read(&first.to_json(&[3, 4]).to_string()).suggestion.words(), first.suggestion.words());
            assert_eq!(read(&first.to_json(&[3, 4]).to_string()).end_tokens, first.end_tokens);
        }
    }
}
