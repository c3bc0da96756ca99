//! What can go wrong, one enum per boundary; every message says what, which, and what to do.

use std::path::PathBuf;

/// Any error of the library, by the boundary at which it arose: only the files can mend [`Error::Model`] and [`Error::Text`],
/// only the machine [`Error::Gpu`], and whoever asked [`Error::Request`]. Names of settings are those of
/// [`EngineOptions`](crate::EngineOptions) and [`Settings`](crate::Settings).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model's files are missing, damaged or not supported.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter, the device or its memory.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Tokenizer or chat template.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A request that cannot be run.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// What can be wrong with a model's files: nothing was computed yet, and nothing stays behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file cannot be opened or read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A model of the Hub cannot be fetched.
    #[error("cannot fetch {what}: {why}")]
    Fetch {
        /// Which model, and which file of it.
        what: String,
        /// What happened and what to do.
        why: String,
    },
    /// The path is neither a model folder nor a `.gguf` file.
    #[error("{path:?} is not a model: {why}")]
    NotAModel {
        /// The path as given.
        path: PathBuf,
        /// What was looked for.
        why: String,
    },
    /// The bytes do not follow the format.
    #[error("{file}: {why}")]
    Format {
        /// Which file.
        file: String,
        /// What is wrong and where.
        why: String,
    },
    /// A kit is damaged, cannot be, or was made for another model.
    #[error("draft kit {file}: {why}")]
    Kit {
        /// Which file.
        file: String,
        /// What is wrong and where.
        why: String,
    },
    /// A setting of the model is absent, absurd or contradictory.
    #[error("model config: {why}")]
    Config {
        /// Which field, what it holds and what it may hold.
        why: String,
    },
    /// The architecture or a part of it is not supported.
    #[error("not supported: {what}; supported: {supported}")]
    Unsupported {
        /// What the file asks for.
        what: String,
        /// What could be used instead.
        supported: String,
    },
    /// A tensor that the plan needs is not in the file.
    #[error("tensor `{name}` is missing; the config asks for it because {because}")]
    MissingTensor {
        /// Canonical name.
        name: String,
        /// Which setting needs it.
        because: String,
    },
    /// A tensor has another shape than the config implies.
    #[error("tensor `{name}` has shape {found:?}, but the config asks for {expected:?}")]
    Shape {
        /// Canonical name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the config implies.
        expected: Vec<usize>,
    },
    /// A tensor's data type cannot be used.
    #[error(
        "tensor `{name}` has data type {found}; supported: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_K, q3_K, q4_K, q5_K, q6_K, iq4_nl, iq4_xs; convert the model to one of these"
    )]
    DataType {
        /// Canonical name.
        name: String,
        /// Type in the file.
        found: String,
    },
    /// A tensor holds a value that is not finite.
    #[error(
        "tensor `{name}` holds a value that is not finite (NaN or infinity) in row {row}; the file is damaged or its training diverged"
    )]
    NotFinite {
        /// Canonical name.
        name: String,
        /// First row with such a value.
        row: usize,
    },
}

/// What can go wrong with the GPU. Behind [`GpuError::Lost`] the same model can be loaded again, and
/// [`Engine::resume`](crate::Engine::resume) goes on where a sequence stood; behind the others what was asked does not fit, or the
/// driver is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No adapter at all.
    #[error(
        "no GPU adapter found; install a Vulkan, Metal or DX12 driver (on Debian without a GPU: apt-get install mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// No adapter of that name or index.
    #[error("no adapter matches `{wanted}`; found: {found}")]
    NoSuchAdapter {
        /// What was asked for.
        wanted: String,
        /// Names and indices of what there is.
        found: String,
    },
    /// The adapter exists, the device cannot be opened.
    #[error("cannot open a device on `{adapter}`: {why}")]
    Open {
        /// Adapter's name.
        adapter: String,
        /// The driver's reason.
        why: String,
    },
    /// A shader or its pipeline was refused.
    #[error("kernel `{kernel}` was refused by the device: {why}")]
    Pipeline {
        /// Kernel's name.
        kernel: String,
        /// The compiler's message.
        why: String,
    },
    /// An allocation failed.
    #[error(
        "out of GPU memory: `{label}` needs {bytes} bytes; use a shorter context, a smaller model or a smaller data type"
    )]
    OutOfMemory {
        /// What was to be allocated.
        label: String,
        /// Its size.
        bytes: u64,
    },
    /// A single buffer larger than the device can bind.
    #[error(
        "`{label}` needs {bytes} bytes, this device binds at most {limit}; use a shorter context or a smaller data type"
    )]
    TooLarge {
        /// What was to be allocated.
        label: String,
        /// Its size.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// The device is gone.
    #[error("the GPU device was lost ({why}); open the model again, the text so far is kept")]
    Lost {
        /// The driver's reason.
        why: String,
    },
    /// The device reported an error outside of any call.
    #[error("the GPU reported an error: {why}")]
    Internal {
        /// The message.
        why: String,
    },
}

/// What can go wrong with text: a tokenizer or a chat template that cannot be used, or not for this conversation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer's description cannot be used.
    #[error("tokenizer: {why}")]
    Tokenizer {
        /// What is wrong, in which field.
        why: String,
    },
    /// The chat template cannot be rendered.
    #[error("chat template: {why}")]
    Template {
        /// The renderer's message.
        why: String,
    },
}

/// What can be wrong with a request. The engine is as it was before, and takes others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The prompt has no token.
    #[error("the prompt is empty and the model has no begin-of-sequence token; give a prompt of at least one token")]
    EmptyPrompt,
    /// The prompt does not fit.
    #[error("the prompt has {tokens} tokens, the context holds {context}; shorten the prompt{hint}")]
    PromptTooLong {
        /// Tokens in the prompt.
        tokens: usize,
        /// Tokens the context holds.
        context: usize,
        /// Further advice, begins with `; ` where present.
        hint: String,
    },
    /// Something that needs the whole engine while sequences are under way.
    #[error("sequences are under way; a text can be scored when all have ended or are cancelled")]
    Busy,
    /// A token outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocabulary}; does the tokenizer belong to this model?")]
    TokenOutOfRange {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A line of a file of prompts.
    #[error("line {line} is no prompt: {why}")]
    PromptLine {
        /// From 1.
        line: usize,
        /// The reader's message.
        why: String,
    },
    /// A setting out of its range.
    #[error("{name} is {value}; it must be {range}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Given value.
        value: String,
        /// Allowed values.
        range: String,
    },
}

/// A [`ModelError::Config`].
pub(crate) fn refuse(why: impl Into<String>) -> ModelError {
    ModelError::Config { why: why.into() }
}
