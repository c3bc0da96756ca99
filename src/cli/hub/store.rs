//! The shared cache: `blobs/HASH` holds the bytes, `snapshots/COMMIT/FILE` leads to them.
//!
//! **Invariant:** what has not come whole lies in `HASH.incomplete`, is locked while it grows, and goes on where it ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use isobath::error::ModelError;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::client::{Client, Description, Listing, Trouble};
use super::refused;
use crate::cli::progress::Progress;

/// Bytes that show that a transfer is under way rather than broken.
const HEADWAY: u64 = 1 << 20;

/// One model's place in the cache.
pub struct Store<'a> {
    client: &'a Client,
    blobs: PathBuf,
    snapshot: PathBuf,
    repo: &'a str,
    quiet: bool,
}

impl<'a> Store<'a> {
    /// `snapshot` is `.../snapshots/COMMIT`.
    pub fn new(client: &'a Client, snapshot: PathBuf, repo: &'a str, quiet: bool) -> Result<Self, ModelError> {
        let root = snapshot.parent().and_then(Path::parent).unwrap_or(&snapshot);
        let blobs = root.join("blobs");
        fs::create_dir_all(&blobs).map_err(|error| refused(repo, &explain(&error)))?;
        Ok(Self { client, blobs, snapshot, repo, quiet })
    }

    /// Where the file stands, fetched unless it is there.
    pub fn fetch(&self, listing: &Listing, file: &str) -> Result<PathBuf, ModelError> {
        let pointer = self.snapshot.join(file);
        if pointer.exists() {
            return Ok(pointer);
        }
        let what = format!("{file} of {}", self.repo);
        let fail = |why: String| refused(&what, &why);
        let description = self.client.describe(self.repo, &listing.commit, file).map_err(|t| fail(why(t)))?;
        let blob = self.blobs.join(&description.hash);
        if !blob.exists() {
            if !self.quiet {
                eprintln!("fetching {what} ({:.1} MB)", description.size as f64 / 1e6);
            }
            let progress = Progress::fetching(self.quiet);
            let fetched = self.download(&description, &blob, &progress);
            progress.end();
            fetched.map_err(|trouble| fail(why(trouble)))?;
        }
        point(&pointer, &blob, file.split('/').count()).map_err(|error| fail(explain(&error)))?;
        Ok(pointer)
    }

    /// Fetches what is missing, checks all of it, and only then gives it its name.
    fn download(&self, description: &Description, blob: &Path, progress: &Progress) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::Final(explain(&error));
        let partial = blob.with_extension("incomplete");
        let file = OpenOptions::new().read(true).append(true).create(true).open(&partial);
        let mut file = file.map_err(disk)?;
        // Another program that fetches the same waits here for this one, and finds it done.
        file.lock().map_err(disk)?;
        if blob.exists() {
            return Ok(());
        }
        let (mut failures, mut pause) = (0, self.client.patience.pause);
        loop {
            let from = file.metadata().map_err(disk)?.len();
            let trouble = match self.step(description, &mut file, from, progress) {
                Ok(()) => return fs::rename(&partial, blob).map_err(disk),
                Err(Trouble::Final(why)) => return Err(Trouble::Final(why)),
                Err(Trouble::Passing(why)) => why,
            };
            let now = file.metadata().map_err(disk)?.len();
            if now >= from.saturating_add(HEADWAY) {
                (failures, pause) = (0, self.client.patience.pause);
            }
            failures += 1;
            if failures >= self.client.patience.tries {
                let why = format!("{trouble}; tried {failures} times; the same command goes on from byte {now}");
                return Err(Trouble::Final(why));
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    fn step(&self, description: &Description, file: &mut File, from: u64, progress: &Progress) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::Final(explain(&error));
        if from < description.size || description.size == 0 {
            self.client.read(description, file, from, &mut |at| progress.set(at, description.size))?;
        }
        let found = hash(file, &description.hash).map_err(disk)?;
        if found != description.hash {
            file.set_len(0).map_err(disk)?;
            return Err(Trouble::Passing(format!(
                "what came has hash {found}, the Hub says {}; it was thrown away",
                description.hash
            )));
        }
        Ok(())
    }
}

/// The file's hash of the kind that `like` is: SHA-256, or git's SHA-1 of a length and the bytes.
fn hash(file: &mut File, like: &str) -> io::Result<String> {
    fn feed<D: Digest>(mut digest: D, file: &mut File) -> io::Result<String> {
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
                length => digest.update(&piece[..length]),
            }
        }
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    if like.len() == 64 {
        feed(Sha256::new(), file)
    } else {
        feed(Sha1::new_with_prefix(format!("blob {length}\0")), file)
    }
}

/// Leads from the snapshot to the bytes; where there are no links, the bytes move there.
fn point(pointer: &Path, blob: &Path, depth: usize) -> io::Result<()> {
    if let Some(folder) = pointer.parent() {
        fs::create_dir_all(folder)?;
    }
    #[cfg(unix)]
    {
        let name = blob.file_name().unwrap_or_default();
        let target = Path::new(&"../".repeat(depth + 1)).join("blobs").join(name);
        match std::os::unix::fs::symlink(target, pointer) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = depth;
        fs::rename(blob, pointer)
    }
}

/// What the file system's refusal means and what to do about it.
pub fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!(
                "the disk is full ({error}); make room, or set HF_HOME to a folder on another disk; what came is kept"
            )
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("the cache cannot be written ({error}); set HF_HOME to a folder that can")
        }
        _ => format!("the cache cannot be written: {error}"),
    }
}

fn why(trouble: Trouble) -> String {
    match trouble {
        Trouble::Passing(why) | Trouble::Final(why) => why,
    }
}
