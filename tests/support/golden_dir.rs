//! Where the golden vectors are.

use std::path::{Path, PathBuf};

/// `ISOBATH_GOLDEN_HOME`, or `../shared/golden` beside the package.
pub fn golden_dir() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden");
    let folder = std::env::var_os("ISOBATH_GOLDEN_HOME").map_or(beside, PathBuf::from);
    assert!(
        folder.is_dir(),
        "no golden vectors in {}; set ISOBATH_GOLDEN_HOME to the folder that holds them",
        folder.display()
    );
    folder
}
