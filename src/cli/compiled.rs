//! What graphics drivers compiled, in the user's cache folder, so that the next start need not wait for it.
//!
//! **Invariant:** no run fails because of it: what cannot be read is compiled, what cannot be written is not kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobath::gpu::Gpu;

/// A file that is larger is begun anew: what older versions of the program left there is never dropped otherwise.
const MOST_BYTES: usize = 64 << 20;

/// Where a device's compiled kernels are kept, and what to keep.
pub struct Compiled {
    file: PathBuf,
    before: Vec<u8>,
    now: Box<dyn Fn() -> Option<Vec<u8>> + Send>,
}

/// A device that goes by what was kept, and what is to be kept once its kernels are made.
pub fn restored(gpu: Gpu) -> (Gpu, Option<Compiled>) {
    let (Some(key), Some(folder)) = (gpu.pipeline_cache_key(), dirs::cache_dir()) else { return (gpu, None) };
    let file = folder.join("isobath").join("kernels").join(key);
    let mut before = fs::read(&file).unwrap_or_default();
    if before.len() > MOST_BYTES {
        before.clear();
    }
    // SAFETY: the file lies in the user's own cache folder, where only this program writes a file of that name.
    let gpu = unsafe { gpu.with_pipeline_cache(&before) };
    let now = Box::new(gpu.pipeline_cache_data());
    (gpu, Some(Compiled { file, before, now }))
}

impl Compiled {
    /// Writes what is new.
    pub fn keep(&self) {
        let Some(now) = (self.now)().filter(|now| *now != self.before) else { return };
        if let Err(error) = replace(&self.file, &now) {
            log::info!("compiled kernels are not kept in {}: {error}", self.file.display());
        }
    }
}

/// Another program that reads the file meanwhile sees all of the old one or all of the new one.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, file));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(file: PathBuf, before: &[u8], now: &[u8]) -> Compiled {
        let now = now.to_vec();
        Compiled { file, before: before.to_vec(), now: Box::new(move || Some(now.clone())) }
    }

    #[test]
    fn what_is_new_takes_the_place_of_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("isobath").join("kernels").join("a_gpu");
        compiled(file.clone(), b"", b"first").keep();
        assert_eq!(fs::read(&file).unwrap(), b"first");
        compiled(file.clone(), b"first", b"second").keep();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        fs::write(&file, "as it was").unwrap();
        compiled(file.clone(), b"second", b"second").keep();
        assert_eq!(fs::read(&file).unwrap(), b"as it was", "nothing new, nothing written");
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("a file");
        fs::write(&blocked, "x").unwrap();
        compiled(blocked.join("kernels"), b"", b"new").keep();
        let occupied = folder.path().join("a folder");
        fs::create_dir_all(occupied.join("inside")).unwrap();
        compiled(occupied, b"", b"new").keep();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }
}
