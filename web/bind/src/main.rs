//! `isobath-bind IN.wasm FOLDER`: writes the JavaScript beside a WebAssembly file, as wasm-bindgen's own command does.
//! `isobath-bind --hashes FOLDER`: writes `hashes.json`, by which a page knows that a model's files came as they are.
//!
//! It is a package of this workspace so that wasm-bindgen's version is that of the lock: the two refuse each other where
//! they differ.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

/// Bytes of a chunk, as `web/src/store.js` has it.
const CHUNK: usize = 2 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [first, folder] = arguments.as_slice() else {
        eprintln!("usage: isobath-bind IN.wasm FOLDER\n       isobath-bind --hashes FOLDER");
        return ExitCode::from(2);
    };
    let written = match first.as_str() {
        "--hashes" => hashes(Path::new(folder)),
        input => bind(input, folder),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{first} {folder}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bind(input: &str, folder: &str) -> anyhow::Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).typescript(false).omit_default_module_path(false).web(true)?.generate(folder)
}

/// SHA-256 of each chunk of the weights in a folder.
fn hashes(folder: &Path) -> anyhow::Result<()> {
    let mut files = serde_json::Map::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".safetensors") || name.ends_with(".gguf") {
            let hash =
                |chunk: &[u8]| Sha256::digest(chunk).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let list: Vec<String> = fs::read(entry.path())?.chunks(CHUNK).map(hash).collect();
            files.insert(name, list.into());
        }
    }
    let list = serde_json::json!({ "chunk": CHUNK, "files": files });
    Ok(fs::write(folder.join("hashes.json"), list.to_string())?)
}
