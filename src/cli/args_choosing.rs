//! How tokens are chosen: the options that `run` and `chat` share.

use std::hash::{BuildHasher, Hasher, RandomState};

use clap::{Args, ValueEnum};
use isobath::engine::request::{Routing, Sampling};
use isobath::error::RequestError;
use isobath::network::generation::Suggestion;
use isobath::service::Settings;

/// How tokens are chosen, and how deep they go.
#[derive(Debug, Args)]
pub struct Choosing {
    /// Logits are divided by this; 0 takes the most probable token [default: 0 for run; for chat what the model's
    /// generation_config.json says, else 0.7].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub temperature: Option<f32>,

    /// Only the K most probable tokens; 0 keeps all [default: 0; for chat as the model says, and so below].
    #[arg(long, value_name = "K")]
    pub top_k: Option<u32>,

    /// Only the most probable tokens that sum up to P; 1 keeps all [default: 1].
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,

    /// Only tokens at least P times as probable as the best; 0 keeps all [default: 0].
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,

    /// Tokens that were seen become less probable by this factor; 1 is off [default: 1].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repeat_penalty: Option<f32>,

    /// Seed of the random numbers; the same seed gives the same text. -1 draws a seed and tells it, unless `--quiet`.
    #[arg(long, default_value = "0", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Seed,

    /// End before this text; can be given several times.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,

    /// Every token runs exactly this many rounds [default: each token as many as the model decides].
    #[arg(long = "depth", value_name = "ROUNDS", allow_negative_numbers = true)]
    pub depth: Option<i64>,

    /// How an expert-choice model decides: by each token's own score, or the best k of a whole prompt.
    #[arg(long, value_enum, default_value_t = RoutingChoice::Threshold)]
    pub routing: RoutingChoice,
}

/// `--seed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The number.
    pub value: u64,
    /// Drawn, so that it is worth telling.
    pub drawn: bool,
}

fn seed(text: &str) -> Result<Seed, String> {
    if text == "-1" {
        // The standard library's own source of chance; short, since somebody may have to type it again.
        let value = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        return Ok(Seed { value, drawn: true });
    }
    let value =
        text.parse().map_err(|_| format!("it must be a whole number from 0 to {}, or -1 for chance", u64::MAX))?;
    Ok(Seed { value, drawn: false })
}

/// `--routing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoutingChoice {
    /// By its own score: causal, alike for prompts and answers.
    Threshold,
    /// The k best of the prompt, as the released training code does; for comparison only.
    TopK,
}

impl Choosing {
    /// The sampling settings, checked.
    pub fn sampling(&self, default_temperature: f32) -> Result<Sampling, RequestError> {
        self.sampling_beside(&Suggestion::default(), default_temperature)
    }

    /// The same where the model's author has suggested some.
    pub fn sampling_beside(&self, model: &Suggestion, default_temperature: f32) -> Result<Sampling, RequestError> {
        let sampling = Sampling {
            temperature: self.temperature.or(model.temperature).unwrap_or(default_temperature),
            top_k: self.top_k.or(model.top_k).unwrap_or(0),
            top_p: self.top_p.or(model.top_p).unwrap_or(1.0),
            min_p: self.min_p.or(model.min_p).unwrap_or(0.0),
            repeat_penalty: self.repeat_penalty.or(model.repeat_penalty).unwrap_or(1.0),
            seed: self.seed.value,
        };
        sampling.check()?;
        if self.stop.iter().any(String::is_empty) {
            return Err(RequestError::Setting {
                name: "stop",
                value: "empty".into(),
                range: "a text of at least one character".into(),
            });
        }
        Ok(sampling)
    }

    /// The forced depth, checked as far as it can be without the model.
    pub fn depth(&self) -> Result<Option<u32>, RequestError> {
        match self.depth {
            None => Ok(None),
            Some(depth) => match u32::try_from(depth) {
                Ok(rounds) if rounds > 0 => Ok(Some(rounds)),
                _ => Err(RequestError::Setting {
                    name: "depth",
                    value: depth.to_string(),
                    range: "at least 1 and at most the model's number of rounds (see `isobath inspect`)".into(),
                }),
            },
        }
    }

    /// How a text of at most so many tokens is written, beside what the model's author has suggested.
    pub fn settings(
        &self,
        max_tokens: u32,
        model: &Suggestion,
        default_temperature: f32,
    ) -> Result<Settings, RequestError> {
        let drawn = Settings::of(max_tokens).drawn(self.sampling_beside(model, default_temperature)?);
        Ok(Settings { stop: self.stop.clone(), depth: self.depth()?, routing: self.routing(), ..drawn })
    }

    /// Tells a seed that was drawn.
    pub fn tell_seed(&self, quiet: bool) {
        if self.seed.drawn && !quiet {
            eprintln!("seed {}", self.seed.value);
        }
    }

    /// Routing of expert-choice models.
    fn routing(&self) -> Routing {
        match self.routing {
            RoutingChoice::Threshold => Routing::Threshold,
            RoutingChoice::TopK => Routing::TopK,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};

    fn choosing(extra: &[&str]) -> Choosing {
        let words = ["isobath", "run"].iter().chain(extra);
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Run(run) => run.choosing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_greedy_and_leave_depth_to_the_model() {
        let choosing = choosing(&[]);
        assert_eq!(choosing.sampling(0.0).unwrap(), Sampling::GREEDY);
        assert_eq!(choosing.depth().unwrap(), None);
        assert_eq!(choosing.routing(), Routing::Threshold);
    }

    #[test]
    fn settings_out_of_range_are_refused_with_their_name() {
        let check = |words: &[&str], want: &str| {
            let choosing = choosing(words);
            let error = choosing.sampling(0.0).err().or(choosing.depth().err()).unwrap().to_string();
            assert!(error.starts_with(want), "{words:?}: {error}");
        };
        check(&["--temperature", "-1"], "temperature is -1; it must be between 0 and 100");
        check(&["--temperature", "NaN"], "temperature is NaN");
        check(&["--top-p", "0"], "top-p is 0");
        check(&["--min-p", "1.5"], "min-p is 1.5");
        check(&["--repeat-penalty", "0"], "repeat-penalty is 0");
        check(&["--stop", ""], "stop is empty");
        check(&["--depth", "0"], "depth is 0; it must be at least 1");
        check(&["--depth", "-3"], "depth is -3");
        check(&["--depth", "99999999999"], "depth is 99999999999");
    }

    #[test]
    fn a_seed_is_a_number_or_chance() {
        assert_eq!(choosing(&["--seed", "18446744073709551615"]).seed, Seed { value: u64::MAX, drawn: false });
        assert!(choosing(&["--seed", "-1"]).seed.drawn);
        assert_ne!(choosing(&["--seed", "-1"]).seed, choosing(&["--seed", "-1"]).seed);
        for wrong in ["-2", "1.5", "many", "18446744073709551616"] {
            let error = Arguments::try_parse_from(["isobath", "run", "--seed", wrong]).unwrap_err().to_string();
            assert!(error.contains("from 0 to 18446744073709551615, or -1"), "{error}");
        }
    }

    #[test]
    fn stop_can_be_repeated_and_routing_named() {
        let choosing = choosing(&["--stop", "a", "--stop", "b", "--routing", "top-k", "--depth", "2"]);
        assert_eq!(choosing.stop, ["a", "b"]);
        assert_eq!(choosing.routing(), Routing::TopK);
        assert_eq!(choosing.depth().unwrap(), Some(2));
    }
}
