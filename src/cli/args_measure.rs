//! What can be said to the commands that measure: `bench` and `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isobath::tensor::DataType;

use super::args::{Loading, data_type};

#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    pub loading: Loading,

    /// Random weights in a published shape instead of a model: 1M, 10M, 135M, 360M, 730M or 1.7B, then `:vanilla`,
    /// `:recursive2..4` or `:mor2..4`.
    #[arg(long, value_name = "SHAPE", conflicts_with = "model")]
    pub random: Option<String>,

    /// How the matrices of --random are stored; the paper's checkpoints are bf16.
    #[arg(long, value_name = "TYPE", value_parser = data_type, default_value = "bf16")]
    pub dtype: DataType,

    /// Tests by name: `pp512` reads a prompt, `tg128` writes, `tg128 @ d512` with so much context, `tg32 x8` in 8 lanes.
    #[arg(short, long, value_name = "NAME,..", value_delimiter = ',')]
    pub test: Vec<String>,

    /// Read prompts of so many tokens [default, where nothing else is chosen: 256].
    #[arg(long, value_name = "TOKENS,..", value_delimiter = ',')]
    pub pp: Vec<u32>,

    /// Write so many tokens in each lane [default, where nothing else is chosen: 32].
    #[arg(long, value_name = "TOKENS,..", value_delimiter = ',')]
    pub tg: Vec<u32>,

    /// Tokens of context before the first that `--tg` writes [default: 0, or 0,256 where nothing is chosen].
    #[arg(long, value_name = "TOKENS,..", value_delimiter = ',')]
    pub at: Vec<u32>,

    /// Sequences side by side, for `--tg` and the experiments [default: 1,8,32; 32 for depth and gates, 1,4 for draft, 1,8,32 for auto].
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub lanes: Vec<u32>,

    /// depth: what does stopping early save? A queue of requests of random lengths, adaptive against the best full depth.
    /// draft: what would guesses save? Texts with guesses of a set acceptance, against none. auto: `--draft auto` against none.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub experiment: Vec<Experiment>,

    /// What do gates cost? The same queue at full depth, against the same model without its gates.
    #[arg(long)]
    pub gateless: bool,

    /// Shares of depth 1, 2, .. that are drawn for the tokens instead of asking the model's gate [default for the gates of
    /// --random: equal shares].
    #[arg(long, value_name = "P,..", value_delimiter = ',')]
    pub depths: Vec<f32>,

    /// Experiments: mean of the output lengths.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub mean: u32,

    /// Experiments: standard deviation of the output lengths [default: a quarter of the mean].
    #[arg(long, value_name = "TOKENS")]
    pub deviation: Option<u32>,

    /// Draft experiment: chances that a guess is right, if those before it are.
    #[arg(long, value_name = "P,..", value_delimiter = ',', default_values_t = [0.0, 0.4, 0.6, 0.8, 1.0])]
    pub acceptance: Vec<f32>,

    /// Experiments: tokens of each prompt.
    #[arg(long, value_name = "TOKENS", default_value_t = 1)]
    pub prompt: u32,

    /// Experiments: requests in the queue per lane.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub requests: u32,

    /// Repetitions; what is compared runs in turns.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repetitions: u32,

    /// In which order rounds are run [default: what suits model and adapter; experiments try all and take the best].
    #[arg(long, value_enum)]
    pub order: Option<OrderChoice>,

    /// How the table is written.
    #[arg(long, value_enum, default_value_t = TableFormat::Md)]
    pub output: TableFormat,
}

/// `--experiment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Experiment {
    /// Adaptive depth against full depth.
    Depth,
    /// Guesses that are right as often as is wanted, against none.
    Draft,
    /// Guesses of the text itself, where they pay, against none.
    Auto,
}

/// `--order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrderChoice {
    /// Round by round, each over the lanes that remain.
    Waves,
    /// Lanes of all depths in one pass.
    Mixed,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// A Markdown table.
    Md,
    /// A JSON object per line.
    Json,
    /// Comma-separated values.
    Csv,
}

#[derive(Debug, Args)]
pub struct Eval {
    #[command(flatten)]
    pub loading: Loading,

    /// UTF-8 text to judge the model by [default: the bundled held-out text]. Alone, a path that is not a model is this.
    pub text: Option<PathBuf>,

    /// Tokens that are judged together, from nothing [default: the model's context, at most 512].
    #[arg(long, value_name = "TOKENS")]
    pub window: Option<u32>,

    /// Only the first N windows.
    #[arg(long, value_name = "N")]
    pub windows: Option<u32>,

    /// Fixed depths to judge as well [default: all].
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub depths: Vec<u32>,

    /// Judge at N thresholds of the gate as well, evenly spaced over its scores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sweep: u32,

    /// Write a JSON line per token here: depth, the gate's scores, log-probability at every depth, entropy.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// How the table is written.
    #[arg(long, value_enum, default_value_t = TableFormat::Md)]
    pub output: TableFormat,
}
