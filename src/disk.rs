//! A model's files on a disk: from a path to [`Files`], and from there in one step to a [`Model`].
//!
//! **Invariant:** the only part of the library that opens files or looks at a clock; it is not there in a browser. Beside it
//! [`Model::wait`], [`Writing::text`](service::Writing::text) and a `Writing` as an iterator block, and natively any future
//! that reads from the GPU holds its thread until the GPU is done.
//! Every path that is not a model ends with a message that says what was looked for and what to do.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use memmap2::Mmap;

use crate::engine::EngineOptions;
use crate::error::{Error, ModelError};
use crate::files::index::Index;
use crate::files::kit::read as read_kit;
use crate::files::safetensors::Folder;
use crate::gpu::Gpu;
use crate::network::kit::{KIT_JSON, KIT_TENSORS, Kit};
use crate::service::{self, Bytes, Files, FolderFiles, Model};
use crate::text::LocalTime;

const EXPECTED: &str = "a model is a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file";

/// Where a folder's weights are looked for, in this order: a file, or an index of several.
pub const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// What else is read of a folder, where it is there.
pub const TEXTS: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Opens a model, a folder or a `.gguf` file, on the best GPU there is, and waits until it is ready for one sequence at a
/// time. The date that chat templates ask for is that of the system's clock, in UTC.
///
/// # Errors
/// What is wrong with the files, or that there is no GPU with room for them.
pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
    open_with(path, EngineOptions::default())
}

/// The same with other options: lanes for more sequences side by side, a longer context, alternatives to each token.
///
/// # Errors
/// As [`open()`].
pub fn open_with(path: impl AsRef<Path>, options: EngineOptions) -> Result<Model, Error> {
    let files = files(path)?;
    pollster::block_on(async {
        let parts = files.read(Some(utc)).await?;
        let gpu = Gpu::open(None).await?.with_clock(nanoseconds());
        parts.load(gpu, options, &mut |_| {}).await
    })
}

/// The files of a model, a folder or a `.gguf` file. Weights are mapped: what is not used is not read.
///
/// # Errors
/// What was looked for and not found, and what cannot be read.
pub fn files(path: impl AsRef<Path>) -> Result<Files, ModelError> {
    Place::at(path.as_ref())?.files()
}

/// The kit in a folder, see [`Kit`]. Whether it belongs to a model, [`Kit::fits`] tells.
///
/// # Errors
/// What was looked for and not found, what cannot be read, and what is wrong with it.
pub fn kit(folder: impl AsRef<Path>) -> Result<Kit, ModelError> {
    let folder = folder.as_ref();
    let (json, tensors) = (folder.join(KIT_JSON), folder.join(KIT_TENSORS));
    for path in [&json, &tensors] {
        if !path.is_file() {
            let why = format!("there is no such file; a kit is a folder with {KIT_JSON} and {KIT_TENSORS}");
            return Err(ModelError::Kit { file: path.display().to_string(), why });
        }
    }
    let shown = [json.display().to_string(), tensors.display().to_string()];
    read_kit(&text(json)?, &map(&tensors)?, [&shown[0], &shown[1]])
}

/// A clock that never goes back: nanoseconds since now. By it the engine tells how far ahead of the GPU it must be.
pub fn nanoseconds() -> impl Fn() -> u64 + Send + Sync + 'static {
    let begin = Instant::now();
    move || begin.elapsed().as_nanos() as u64
}

/// The system's time, of no particular zone.
fn utc() -> LocalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LocalTime { unix_seconds: since.as_secs() as i64, offset_seconds: 0, microseconds: since.subsec_micros() }
}

/// Where a model lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder in the manner of Hugging Face.
    Folder(PathBuf),
    /// A GGUF file, which holds everything.
    Gguf(PathBuf),
}

impl Place {
    /// What lies at a path.
    ///
    /// # Errors
    /// Nothing, or something that is no model.
    pub fn at(path: &Path) -> Result<Self, ModelError> {
        let not_a_model = |why: String| Err(ModelError::NotAModel { path: path.to_owned(), why });
        let kind = match fs::metadata(path) {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return not_a_model(format!("there is no such file or folder; {EXPECTED}"));
            }
            Err(source) => return Err(ModelError::Read { path: path.to_owned(), source }),
        };
        if kind.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("gguf") => Ok(Self::Gguf(path.to_owned())),
            Some("safetensors" | "json" | "bin" | "pt" | "pth" | "ckpt") => {
                not_a_model("it is one file of a model; give the folder that holds it".into())
            }
            _ => not_a_model(format!("the name does not end with .gguf; {EXPECTED}")),
        }
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path,
        }
    }

    /// What the model's author wants to be said when it runs: the first line of the folder's NOTE.txt.
    pub fn note(&self) -> Option<String> {
        let Self::Folder(folder) = self else { return None };
        let text = fs::read_to_string(folder.join("NOTE.txt")).ok()?;
        text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
    }

    /// The files, with the weights mapped.
    ///
    /// # Errors
    /// What was looked for and not found, and what cannot be read.
    pub fn files(&self) -> Result<Files, ModelError> {
        let folder = match self {
            Self::Gguf(path) => return Ok(Files::gguf(path.display().to_string(), map(path)?)),
            Self::Folder(folder) => folder,
        };
        let boxed = |(file, bytes)| (file, Box::new(bytes) as Bytes);
        Ok(Files::Folder(FolderFiles {
            config: config(folder)?,
            tokenizer: tokenizer(folder)?.into_bytes(),
            chat_template: optional(folder, "chat_template.jinja")?,
            tokenizer_config: tokenizer_config(folder)?,
            special_tokens_map: optional(folder, "special_tokens_map.json")?,
            generation_config: generation_config(folder)?,
            tensors: weights(folder)?.into_iter().map(boxed).collect(),
        }))
    }
}

/// The text of config.json.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn config(folder: &Path) -> Result<String, ModelError> {
    let path = folder.join("config.json");
    if path.is_file() {
        return text(path);
    }
    let entries = names(folder)?;
    let mut why = "it has no config.json; looked for config.json, tokenizer.json and model.safetensors".to_owned();
    if let Some(gguf) = entries.iter().find(|name| name.ends_with(".gguf")) {
        why += &format!("; to run the GGUF file in it, name it: {}", folder.join(gguf).display());
    } else if entries.is_empty() {
        why += "; the folder is empty";
    } else {
        why += &format!("; it holds {}", some_of(&entries));
    }
    Err(ModelError::NotAModel { path: folder.to_owned(), why })
}

/// The text of tokenizer.json.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn tokenizer(folder: &Path) -> Result<String, ModelError> {
    let path = folder.join("tokenizer.json");
    if path.is_file() {
        return text(path);
    }
    if names(folder)?.iter().any(|name| name == "tokenizer.model") {
        return Err(ModelError::Unsupported {
            what: format!("tokenizer.model (SentencePiece) in {folder:?}"),
            supported: "tokenizer.json; save the tokenizer with transformers' AutoTokenizer.save_pretrained".into(),
        });
    }
    let why = "it has no tokenizer.json; copy the one that belongs to the model into the folder".into();
    Err(ModelError::NotAModel { path: folder.to_owned(), why })
}

/// The files of the weights, mapped, with the names that messages use. Where an index lists them, each tensor was seen
/// to stand where it says.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn weights(folder: &Path) -> Result<Vec<(String, Mmap)>, ModelError> {
    let Some(path) = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
        let why = format!("it has neither {}; it holds {}", WEIGHTS.join(" nor "), some_of(&names(folder)?));
        return Err(ModelError::NotAModel { path: folder.to_owned(), why });
    };
    let shown = path.display().to_string();
    if path.extension().is_none_or(|kind| kind != "json") {
        let bytes = map(&path)?;
        return Ok(vec![(shown, bytes)]);
    }
    let index = Index::parse(&text(path)?, &shown)?;
    let mut files = vec![];
    for name in index.files() {
        let path = folder.join(name);
        if !path.is_file() {
            let why = format!("{name}, which {shown} lists, is missing; download it into the same folder");
            return Err(ModelError::NotAModel { path: folder.to_owned(), why });
        }
        files.push((path.display().to_string(), map(&path)?));
    }
    index.check(&Folder::parse(&files)?)?;
    Ok(files)
}

/// The text of tokenizer_config.json, where there is one.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn tokenizer_config(folder: &Path) -> Result<Option<String>, ModelError> {
    optional(folder, "tokenizer_config.json")
}

/// The text of generation_config.json, where there is one.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn generation_config(folder: &Path) -> Result<Option<String>, ModelError> {
    optional(folder, "generation_config.json")
}

/// The chat template: chat_template.jinja, or that of tokenizer_config.json (`default`, where it has several).
///
/// # Errors
/// What cannot be read.
pub fn chat_template(folder: &Path) -> Result<Option<String>, ModelError> {
    service::chat_template(optional(folder, "chat_template.jinja")?, tokenizer_config(folder)?.as_deref())
}

/// Maps a file into memory, so that only what is used is read.
///
/// # Errors
/// What is missing, or cannot be read.
pub fn map(path: &Path) -> Result<Mmap, ModelError> {
    let read = |source| ModelError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() == 0 {
        let why = "the file is empty; copy or download it again".into();
        return Err(ModelError::Format { file: path.display().to_string(), why });
    }
    // SAFETY: the mapping is private and read-only. As everywhere with memory maps, a program that shortens the
    // file while it is read would end this one with a signal; no part of memory is written through it.
    unsafe { Mmap::map(&file) }.map_err(read)
}

fn optional(folder: &Path, name: &str) -> Result<Option<String>, ModelError> {
    let path = folder.join(name);
    if path.is_file() { text(path).map(Some) } else { Ok(None) }
}

fn text(path: PathBuf) -> Result<String, ModelError> {
    fs::read_to_string(&path).map_err(|source| ModelError::Read { path, source })
}

/// Names of what lies in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>, ModelError> {
    let read = |source| ModelError::Read { path: folder.to_owned(), source };
    let mut names: Vec<String> = fs::read_dir(folder)
        .map_err(read)?
        .filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    names[..names.len().min(SHOWN)].join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn check<T: std::fmt::Debug>(result: Result<T, ModelError>, words: &[&str]) {
        let message = result.unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }

    #[test]
    fn a_folder_without_config_lists_what_it_holds() {
        check(config(folder(&[]).path()), &["no config.json", "tokenizer.json", "the folder is empty"]);
        check(config(folder(&[("b.txt", ""), ("a.txt", "")]).path()), &["it holds a.txt, b.txt"]);
        check(config(folder(&[("m.gguf", "")]).path()), &["name it: ", "m.gguf"]);
    }

    #[test]
    fn a_folder_without_weights_says_what_was_looked_for() {
        check(weights(folder(&[("a.txt", "")]).path()), &["model.safetensors", "pytorch_model.bin", "it holds a.txt"]);
        check(weights(folder(&[("model.safetensors", "")]).path()), &["model.safetensors", "empty"]);
        check(tokenizer(folder(&[("tokenizer.model", "x")]).path()), &["SentencePiece", "tokenizer.json"]);
        check(tokenizer(folder(&[]).path()), &["no tokenizer.json"]);
    }

    /// A safetensors file of single bytes.
    fn file_of(names: &[&str]) -> String {
        let entry = |(at, name): (usize, &&str)| {
            format!(r#""{name}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{}]}}"#, at + 1)
        };
        let header = format!("{{{}}}", names.iter().enumerate().map(entry).collect::<Vec<_>>().join(","));
        let length = String::from_utf8((header.len() as u64).to_le_bytes().to_vec()).unwrap();
        length + &header + &"x".repeat(names.len())
    }

    #[test]
    fn shards_are_checked_against_their_index() {
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let (a, b) = (file_of(&["a"]), file_of(&["b"]));
        let opened = |files: &[(&str, &str)]| {
            let folder = folder(files);
            weights(folder.path()).map(|files| files.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>())
        };
        let index = ("model.safetensors.index.json", index);
        let good = [index, ("1.safetensors", &a), ("2.safetensors", &b), ("3.safetensors", "never opened")];
        assert_eq!(opened(&good).unwrap(), [a.len(), b.len()]);
        check(opened(&[index, ("1.safetensors", &a)]), &["2.safetensors", "is missing"]);
        let strange = file_of(&["c"]);
        let files = [index, ("1.safetensors", &a), ("2.safetensors", &strange)];
        check(opened(&files), &["`b`", "2.safetensors", "no file holds it"]);
        let both = file_of(&["a", "b"]);
        check(opened(&[index, ("1.safetensors", &a), ("2.safetensors", &both)]), &["`a`", "as well"]);
        let files = [index, ("1.safetensors", &b), ("2.safetensors", &a)];
        check(opened(&files), &["`a`", "stands in 1.safetensors", "it stands in 2.safetensors"]);
    }

    #[test]
    fn the_chat_template_is_found_in_either_file() {
        let check = |files: &[(&str, &str)], want: Option<&str>| {
            assert_eq!(chat_template(folder(files).path()).unwrap().as_deref(), want, "{files:?}");
        };
        check(&[], None);
        check(&[("tokenizer_config.json", "{}")], None);
        check(&[("tokenizer_config.json", r#"{"chat_template": "a"}"#)], Some("a"));
        let several =
            r#"{"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        check(&[("tokenizer_config.json", several)], Some("d"));
        check(&[("tokenizer_config.json", several), ("chat_template.jinja", "j")], Some("j"));
    }

    #[test]
    fn the_note_is_the_first_line() {
        let folder = folder(&[("NOTE.txt", "random weights\nmore\n")]);
        assert_eq!(Place::Folder(folder.path().into()).note().as_deref(), Some("random weights"));
        assert_eq!(Place::Gguf("x.gguf".into()).note(), None);
    }

    #[test]
    fn a_file_is_mapped_as_it_is() {
        let folder = folder(&[("pytorch_model.bin", "bytes")]);
        let files = weights(folder.path()).unwrap();
        assert!(files[0].0.ends_with("pytorch_model.bin"));
        assert_eq!(&files[0].1[..], b"bytes");
    }
}
