//! The command line: what can be said, and what holds where nothing is said.
//!
//! **Invariant:** nothing is opened or read here; a value that is well formed but out of range is refused by
//! [`Choosing::sampling`] and [`Choosing::depth`], so that it ends like any other refused request.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use isobath::engine::request::{Routing, Sampling};
use isobath::error::RequestError;
use isobath::model::generation::Suggestion;
use isobath::model::quantise::WRITTEN;
use isobath::model::tensor::DataType;

pub use super::args_convert::{Convert, Import, SharingChoice, StartChoice, Writing};
pub use super::args_measure::{Bench, Eval, Experiment, OrderChoice, TableFormat};

const AFTER_HELP: &str = "\
Results are written to stdout, everything else to stderr.

Exit codes:
    0  done (a reader that closes the pipe early is no error)
    1  failure of another kind
    2  the command line cannot be understood
    3  the model cannot be used
    4  no GPU, or the GPU failed
    5  the request was refused: a setting out of range, a prompt that does not fit
  130  interrupted by Ctrl-C; what was written until then stays

Environment:
  NO_COLOR     depths are written as marks instead of colours
  ISOBATH_LOG  what is logged to stderr, for example `debug` or `isobath=trace`";

/// Runs language models whose tokens differ in depth, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "isobath", version, after_help = AFTER_HELP, after_long_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Continue a prompt, token by token.
    Run(Run),
    /// Talk with a model; /help lists what else can be said.
    Chat(Chat),
    /// Measure this machine: reading, writing, and what stopping early saves when many sequences are written at once.
    Bench(Bench),
    /// Judge a model by a text it has not seen: loss at every depth, and what depth buys.
    Eval(Eval),
    /// Show a model's plan, sizes and faults without opening a GPU.
    Inspect(Inspect),
    /// Write a model of others as a folder or a GGUF file, quantised where that is asked for.
    Import(Import),
    /// Make a plain model recursive, ready to be trained further, or unroll a recursive one.
    Convert(Convert),
    /// Open the window: text in the colours of depth, lanes, and throughput, live.
    #[cfg(feature = "gui")]
    Gui(Gui),
    /// List the GPUs that a model can run on.
    Adapters(Adapters),
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub loading: Loading,

    /// Text to continue; `-` reads it from stdin.
    #[arg(short, long, default_value = "Once upon a time", hide_default_value = false)]
    pub prompt: String,

    /// Most tokens to write.
    #[arg(short = 'n', long, default_value_t = 128)]
    pub tokens: u32,

    #[command(flatten)]
    pub choosing: Choosing,

    /// Write past the model's end-of-sequence tokens.
    #[arg(long)]
    pub ignore_end: bool,

    /// Show how deep each token went: a colour per token, the histogram at the end.
    #[arg(long, conflicts_with = "json")]
    pub show_depth: bool,

    /// Write one JSON object per line for each event instead of text.
    #[arg(long)]
    pub json: bool,

    /// Tell the N most probable tokens with each one, at most 16.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "json",
          value_parser = clap::value_parser!(u32).range(..=16))]
    pub alternatives: u32,

    /// Answer many prompts at once: a file with a JSON line for each, a string, an object with `prompt` and optionally
    /// `id`, `tokens`, `stop`, `depth`, `priority` and sampling, or a line of OpenAI's batches (`custom_id`, `body`). `-`
    /// reads them from stdin. A JSON line is written for each as it ends.
    #[arg(long, value_name = "PROMPTS", conflicts_with_all = ["prompt", "show_depth", "json"])]
    pub batch: Option<PathBuf>,

    /// Write the answers to this file; answers that it holds already are not computed again. One run at a time
    /// writes to a file; a pipe or a device is written to as it is.
    #[arg(long, value_name = "FILE", requires = "batch")]
    pub out: Option<PathBuf>,

    /// Prompts that are answered side by side.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "batch")]
    pub lanes: u32,
}

#[cfg(feature = "gui")]
#[derive(Debug, Args)]
pub struct Gui {
    /// A folder with config.json, tokenizer.json and model.safetensors, or a .gguf file; the bundled model if left out.
    pub model: Option<PathBuf>,

    /// The GPU that computes and draws: part of its name, or its index in `isobath adapters`.
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,

    /// Sequences side by side; otherwise as set in the window.
    #[arg(long, value_name = "N")]
    pub lanes: Option<u32>,

    /// Show a run that the window saved.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,

    /// Save the run when the window is closed, for `--replay`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Neither take over nor keep what is set in the window.
    #[arg(long)]
    pub fresh: bool,

    /// Tell at the end how long frames took while text was written.
    #[arg(long)]
    pub frame_times: bool,
}

#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    pub loading: Loading,

    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,

    /// Most tokens per answer.
    #[arg(short = 'n', long, default_value_t = 512)]
    pub tokens: u32,

    #[command(flatten)]
    pub choosing: Choosing,

    /// Show how deep each token went: a colour per token, the histogram after each answer.
    #[arg(long)]
    pub show_depth: bool,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// Folder with config.json, tokenizer.json and model.safetensors, a .gguf file, or owner/name[:file.gguf] on the
    /// Hugging Face Hub [default: the bundled model].
    pub model: Option<PathBuf>,

    /// Branch, tag or commit of a model on the Hub [default: main].
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,

    /// Write one JSON object instead of the picture.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Adapters {
    /// Write one JSON object per line and adapter.
    #[arg(long)]
    pub json: bool,
}

/// Which model, on what.
#[derive(Debug, Clone, Args)]
pub struct Loading {
    /// Folder with config.json, tokenizer.json and model.safetensors, a .gguf file, or owner/name[:file.gguf] on the
    /// Hugging Face Hub [default: the bundled model].
    pub model: Option<PathBuf>,

    /// Branch, tag or commit of a model on the Hub [default: main].
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,

    /// GPU to use, by index or part of its name (see `isobath adapters`).
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,

    /// Tokens that prompt and answer may have together [default: the model's own limit].
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<u32>,

    /// Print the time that each kernel took, where the GPU has timestamps.
    #[arg(long)]
    pub profile: bool,

    /// Print nothing on stderr but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

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

    /// Seed of the random numbers; the same seed gives the same text.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// End before this text; can be given several times.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,

    /// Every token runs exactly this many rounds [default: each token as many as the model decides].
    #[arg(long = "depth", value_name = "ROUNDS", allow_negative_numbers = true)]
    pub depth: Option<i64>,

    /// How an expert-choice model decides: by each token's own score, or the best k of a whole prompt.
    #[arg(long, value_enum, default_value_t = RoutingChoice::Threshold)]
    pub routing: RoutingChoice,
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
            seed: self.seed,
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

    /// Routing of expert-choice models.
    pub fn routing(&self) -> Routing {
        match self.routing {
            RoutingChoice::Threshold => Routing::Threshold,
            RoutingChoice::TopK => Routing::TopK,
        }
    }
}

/// Refuses a context that holds nothing.
pub fn check_context(context: Option<u32>) -> Result<(), RequestError> {
    if context == Some(0) {
        let (name, value, range) = ("context", "0".into(), "at least 1 token".into());
        return Err(RequestError::Setting { name, value, range });
    }
    Ok(())
}

/// A data type that can be written, by its name.
pub(super) fn data_type(name: &str) -> Result<DataType, String> {
    let found = WRITTEN.into_iter().find(|data_type| data_type.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("it must be one of {}", WRITTEN.map(DataType::name).join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn choosing(extra: &[&str]) -> Choosing {
        let words = ["isobath", "run"].iter().chain(extra);
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Run(run) => run.choosing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
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
    fn stop_can_be_repeated_and_routing_named() {
        let choosing = choosing(&["--stop", "a", "--stop", "b", "--routing", "top-k", "--depth", "2"]);
        assert_eq!(choosing.stop, ["a", "b"]);
        assert_eq!(choosing.routing(), Routing::TopK);
        assert_eq!(choosing.depth().unwrap(), Some(2));
    }

    #[test]
    fn a_context_of_nothing_is_refused() {
        assert!(check_context(Some(0)).is_err());
        assert!(check_context(Some(1)).is_ok() && check_context(None).is_ok());
    }
}
