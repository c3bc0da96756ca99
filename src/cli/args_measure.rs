//! What can be said to the commands that measure: `bench` and `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::Loading;

#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    pub loading: Loading,

    /// Random weights in a published shape instead of a model: 1M, 10M, 135M, 360M, 730M or 1.7B, then `:vanilla`,
    /// `:recursive2..4` or `:mor2..4`.
    #[arg(long, value_name = "SHAPE", conflicts_with = "model")]
    pub random: Option<String>,

    /// Sequences side by side; several are measured one after the other.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "32")]
    pub lanes: Vec<u32>,

    /// Shares of depth 1, 2, .. that are drawn for the tokens instead of asking the model's gate [default with --random:
    /// equal shares].
    #[arg(long, value_name = "P,..", value_delimiter = ',')]
    pub depths: Vec<f32>,

    /// Mean of the output lengths.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub mean: u32,

    /// Standard deviation of the output lengths [default: a quarter of the mean].
    #[arg(long, value_name = "TOKENS")]
    pub deviation: Option<u32>,

    /// Tokens of each prompt.
    #[arg(long, value_name = "TOKENS", default_value_t = 1)]
    pub prompt: u32,

    /// Requests in the queue per lane.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub requests: u32,

    /// Repetitions, adaptive and full depth in turns.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repetitions: u32,

    /// In which order rounds are run [default: what suits the model].
    #[arg(long, value_enum)]
    pub order: Option<OrderChoice>,

    /// How the table is written.
    #[arg(long, value_enum, default_value_t = TableFormat::Md)]
    pub output: TableFormat,
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

    /// Judge at N thresholds as well, evenly spaced over the scores of an expert-choice router.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sweep: u32,

    /// Write a JSON line per token here: depth, router scores, log-probability at every depth, entropy.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// How the table is written.
    #[arg(long, value_enum, default_value_t = TableFormat::Md)]
    pub output: TableFormat,
}
