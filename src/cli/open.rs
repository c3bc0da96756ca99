//! From what the user names to where a model lies; what is read there is in `isobath::disk`.
//!
//! **Invariant:** every path that is not a model ends with a message that says what was looked for and what to do.

use std::env;
use std::path::{Path, PathBuf};

pub use isobath::disk::*;
use isobath::error::ModelError;

use super::args::Loading;
#[cfg(feature = "hub")]
use super::hub;

const EXPECTED: &str = "MODEL is a folder with config.json, tokenizer.json and model.safetensors, a .gguf file, \
                        owner/name on the Hugging Face Hub, or the bundled `stories` or `exits`";

/// How a model of the Hub is fetched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fetching<'a> {
    /// Branch, tag or commit.
    pub revision: Option<&'a str>,
    /// Says nothing of it.
    pub quiet: bool,
}

/// Names of the bundled models; the first is taken where none is named.
const BUNDLED: [&str; 2] = ["stories", "exits"];

/// The model that was named, or the bundled one. A path that exists is that path; `stories` and `exits` are else the bundled
/// models, and `owner/name` is one of the Hub.
pub fn find(model: Option<&Path>, fetching: Fetching) -> Result<Place, ModelError> {
    let Some(path) = model else { return bundled(BUNDLED[0]).map(Place::Folder) };
    if path.exists() {
        return Place::at(path);
    }
    if let Some(name) = BUNDLED.into_iter().find(|name| path == Path::new(name)) {
        return bundled(name).map(Place::Folder);
    }
    match fetched(path, fetching)? {
        Some(path) => Place::at(&path),
        None => Place::at(path).map_err(|error| match error {
            ModelError::NotAModel { path, .. } => {
                ModelError::NotAModel { path, why: format!("there is no such file or folder; {EXPECTED}") }
            }
            other => other,
        }),
    }
}

/// The model that the command line asks for.
pub fn of(loading: &Loading) -> Result<Place, ModelError> {
    find(loading.model.as_deref(), Fetching { revision: loading.revision.as_deref(), quiet: loading.quiet })
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
    Ok(bundled(BUNDLED[0])?.join("held_out.txt"))
}

/// A bundled model: beside the current directory, beside the executable or above it, or in the source tree.
fn bundled(name: &str) -> Result<PathBuf, ModelError> {
    let within = Path::new("assets").join(name);
    let beside_executable = env::current_exe().ok();
    let above = beside_executable.iter().flat_map(|path| path.ancestors().skip(1));
    let places =
        [Path::new("."), Path::new("..")].into_iter().chain(above).chain([Path::new(env!("CARGO_MANIFEST_DIR"))]);
    for place in places {
        let folder = place.join(&within);
        if folder.join("config.json").is_file() {
            return Ok(folder);
        }
    }
    let why = format!("the bundled model `{name}` is neither here nor beside the program; {EXPECTED}");
    Err(ModelError::NotAModel { path: within, why })
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let find = |name: &str| super::find(Some(&folder.path().join(name)), Fetching::default());
        check(find("absent"), &["absent", "no such file or folder", "config.json", ".gguf"]);
        check(find("model.bin"), &["model.bin", "give the folder"]);
        check(find("a.safetensors"), &["give the folder"]);
        check(find("notes.txt"), &["does not end with .gguf"]);
    }
}
