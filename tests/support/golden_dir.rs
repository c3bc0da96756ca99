//! Where the golden vectors are.

use std::path::{Path, PathBuf};

/// `ISOBATH_GOLDEN_HOME`, or the full set in `../shared/golden` beside the package, or the smaller set in `tests/golden`.
pub fn golden_dir() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = package.join("../shared/golden");
    let own = if beside.is_dir() { beside } else { package.join("tests/golden") };
    let folder = std::env::var_os("ISOBATH_GOLDEN_HOME").map_or(own, PathBuf::from);
    assert!(
        folder.is_dir(),
        "no golden vectors in {}; set ISOBATH_GOLDEN_HOME to the folder that holds them",
        folder.display()
    );
    folder
}
