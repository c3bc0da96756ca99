//! Fetching from a Hub that misbehaves in every way that a real one was seen to.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hf_hub::Cache;
use tempfile::TempDir;

use super::server::{COMMIT, Fault, Server};
use super::*;

const QUICK: Patience = Patience { silence: Duration::from_millis(400), pause: Duration::from_millis(5), tries: 3 };

const FILES: [(&str, &[u8]); 5] = [
    ("README.md", b"never fetched"),
    ("config.json", b"{}"),
    ("tokenizer.json", b"{\"model\": 1}"),
    ("model.safetensors", b"the weights, all of them"),
    ("pytorch_model.bin", b"never fetched either"),
];

fn hub(server: &Server, cache: &Path, token: Option<&str>) -> Hub {
    let client = Client::new(&server.endpoint, token.map(str::to_owned), QUICK);
    Hub { client, cache: Cache::new(cache.into()), offline: false, quiet: true }
}

fn name() -> Name {
    Name::parse("owner/name").unwrap()
}

/// Fetches under these faults of the weights; the ranges that were asked for.
fn check(faults: &[Fault], ranges: &[&str]) {
    let server = Server::start(&FILES);
    let cache = TempDir::new().unwrap();
    // The two small files come first and come whole.
    server.faults(&[Fault::Whole; 2]);
    server.faults(faults);
    let folder = hub(&server, cache.path(), None).fetch(&name(), None).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), FILES[3].1, "{faults:?}");
    assert_eq!(server.ranges("model.safetensors"), ranges, "{faults:?}");
    assert!(blobs(cache.path()).iter().all(|blob| !blob.contains('.')), "{:?}", blobs(cache.path()));
}

/// Why nothing is fetched under these faults of the weights; the cache stays for a second try.
fn refused(faults: &[Fault], words: &[&str]) -> (Server, TempDir) {
    let server = Server::start(&FILES);
    let cache = TempDir::new().unwrap();
    server.faults(&[Fault::Whole; 2]);
    server.faults(faults);
    says(hub(&server, cache.path(), None).fetch(&name(), None), words);
    (server, cache)
}

fn says(result: Result<PathBuf, ModelError>, words: &[&str]) {
    let message = result.unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn blobs(cache: &Path) -> Vec<String> {
    let folder = cache.join("models--owner--name/blobs");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn names_of_the_hub() {
    assert_eq!(Name::parse("a/b-1.5_x"), Some(Name { repo: "a/b-1.5_x".into(), file: None }));
    assert_eq!(Name::parse("a/b:c/d.gguf"), Some(Name { repo: "a/b".into(), file: Some("c/d.gguf".into()) }));
    for text in ["a", "a/b/c", "/a/b", "a/", "./a", "../a", "a/..", "a b/c", "a/b:", "a/b:../c", "a/b:.c", "a\\b/c"] {
        assert_eq!(Name::parse(text), None, "{text}");
    }
}

#[test]
fn what_says_how_texts_end_is_fetched_where_it_is_there() {
    let files = [FILES[1], FILES[2], FILES[3], ("generation_config.json", b"{\"eos_token_id\": 1}")];
    let server = Server::start(&files);
    let cache = TempDir::new().unwrap();
    let folder = hub(&server, cache.path(), None).fetch(&name(), None).unwrap();
    assert_eq!(fs::read(folder.join("generation_config.json")).unwrap(), files[3].1);
}

#[test]
fn only_what_is_needed_is_fetched_and_only_once() {
    let server = Server::start(&FILES);
    let cache = TempDir::new().unwrap();
    let hub = hub(&server, cache.path(), Some("secret"));
    let folder = hub.fetch(&name(), None).unwrap();
    assert!(folder.ends_with(format!("models--owner--name/snapshots/{COMMIT}")));
    let mut found: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(fs::read_to_string(cache.path().join("models--owner--name/refs/main")).unwrap(), COMMIT);
    assert!(server.lock().asked.iter().all(|(.., authorization)| authorization == "Bearer secret"));
    let n_asked = server.lock().asked.len();
    assert_eq!(hub.fetch(&name(), None).unwrap(), folder);
    assert_eq!(server.lock().asked.len(), n_asked + 1, "the list alone is asked for again");
    says(hub.fetch(&name(), Some("../x")), &["not the name of a branch"]);
}

#[test]
fn what_is_broken_off_goes_on_where_it_ended() {
    check(&[], &[""]);
    check(&[Fault::CutAfter(10)], &["", "bytes=10-"]);
    check(&[Fault::SilentAfter(7), Fault::CutAfter(3)], &["", "bytes=7-", "bytes=10-"]);
    check(&[Fault::CutAfter(10), Fault::Whole], &["", "bytes=10-"]);
    check(&[Fault::Status(503), Fault::Status(429)], &["", "", ""]);
    check(&[Fault::Garbled], &["", ""]);
    check(&[Fault::CutAfter(10), Fault::Garbled], &["", "bytes=10-", ""]);
}

#[test]
fn a_hub_that_stays_broken_is_told_of_and_what_came_is_kept() {
    let (server, cache) = refused(
        &[Fault::CutAfter(10), Fault::CutAfter(0), Fault::SilentAfter(1)],
        &["model.safetensors of owner/name", "tried 3 times", "goes on from byte 11"],
    );
    hub(&server, cache.path(), None).fetch(&name(), None).unwrap();
    assert_eq!(server.ranges("model.safetensors").last().unwrap(), "bytes=11-");
    refused(&[Fault::Garbled; 3], &["has hash", "thrown away"]);
    refused(&[Fault::TooMany], &["more than the promised 24 bytes"]);
    refused(&[Fault::Status(403)], &["model.safetensors", "403", "HF_TOKEN"]);
}

#[test]
fn refusals_say_what_to_do() {
    let refusal = |status: u16, code: &'static str, words: &[&str]| {
        let server = Server::start(&FILES);
        server.lock().refusal = Some((status, code));
        says(hub(&server, TempDir::new().unwrap().path(), None).fetch(&name(), None), words);
    };
    refusal(401, "RepoNotFound", &["owner/name", "401", "misspelt", "HF_TOKEN"]);
    refusal(403, "GatedRepo", &["consent on its page", "HF_TOKEN"]);
    refusal(404, "RepoNotFound", &["no such model", "spelling"]);
    refusal(404, "RevisionNotFound", &["no such revision"]);
    refusal(500, "", &["500", "nothing of it was fetched before"]);
}

#[test]
fn a_model_that_was_fetched_needs_no_connection() {
    let server = Server::start(&FILES);
    let cache = TempDir::new().unwrap();
    let folder = hub(&server, cache.path(), None).fetch(&name(), None).unwrap();
    server.lock().refusal = Some((503, ""));
    assert_eq!(hub(&server, cache.path(), None).fetch(&name(), None).unwrap(), folder);
    let offline = Hub { offline: true, ..hub(&server, cache.path(), None) };
    assert_eq!(offline.fetch(&name(), None).unwrap(), folder);
    says(offline.fetch(&Name::parse("owner/other").unwrap(), None), &["HF_HUB_OFFLINE", "owner/other"]);
    let gone = Server { endpoint: "http://127.0.0.1:1".into(), state: server.state.clone() };
    assert_eq!(hub(&gone, cache.path(), None).fetch(&name(), None).unwrap(), folder);
}

#[test]
fn shards_and_single_files() {
    let index = br#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
    let files: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("1.safetensors", b"one"),
        ("2.safetensors", b"two"),
        ("q8/model.gguf", b"GGUF"),
    ];
    let server = Server::start(&files);
    let cache = TempDir::new().unwrap();
    let hub = hub(&server, cache.path(), None);
    let folder = hub.fetch(&name(), None).unwrap();
    assert_eq!(fs::read(folder.join("2.safetensors")).unwrap(), b"two");
    assert!(!folder.join("q8").exists());
    let file = hub.fetch(&Name::parse("owner/name:q8/model.gguf").unwrap(), None).unwrap();
    assert_eq!((fs::read(&file).unwrap(), file), (b"GGUF".to_vec(), folder.join("q8/model.gguf")));
    says(hub.fetch(&Name::parse("owner/name:x.gguf").unwrap(), None), &["no x.gguf", "q8/model.gguf"]);
    server.lock().files.truncate(1);
    server.lock().files.push(("m.gguf", b"GGUF".to_vec()));
    says(Hub { cache: Cache::new(cache.path().join("x")), ..hub }.fetch(&name(), None), &["behind a colon: m.gguf"]);
}

#[test]
fn a_full_disk_says_so() {
    let full = store::explain(&std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert!(full.contains("disk is full") && full.contains("HF_HOME"), "{full}");
}
