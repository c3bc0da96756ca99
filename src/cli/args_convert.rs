//! What can be said to the commands that write models: `import` and `convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isobath::files::mixture::Mixture;
use isobath::files::write::ExportType;
use isobath::tensor::DataType;
use isobath::tensor::quantise::WRITTEN;

#[derive(Debug, Args)]
pub struct Import {
    /// Folder with config.json and weights, of Hugging Face, of the released Mixture-of-Recursions code or of Isobath, or
    /// a .gguf file.
    pub source: PathBuf,

    /// Folder to write, or a file whose name ends with .gguf.
    pub dest: PathBuf,

    /// YAML with which the model was trained; it says what the tensors do not tell.
    #[arg(long, value_name = "YAML")]
    pub training: Option<PathBuf>,

    /// A setting that the tensors do not tell, as in `router.alpha=0.1`; can be given several times. The paths are those
    /// of the `isobath` block (docs/models.md).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,

    /// Type of the weights: a mixture as llama.cpp makes it (q4_k_m, q5_k_m, q6_k, q8_0), or one type for all matrices
    /// (f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q4_K, q5_K) [default: as they are].
    #[arg(long, value_name = "TYPE", value_parser = export_type)]
    pub dtype: Option<ExportType>,

    #[command(flatten)]
    pub writing: Writing,
}

#[derive(Debug, Args)]
pub struct Convert {
    /// A plain Llama model; with --merge a recursive one.
    pub source: PathBuf,

    /// Folder to write; with --merge also a file whose name ends with .gguf.
    pub dest: PathBuf,

    /// How often the shared layers run.
    #[arg(long, value_name = "N", required_unless_present = "merge")]
    pub recursions: Option<u32>,

    /// Which layers share their weights.
    #[arg(long, value_enum, default_value_t = SharingChoice::Cycle)]
    pub sharing: SharingChoice,

    /// Where the shared weights come from [default: average with adapters, stepwise without].
    #[arg(long, value_enum)]
    pub start: Option<StartChoice>,

    /// Rank of the adapters that take up what sharing loses; 0 for none, a large number for full rank.
    #[arg(long, value_name = "R", default_value_t = 0)]
    pub rank: u32,

    /// Every unrolled layer keeps norms of its own.
    #[arg(long)]
    pub own_norms: bool,

    /// The other way: unroll a recursive model into a plain one and merge its adapters.
    #[arg(long, conflicts_with_all = ["recursions", "sharing", "start", "rank", "own_norms"])]
    pub merge: bool,

    /// Type of the weights, as of `isobath import`.
    #[arg(long, value_name = "TYPE", value_parser = export_type, default_value = "f32")]
    pub dtype: ExportType,

    #[command(flatten)]
    pub writing: Writing,
}

/// What both have.
#[derive(Debug, Clone, Args)]
pub struct Writing {
    /// A tokenizer.json, where the source has none.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,

    /// Judge both models by this text and tell what the change costs.
    #[arg(long, value_name = "TEXT")]
    pub measure: Option<PathBuf>,

    /// Judge by the first N windows of 512 tokens only.
    #[arg(long, value_name = "N", requires = "measure")]
    pub windows: Option<u32>,

    /// GPU to judge on, by index or part of its name (see `isobath adapters`).
    #[arg(long, value_name = "NAME|INDEX", requires = "measure")]
    pub adapter: Option<String>,

    /// Overwrite a model that is there.
    #[arg(long)]
    pub force: bool,

    /// Print nothing on stderr but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `--sharing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SharingChoice {
    /// The whole stack is one block that repeats.
    Cycle,
    /// Each layer repeats in place.
    Sequence,
    /// As cycle; the first and the last layer stand alone.
    MiddleCycle,
    /// As sequence; the first and the last layer stand alone.
    MiddleSequence,
}

/// `--start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartChoice {
    /// Layers at even distances.
    Stepwise,
    /// The mean of all layers that are to share.
    Average,
    /// The lowest layers.
    Lower,
    /// The highest layers.
    Upper,
}

/// A mixture, or a type of which there is no mixture of the same name.
fn export_type(name: &str) -> Result<ExportType, String> {
    if let Some(mixture) = Mixture::ALL.into_iter().find(|mixture| mixture.name().eq_ignore_ascii_case(name)) {
        return Ok(ExportType::Mixture(mixture));
    }
    if let Some(plain) = WRITTEN.into_iter().find(|data_type| data_type.name().eq_ignore_ascii_case(name)) {
        return Ok(ExportType::As(plain));
    }
    let mixtures = Mixture::ALL.map(Mixture::name);
    let is_mixture = |name: &str| mixtures.iter().any(|mixture| mixture.eq_ignore_ascii_case(name));
    let plain: Vec<&str> = WRITTEN.map(DataType::name).into_iter().filter(|name| !is_mixture(name)).collect();
    Err(format!("it must be one of {} (mixtures), {}", mixtures.join(", "), plain.join(", ")))
}
