//! Models of the Hugging Face Hub: `owner/name` in place of a folder, `owner/name:file.gguf` in place of a file.
//!
//! Files go to the cache that all tools of the Hub share (`HF_HOME`, `HF_HUB_CACHE`); what is there is not fetched again.
//! `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they mean there.
//!
//! **Invariant:** a file stands in the cache only once all its bytes have come and have the hash that the Hub tells.

mod client;
#[cfg(test)]
mod server;
mod store;
#[cfg(test)]
mod tests;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use hf_hub::{Cache, Repo, RepoType};
use isobath::error::ModelError;
use isobath::files::index::Index;

use self::client::{Client, Listing, Trouble};
use self::store::Store;
use super::open::{TEXTS, WEIGHTS};

/// What a user calls a model of the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `owner/name`
    pub repo: String,
    /// A single file of it.
    pub file: Option<String>,
}

impl Name {
    /// `None` where the text is no such name.
    pub fn parse(text: &str) -> Option<Self> {
        let (repo, file) = match text.split_once(':') {
            Some((repo, file)) => (repo, Some(file)),
            None => (text, None),
        };
        let parts: Vec<&str> = repo.split('/').collect();
        let plain = parts.len() == 2 && is_plain(repo) && file.is_none_or(is_plain);
        plain.then(|| Self { repo: repo.into(), file: file.map(str::to_owned) })
    }
}

/// Whether the text is safe as a path below the cache and in an address: words with slashes between.
fn is_plain(text: &str) -> bool {
    let fits = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    text.len() <= 256 && text.split('/').all(fits)
}

/// How long the Hub may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, and for the first and each further piece of an answer.
    pub silence: Duration,
    /// Before a second try; twice as long before each further.
    pub pause: Duration,
    /// Tries in a row that may bring nothing.
    pub tries: u32,
}

const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), pause: Duration::from_secs(1), tries: 5 };

/// The Hub as the environment describes it.
#[derive(Debug)]
pub struct Hub {
    client: Client,
    cache: Cache,
    offline: bool,
    quiet: bool,
}

impl Hub {
    /// Reads the environment.
    pub fn from_env(quiet: bool) -> Result<Self, ModelError> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let cache = match set("HF_HUB_CACHE") {
            Some(path) => Cache::new(PathBuf::from(path)),
            // The crate's default would panic without a home.
            None if set("HF_HOME").is_none() && env::home_dir().is_none() => {
                return Err(refused("the Hub", "there is no home directory for the cache; set HF_HOME to a folder"));
            }
            None => Cache::from_env(),
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let token = set("HF_TOKEN").or_else(|| cache.token());
        let offline = set("HF_HUB_OFFLINE").is_some_and(|value| value != "0");
        Ok(Self { client: Client::new(&endpoint, token, PATIENCE), cache, offline, quiet })
    }

    /// The model's folder in the cache, or the named file in it, with all that is needed to run it.
    pub fn fetch(&self, name: &Name, revision: Option<&str>) -> Result<PathBuf, ModelError> {
        let revision = revision.unwrap_or("main");
        if !is_plain(revision) {
            return Err(refused(&name.repo, &format!("{revision:?} is not the name of a branch, tag or commit")));
        }
        let repo = self.cache.repo(Repo::with_revision(name.repo.clone(), RepoType::Model, revision.into()));
        let wanted = name.file.as_deref().unwrap_or("config.json");
        let in_folder = |path: PathBuf| match (&name.file, path.parent()) {
            (None, Some(folder)) => folder.to_owned(),
            _ => path,
        };
        let listing = match self.offline {
            true => Err(Trouble::Passing("HF_HUB_OFFLINE is set".into())),
            false => self.client.list(&name.repo, revision),
        };
        let listing = match (listing, repo.get(wanted)) {
            (Ok(listing), _) => listing,
            (Err(Trouble::Passing(why)), Some(path)) => {
                if !self.quiet {
                    eprintln!("the Hub cannot be reached ({why}); using what was fetched before");
                }
                return Ok(in_folder(path));
            }
            (Err(Trouble::Passing(why)), None) => {
                let why = format!("{why}, and nothing of it was fetched before; check the connection or name a folder");
                return Err(refused(&name.repo, &why));
            }
            (Err(Trouble::Final(why)), _) => return Err(refused(&name.repo, &why)),
        };
        let store = Store::new(&self.client, repo.pointer_path(&listing.commit), &name.repo, self.quiet)?;
        match &name.file {
            Some(file) if listing.files.contains(file) => drop(store.fetch(&listing, file)?),
            Some(file) => return Err(refused(&name.repo, &absent(file, &listing))),
            None => fetch_folder(&store, &listing, &name.repo)?,
        }
        repo.create_ref(&listing.commit).map_err(|error| refused(&name.repo, &store::explain(&error)))?;
        let folder = repo.pointer_path(&listing.commit);
        Ok(name.file.as_ref().map_or(folder.clone(), |file| folder.join(file)))
    }
}

/// Fetches what a model folder needs, the weights last.
fn fetch_folder(store: &Store, listing: &Listing, repo: &str) -> Result<(), ModelError> {
    let has = |file: &str| listing.files.iter().any(|name| name == file);
    let Some(weights) = WEIGHTS.into_iter().find(|file| has(file)).filter(|_| has("config.json")) else {
        return Err(refused(repo, &absent("config.json with model.safetensors or pytorch_model.bin", listing)));
    };
    for file in TEXTS.into_iter().filter(|file| has(file)) {
        store.fetch(listing, file)?;
    }
    let path = store.fetch(listing, weights)?;
    if path.extension().is_some_and(|kind| kind == "json") {
        let text = std::fs::read_to_string(&path).map_err(|source| ModelError::Read { path, source })?;
        for file in Index::parse(&text, weights)?.files() {
            store.fetch(listing, file)?;
        }
    }
    Ok(())
}

/// What is there in place of what was looked for.
fn absent(wanted: &str, listing: &Listing) -> String {
    let ggufs: Vec<&str> = listing.files.iter().map(String::as_str).filter(|file| file.ends_with(".gguf")).collect();
    match ggufs[..] {
        [] => format!("it holds no {wanted}"),
        _ => format!("it holds no {wanted}; name one of its GGUF files behind a colon: {}", ggufs.join(", ")),
    }
}

fn refused(what: &str, why: &str) -> ModelError {
    ModelError::Fetch { what: what.into(), why: why.into() }
}
