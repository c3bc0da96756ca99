//! What can be said to `draft`, which makes kits.

use std::path::PathBuf;

use clap::Args;

use super::args::Loading;

#[derive(Debug, Args)]
pub struct MakeKit {
    #[command(flatten)]
    pub loading: Loading,

    /// UTF-8 text that the model reads, best of the kind that it will write [default: the bundled held-out text].
    pub text: Option<PathBuf>,

    /// Folder to write: kit.json and kit.safetensors.
    #[arg(short, long, value_name = "KIT")]
    pub out: PathBuf,

    /// Guesses read the first N rows of the model's head, which in most vocabularies are the most frequent tokens.
    #[arg(long, value_name = "N", default_value_t = isobath::network::kit::HEAD_ROWS)]
    pub head_rows: u32,

    /// Rounds after which guesses are read, in a plain stack layers; `none` for none [default: a quarter, half and three
    /// quarters of all].
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = depth)]
    pub exits: Vec<u32>,

    /// Rounds after which a small network says whether the token is settled, as SpecEE does.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub predictors: Vec<u32>,

    /// One linear for all depths of --predictors that says the same from the stream alone, as CALM does.
    #[arg(long, requires = "predictors")]
    pub meta: bool,

    /// Take each line of the text for a prompt, in the model's chat template where it has one, and learn from the model's own
    /// answers: they are what it will be asked to guess.
    #[arg(long)]
    pub own_answers: bool,

    /// Read so many tokens at most.
    #[arg(long, value_name = "N")]
    pub tokens: Option<u32>,

    /// Tokens that are read together, from nothing [default: the model's context, at most 256].
    #[arg(long, value_name = "TOKENS")]
    pub window: Option<u32>,

    /// How strongly large weights are held back, as a share of each feature's spread.
    #[arg(long, value_name = "X", default_value_t = isobath::draft::Recipe::RIDGE)]
    pub ridge: f64,

    /// Instead of reading a text, take over heads of others that lie in this folder, or in this file: exit heads of DSSD,
    /// predictors of SpecEE, a draft layer of EAGLE.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["text", "own_answers", "predictors", "exits", "tokens", "window", "ridge", "head_rows"])]
    pub import: Option<PathBuf>,

    /// Overwrite a kit that is there.
    #[arg(long)]
    pub force: bool,

    /// Write one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// A depth; 0 stands for `none`.
fn depth(text: &str) -> Result<u32, String> {
    match text {
        "none" => Ok(0),
        _ => text
            .parse()
            .ok()
            .filter(|depth| *depth > 0)
            .ok_or_else(|| "it must be a number from 1 on, or `none`".into()),
    }
}
