//! The command line: what can be said, and what holds where nothing is said.
//!
//! **Invariant:** nothing is opened or read here; a value that is well formed but out of range is refused by
//! [`Choosing::sampling`] and [`Choosing::depth`], so that it ends like any other refused request.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use isobath::error::RequestError;
use isobath::network::exit::ExitChoice;
use isobath::service::{Draft, Drafting};
use isobath::tensor::DataType;
use isobath::tensor::quantise::WRITTEN;

pub use super::args_choosing::Choosing;
pub use super::args_convert::{Convert, Import, SharingChoice, StartChoice, Writing};
pub use super::args_draft::MakeKit;
pub use super::args_measure::{Bench, Eval, Experiment, OrderChoice, TableFormat};
use super::gate::GateChoice;

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
    /// Make a kit, by which a model's tokens can be guessed before all of its layers have run.
    Draft(MakeKit),
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

    /// Text to continue; `-` reads it from stdin. It is shown before what the model adds, unless it came from stdin.
    #[arg(short, long, default_value = "Once upon a time", hide_default_value = false, allow_hyphen_values = true)]
    pub prompt: String,

    /// Write only what the model adds.
    #[arg(long)]
    pub no_prompt: bool,

    /// Most tokens to write; most texts end before.
    #[arg(short = 'n', long, default_value_t = 512)]
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
    /// writes to a file; a pipe or a device is written to as it is, `-` is stdout.
    #[arg(long, value_name = "FILE", requires = "batch")]
    pub out: Option<PathBuf>,

    /// Prompts that are answered side by side.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "batch")]
    pub lanes: u32,

    /// Tokens that the KV cache holds for all of them together; with less than all could fill, some wait [default: what all
    /// could fill, at most 1 GiB].
    #[arg(long, value_name = "TOKENS", requires = "batch")]
    pub cache_tokens: Option<u32>,
}

#[cfg(feature = "gui")]
#[derive(Debug, Args)]
pub struct Gui {
    /// A folder with config.json, tokenizer.json and model.safetensors, or a .gguf file; the bundled model if left out.
    pub model: Option<PathBuf>,

    /// The GPU that computes and draws: part of its name, or its index in `isobath adapters`.
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,

    /// Compile shaders with every check that can be added, to tell a fault of ours from one of a driver; slower.
    #[arg(long, hide = true)]
    pub checked_shaders: bool,

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
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
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

    /// Compile shaders with every check that can be added, to tell a fault of ours from one of a driver; slower.
    #[arg(long, hide = true)]
    pub checked_shaders: bool,

    /// Tokens that prompt and answer may have together, at most the model's own limit [default: 4096; what a longer prompt of
    /// `run` and its answer need; for `chat` 8192].
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<u32>,

    /// Who decides how deep tokens go: the gate that the model was trained with, `top-2-gap`, `cosine`; with a threshold for all
    /// rounds, or one for each, first round first [default: trained].
    #[arg(long, value_name = "NAME[=THRESHOLDS]", value_parser = super::gate::gate, allow_hyphen_values = true)]
    pub gate: Option<GateChoice>,

    /// Let tokens leave a plain stack of layers early, with a threshold of its own; the text changes. Modes: calm-gap, calm-max,
    /// calm-state, calm-meta, valade, specee, free, free-adaptive, ee-llm, layerskip (docs/exits.md).
    #[arg(long, value_name = "MODE[=THRESHOLD]", value_parser = super::exit::exit)]
    pub exit: Option<ExitChoice>,

    /// Who guesses what follows, to be checked several tokens at a time; texts stay the same: off, auto, lookup (what followed the last
    /// words where they stood before), rounds or rounds=N (the model's first rounds, or layers: exit=N), or the folder of a kit (see
    /// `isobath draft`), with #jump or #exit-N behind it for one of its parts [default: auto for run and chat, else off].
    #[arg(long, value_name = "WHO")]
    pub draft: Option<Draft>,

    /// Guesses that are checked behind each token [default: as many as pay].
    #[arg(long, value_name = "N")]
    pub guesses: Option<u32>,

    /// Print the time that each kernel took, where the GPU has timestamps.
    #[arg(long)]
    pub profile: bool,

    /// Print nothing on stderr but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

impl Loading {
    /// Who guesses, where nothing is said of it.
    pub fn drafting(&self, otherwise: Draft) -> Drafting {
        let otherwise = super::exit::usual_draft(self, otherwise);
        Drafting { draft: self.draft.clone().unwrap_or(otherwise), guesses: self.guesses }
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

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn texts_may_begin_with_a_dash() {
        let words = ["isobath", "run", "-p", "- milk", "--stop", "---", "--stop", "-", "--stop=-q", "-n", "3"];
        let Command::Run(run) = Arguments::try_parse_from(words).unwrap().command else { panic!("run") };
        assert_eq!((run.prompt.as_str(), run.tokens), ("- milk", 3));
        assert_eq!(run.choosing.stop, ["---", "-", "-q"]);
        let words = ["isobath", "chat", "--system", "- be brief"];
        let Command::Chat(chat) = Arguments::try_parse_from(words).unwrap().command else { panic!("chat") };
        assert_eq!(chat.system.as_deref(), Some("- be brief"));
    }

    #[test]
    fn a_context_of_nothing_is_refused() {
        assert!(check_context(Some(0)).is_err());
        assert!(check_context(Some(1)).is_ok() && check_context(None).is_ok());
    }
}
