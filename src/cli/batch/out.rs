//! Where answers go: a file that one run at a time goes on with, or what cannot be read again.
//!
//! **Invariant:** only a regular file is read, cut or locked; a pipe, a terminal and `/dev/null` are written to.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};
use isobath::service::prompts::Line;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::answer;

/// Where answers go, and what is answered there already.
pub(super) struct Out {
    pub(super) sink: Box<dyn Write>,
    /// Numbers of lines.
    pub(super) done: HashSet<usize>,
}

/// What tells whose answer a line is; all else may be of any size.
#[derive(Deserialize)]
struct Mark {
    #[serde(default)]
    line: usize,
    #[serde(default)]
    hash: String,
}

/// Opens the file, or stdout where there is none.
pub(super) fn open(path: Option<&Path>, lines: &[Line], quiet: bool) -> anyhow::Result<Out> {
    let unread = |sink| Ok(Out { sink, done: HashSet::new() });
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        return unread(Box::new(io::stdout().lock()));
    };
    let cannot = || format!("cannot write {}", path.display());
    if path.is_dir() {
        bail!("{} is a folder; --out is a file", path.display());
    }
    if fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        // Where stdout is a socket this name cannot be opened; it need not be.
        if path == Path::new("/dev/stdout") {
            return unread(Box::new(io::stdout().lock()));
        }
        let file = OpenOptions::new().write(true).open(path).with_context(cannot)?;
        return unread(Box::new(file));
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = file.with_context(cannot)?;
    lock(&file, path, quiet)?;
    let done = resume(&mut file, lines).with_context(|| path.display().to_string())?;
    Ok(Out { sink: Box::new(file), done })
}

/// Keeps other runs away until this process ends, in whatever way.
fn lock(file: &File, path: &Path, quiet: bool) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another run is writing {}; wait until it has ended, or choose another file for --out",
                path.display()
            )
        }
        // Some file systems know no locks; answers are worth more than the guard.
        Err(TryLockError::Error(error)) => {
            if !quiet {
                let path = path.display();
                eprintln!("warning: {path} cannot be locked ({error}); let no other run write to it meanwhile");
            }
            Ok(())
        }
    }
}

/// Numbers of the lines that are answered; what an interruption left of a line is cut off.
fn resume(file: &mut File, lines: &[Line]) -> anyhow::Result<HashSet<usize>> {
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let hashes: HashMap<usize, String> = lines.iter().map(|line| (line.number, answer::hash(line))).collect();
    let mut done = HashSet::new();
    for (at, text) in (1..).zip(String::from_utf8_lossy(&bytes[..whole]).lines()) {
        serde_json::from_str::<IgnoredAny>(text).with_context(|| format!("line {at} is not an answer"))?;
        let Mark { line, hash } = serde_json::from_str(text).unwrap_or(Mark { line: 0, hash: String::new() });
        if hashes.get(&line) != Some(&hash) {
            bail!("line {at} answers another prompt than line {line} of the prompts; choose another file for --out");
        }
        done.insert(line);
    }
    // Only now: a file that is not ours stays as it is.
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use isobath::service::prompts::parse;
    use serde_json::json;

    use super::*;

    const PROMPTS: &str = "\"one\"\n\n{\"prompt\":\"two\",\"id\":7,\"tokens\":3}\n";

    #[test]
    fn a_broken_line_is_cut_off_and_a_strange_file_is_left_alone() {
        let lines = parse(PROMPTS).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let good = format!("{{\"id\":1e999,\"line\":3,\"hash\":{}}}\n", json!(answer::hash(&lines[1])));
        write!(file, "{good}{{\"line\": 1, \"ha").unwrap();
        file.rewind().unwrap();
        assert_eq!(resume(&mut file, &lines).unwrap(), HashSet::from([3]));
        assert_eq!(
            (file.metadata().unwrap().len(), file.stream_position().unwrap()),
            (good.len() as u64, good.len() as u64)
        );
        for strange in ["a diary\nhalf", "{\"line\": 1, \"hash\": \"0\"}\nhalf", "{}\nhalf", "[3]\nhalf"] {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{strange}").unwrap();
            file.rewind().unwrap();
            assert!(resume(&mut file, &lines).is_err(), "{strange}");
            assert_eq!(file.metadata().unwrap().len(), strange.len() as u64);
        }
    }
}
