//! What graphics drivers are told by the environment, before any of them starts.

use std::env;
use std::path::{Path, PathBuf};

/// Where programs of one user meet.
const RUNTIME: &str = "XDG_RUNTIME_DIR";

/// Sets what a driver needs and the user has not set. Must come first in the program: nobody else may run yet.
pub fn prepare() {
    for (name, value) in wanted() {
        // A folder counts only by its whole path.
        let set = env::var_os(name).is_some_and(|set| name != RUNTIME || Path::new(&set).is_absolute());
        if !set {
            // SAFETY: the program has one thread so far, so nobody reads the environment meanwhile.
            unsafe { env::set_var(name, value) };
        }
    }
}

fn wanted() -> Vec<(&'static str, PathBuf)> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // With one thread for each processor llvmpipe leaves some idle: they wake too late for kernels of a millisecond.
    let threads = ("LP_NUM_THREADS", (2 * processors).to_string().into());
    if cfg!(target_os = "linux") { vec![threads, (RUNTIME, runtime_folder())] } else { vec![threads] }
}

/// Mesa looks for a screen in this folder, and complains on stderr where it has no name: on servers and in containers. Where the
/// user has no such folder, one that nobody can make says that there is no screen.
fn runtime_folder() -> PathBuf {
    let own = owner().map(|user| PathBuf::from(format!("/run/user/{user}"))).filter(|folder| folder.is_dir());
    own.unwrap_or_else(|| "/proc/no-screen".into())
}

/// The number of the user who runs the program.
#[cfg(unix)]
fn owner() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

#[cfg(not(unix))]
fn owner() -> Option<u32> {
    None
}
