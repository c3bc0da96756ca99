//! The GGUF file of SmolLM2-135M-Instruct, fetched once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `ISOBATH_SMOLLM2`, or the file in `tests/cache/`, or what `scripts/fetch_smollm2.sh` puts there.
pub fn gguf() -> PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(find).clone()
}

fn find() -> PathBuf {
    if let Some(named) = std::env::var_os("ISOBATH_SMOLLM2").map(PathBuf::from) {
        assert!(named.is_file(), "ISOBATH_SMOLLM2 names {}, which is not a file", named.display());
        return named;
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cached = package.join("tests/cache/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !cached.is_file() {
        let script = package.join("scripts/fetch_smollm2.sh");
        let output = Command::new("bash").arg(&script).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        assert!(
            output.status.success() && cached.is_file(),
            "{} could not fetch the model; set ISOBATH_SMOLLM2 to a copy of SmolLM2-135M-Instruct.Q4_1.gguf\n{}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    cached
}
