//! From what the user names to the files of a model.
//!
//! **Invariant:** every path that is not a model ends with a message that says what was looked for and what to do.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use isobath::error::ModelError;
use isobath::text::chat;
use memmap2::Mmap;

const EXPECTED: &str = "MODEL is a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file";

/// Where a model lies.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder in the manner of Hugging Face.
    Folder(PathBuf),
    /// A GGUF file, which holds everything.
    Gguf(PathBuf),
}

impl Place {
    /// The model that was named, or the bundled one.
    pub fn find(model: Option<&Path>) -> Result<Self, ModelError> {
        let Some(path) = model else { return bundled().map(Self::Folder) };
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
            Some("safetensors" | "json") => {
                not_a_model("it is one file of a model; give the folder that holds it".into())
            }
            Some("bin" | "pt" | "pth" | "ckpt") => Err(pickle(path)),
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
}

/// The bundled text that the bundled model has not seen.
pub fn held_out() -> Result<PathBuf, ModelError> {
    Ok(bundled()?.join("held_out.txt"))
}

/// The bundled model: beside the current directory, beside the executable or above it, or in the source tree.
fn bundled() -> Result<PathBuf, ModelError> {
    const BUNDLED: &str = "assets/stories";
    let beside_executable = env::current_exe().ok();
    let above = beside_executable.iter().flat_map(|path| path.ancestors().skip(1));
    let places =
        [Path::new("."), Path::new("..")].into_iter().chain(above).chain([Path::new(env!("CARGO_MANIFEST_DIR"))]);
    for place in places {
        let folder = place.join(BUNDLED);
        if folder.join("config.json").is_file() {
            return Ok(folder);
        }
    }
    let why = format!("no MODEL was given, and the bundled one is neither here nor beside the program; {EXPECTED}");
    Err(ModelError::NotAModel { path: BUNDLED.into(), why })
}

/// The text of config.json.
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

/// The bytes of model.safetensors.
pub fn tensors(folder: &Path) -> Result<Mmap, ModelError> {
    let path = folder.join("model.safetensors");
    if path.is_file() {
        return map(&path);
    }
    let entries = names(folder)?;
    if entries.iter().any(|name| name == "model.safetensors.index.json") {
        return Err(ModelError::Unsupported {
            what: format!("weights in several files (model.safetensors.index.json in {folder:?})"),
            supported: "a single model.safetensors or a GGUF file; save the model in one file first".into(),
        });
    }
    let is_pickle = |name: &&String| [".bin", ".pt", ".pth", ".ckpt"].iter().any(|end| name.ends_with(end));
    if let Some(name) = entries.iter().find(is_pickle) {
        return Err(pickle(&folder.join(name)));
    }
    let why = format!("it has no model.safetensors; it holds {}", some_of(&entries));
    Err(ModelError::NotAModel { path: folder.to_owned(), why })
}

/// The text of tokenizer_config.json, where there is one.
pub fn tokenizer_config(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join("tokenizer_config.json");
    if path.is_file() { text(path).map(Some) } else { Ok(None) }
}

/// The chat template: chat_template.jinja, or that of tokenizer_config.json (`default`, where it has several).
pub fn chat_template(folder: &Path) -> Result<Option<String>, ModelError> {
    let own = folder.join("chat_template.jinja");
    if own.is_file() {
        return text(own).map(Some);
    }
    let Some(config) = tokenizer_config(folder)? else { return Ok(None) };
    chat::template_of(&config)
        .map_err(|error| ModelError::Format { file: "tokenizer_config.json".into(), why: error.to_string() })
}

/// Maps a file into memory, so that only what is used is read.
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

fn pickle(path: &Path) -> ModelError {
    ModelError::Unsupported {
        what: format!("{path:?}, a PyTorch checkpoint (pickle)"),
        supported: "model.safetensors or GGUF; convert it with safetensors.torch.save_file or llama.cpp's convert_hf_to_gguf.py"
            .into(),
    }
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
    fn what_is_not_a_model_says_what_was_looked_for() {
        let folder = folder(&[("model.bin", "x"), ("a.safetensors", "x"), ("notes.txt", "x")]);
        let find = |name: &str| Place::find(Some(&folder.path().join(name)));
        check(find("absent"), &["absent", "no such file or folder", "config.json", ".gguf"]);
        check(find("model.bin"), &["model.bin", "pickle", "safetensors"]);
        check(find("a.safetensors"), &["give the folder"]);
        check(find("notes.txt"), &["does not end with .gguf"]);
    }

    #[test]
    fn a_folder_without_config_lists_what_it_holds() {
        check(config(folder(&[]).path()), &["no config.json", "tokenizer.json", "the folder is empty"]);
        check(config(folder(&[("b.txt", ""), ("a.txt", "")]).path()), &["it holds a.txt, b.txt"]);
        check(config(folder(&[("m.gguf", "")]).path()), &["name it: ", "m.gguf"]);
    }

    #[test]
    fn other_ways_to_store_weights_are_named() {
        check(tensors(folder(&[("model.safetensors.index.json", "{}")]).path()), &["several files", "single"]);
        check(tensors(folder(&[("pytorch_model.bin", "x")]).path()), &["pytorch_model.bin", "pickle"]);
        check(tensors(folder(&[("config.json", "{}")]).path()), &["no model.safetensors", "config.json"]);
        check(tensors(folder(&[("model.safetensors", "")]).path()), &["model.safetensors", "empty"]);
        check(tokenizer(folder(&[("tokenizer.model", "x")]).path()), &["SentencePiece", "tokenizer.json"]);
        check(tokenizer(folder(&[]).path()), &["no tokenizer.json"]);
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
        let folder = folder(&[("model.safetensors", "bytes")]);
        assert_eq!(&tensors(folder.path()).unwrap()[..], b"bytes");
    }
}
