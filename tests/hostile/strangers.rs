//! A stranger's files: what fuzzing found, and what it began with, is refused or read within bounds.

use std::fs;
use std::time::{Duration, Instant};

use crate::reader::feed;

/// Longest time for one file, on a slow machine.
const LONGEST: Duration = Duration::from_secs(10);

/// Every file of `tests/hostile/PARSER`.
fn check(parser: &str) {
    let folder = format!("{}/tests/hostile/{parser}", env!("CARGO_MANIFEST_DIR"));
    let mut n_files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let begun = Instant::now();
        feed(parser, &bytes);
        assert!(begun.elapsed() < LONGEST, "{} took {:?}", path.display(), begun.elapsed());
        n_files += 1;
    }
    assert!(n_files > 0, "there is no file for {parser}");
}

#[test]
fn safetensors() {
    check("safetensors");
}

#[test]
fn gguf() {
    check("gguf");
}

#[test]
fn config() {
    check("config");
}

#[test]
fn tokenizer() {
    check("tokenizer");
}

#[test]
fn template() {
    check("template");
}

#[test]
fn checkpoint() {
    check("checkpoint");
}

#[test]
fn kit() {
    check("kit");
}

#[test]
fn yaml() {
    check("yaml");
}

#[test]
fn prompts() {
    check("prompts");
    // As much as a file can make of its size: lines, fields, tokens.
    feed("prompts", "\"\"\n".repeat(300_000).as_bytes());
    feed("prompts", format!("{{{}\"prompt\":\"\"}}", "\"\":0,".repeat(300_000)).as_bytes());
    let body = |field: &str| format!("{{\"custom_id\":0,\"body\":{{{field}}}}}");
    feed("prompts", body(&format!("\"prompt\":[0{}]", ",0".repeat(300_000))).as_bytes());
    feed("prompts", body(&format!("\"stop\":[\"a\"{}]", ",\"a\"".repeat(300_000))).as_bytes());
    let said = format!("\"messages\":[{{\"role\":\"\"}}{}]", ",{\"role\":\"\"}".repeat(300_000));
    feed("prompts", body(&said).as_bytes());
}
