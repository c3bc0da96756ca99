//! From what the user names to the files of a model.
//!
//! **Invariant:** every path that is not a model ends with a message that says what was looked for and what to do.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use isobath::error::ModelError;
use isobath::files::index::Index;
use isobath::files::safetensors::Folder;
use isobath::text::{SpecialTokens, chat};
use memmap2::Mmap;

use super::args::Loading;
#[cfg(feature = "hub")]
use super::hub;

const EXPECTED: &str = "MODEL is a folder with config.json, tokenizer.json and model.safetensors, a .gguf file, or \
                        owner/name on the Hugging Face Hub";

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

/// How a model of the Hub is fetched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fetching<'a> {
    /// Branch, tag or commit.
    pub revision: Option<&'a str>,
    /// Says nothing of it.
    pub quiet: bool,
}

/// Where a model lies.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder in the manner of Hugging Face.
    Folder(PathBuf),
    /// A GGUF file, which holds everything.
    Gguf(PathBuf),
}

impl Place {
    /// The model that was named, or the bundled one. A path that exists is that path; `owner/name` is else a model of
    /// the Hub.
    pub fn find(model: Option<&Path>, fetching: Fetching) -> Result<Self, ModelError> {
        let Some(path) = model else { return bundled().map(Self::Folder) };
        let fetched = if path.exists() { None } else { fetched(path, fetching)? };
        let path = fetched.as_deref().unwrap_or(path);
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

    /// The model that the command line asks for.
    pub fn of(loading: &Loading) -> Result<Self, ModelError> {
        Self::find(loading.model.as_deref(), Fetching { revision: loading.revision.as_deref(), quiet: loading.quiet })
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

/// Where the Hub's model of that name was fetched to; `None` where the path is no such name.
#[cfg(feature = "hub")]
fn fetched(path: &Path, fetching: Fetching) -> Result<Option<PathBuf>, ModelError> {
    let Some(name) = path.to_str().and_then(hub::Name::parse) else { return Ok(None) };
    hub::Hub::from_env(fetching.quiet)?.fetch(&name, fetching.revision).map(Some)
}

#[cfg(not(feature = "hub"))]
fn fetched(_: &Path, _: Fetching) -> Result<Option<PathBuf>, ModelError> {
    Ok(None)
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

/// The files of the weights, mapped, with the names that messages use. Where an index lists them, each tensor was seen
/// to stand where it says.
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
pub fn tokenizer_config(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join("tokenizer_config.json");
    if path.is_file() { text(path).map(Some) } else { Ok(None) }
}

/// The text of generation_config.json, where there is one.
pub fn generation_config(folder: &Path) -> Result<Option<String>, ModelError> {
    let path = folder.join("generation_config.json");
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

/// The special tokens that the folder's files name.
pub fn special_tokens(folder: &Path) -> Result<SpecialTokens, ModelError> {
    let Some(config) = tokenizer_config(folder)? else { return Ok(SpecialTokens::default()) };
    let map = folder.join("special_tokens_map.json");
    let map = if map.is_file() { Some(text(map)?) } else { None };
    SpecialTokens::from_config(&config, map.as_deref()).map_err(|error| ModelError::Format {
        file: "tokenizer_config.json or special_tokens_map.json".into(),
        why: error.to_string(),
    })
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
        let find = |name: &str| Place::find(Some(&folder.path().join(name)), Fetching::default());
        check(find("absent"), &["absent", "no such file or folder", "config.json", ".gguf"]);
        check(find("model.bin"), &["model.bin", "give the folder"]);
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
