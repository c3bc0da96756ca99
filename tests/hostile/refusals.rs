//! The table of refusals in `docs/refusals.md`: every message with which a model's files are refused, taken from the sources
//! themselves. `UPDATE=1 cargo test --test hostile refusals` writes it anew.
//!
//! A message is a text that is handed to one of the functions that make an error ([`MAKERS`]). What they fill in stands
//! as `…`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is read, and where it is read.
const READERS: [(&str, &[&str]); 14] = [
    ("MODEL, a model folder", &["src/cli/open.rs", "src/disk.rs"]),
    ("the Hub", &["src/cli/hub/mod.rs", "src/cli/hub/client.rs", "src/cli/hub/store.rs"]),
    (
        "config.json, the isobath block",
        &[
            "src/network/config/json.rs",
            "src/network/config/check.rs",
            "src/network/config/block.rs",
            "src/network/config/family.rs",
            "src/network/form/check.rs",
            "src/network/form/rotary.rs",
            "src/network/json_fields.rs",
            "src/network/plan.rs",
        ],
    ),
    ("generation_config.json", &["src/network/generation.rs"]),
    ("safetensors", &["src/files/safetensors.rs"]),
    ("an index of several files", &["src/files/index.rs"]),
    (
        "pytorch_model.bin",
        &[
            "src/files/torch/mod.rs",
            "src/files/torch/archive.rs",
            "src/files/torch/machine.rs",
            "src/files/torch/program.rs",
        ],
    ),
    (
        "GGUF",
        &[
            "src/files/gguf/mod.rs",
            "src/files/gguf/config.rs",
            "src/files/gguf/layout.rs",
            "src/files/gguf/metadata.rs",
            "src/files/gguf/sampling.rs",
            "src/files/gguf/tokenizer.rs",
        ],
    ),
    ("tensors against the config", &["src/network/lora.rs"]),
    (
        "tokenizer, chat template",
        &["src/text/tokenizer.rs", "src/text/detokenizer.rs", "src/text/vocabulary.rs", "src/text/chat.rs"],
    ),
    ("a model that is to become GGUF", &["src/files/gguf/write.rs"]),
    (
        "a chat template that runs",
        &[
            "src/text/template/filters.rs",
            "src/text/template/globals.rs",
            "src/text/template/json.rs",
            "src/text/template/methods.rs",
            "src/text/template/percent.rs",
            "src/text/template/python.rs",
            "src/text/template/strings.rs",
        ],
    ),
    ("a kit", &["src/network/kit/mod.rs", "src/network/kit/about.rs", "src/network/kit/read.rs"]),
    ("a tokenizer that is to become GGUF", &["src/text/to_gguf.rs", "src/text/to_gguf_pieces.rs"]),
];

/// What a statement holds that makes an error out of a text.
const MAKERS: [&str; 14] = [
    "refuse(",
    "refused(",
    "not_a_model(",
    "format(",
    "wrong(",
    "unsupported(",
    "strange(",
    "Trouble::",
    "fault(",
    "Err(",
    "why",
    "what:",
    "expecting",
    "Error::new(",
];

/// Comments gone, tests gone.
fn code(path: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let end = ["\n#[cfg(test)]\nmod tests {", "\n#[test]\n"].iter().filter_map(|mark| text.find(mark)).min();
    let text = &text[..end.unwrap_or(text.len())];
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// The texts of the code, each with the part of its statement before it.
fn texts(code: &str) -> Vec<(String, String)> {
    let mut texts = vec![];
    let mut statement = String::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let raw = rest.starts_with("r\"") || rest.starts_with("r#\"");
        if raw && !statement.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            let hash = rest.starts_with("r#");
            let body = &rest[if hash { 3 } else { 2 }..];
            rest = body.split_once(if hash { "\"#" } else { "\"" }).map_or("", |(_, rest)| rest);
        } else if c == '"' {
            let body = &rest[1..];
            let mut escaped = false;
            let end = body.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.unwrap();
            texts.push((statement.clone(), body[..end].into()));
            statement.push_str("\"\"");
            rest = &body[end + 1..];
        } else if c == '\'' && rest[1..].starts_with('"') {
            rest = &rest[3..];
        } else {
            if matches!(c, ';' | '{' | '}') {
                statement.clear();
            } else {
                statement.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    texts
}

/// A format's text as a reader sees it.
fn message(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.replace("\\\"", "\"").replace("\\\\", "\\");
    while let Some(at) = rest.find("\\\n") {
        rest = format!("{}{}", &rest[..at], rest[at + 2..].trim_start());
    }
    let mut open = false;
    for c in rest.chars() {
        match c {
            '{' => open = true,
            '}' => {
                shown.push('…');
                open = false;
            }
            '|' => shown.push_str("\\|"),
            c if !open => shown.push(c),
            _ => {}
        }
    }
    shown
}

/// Messages of one source, in its order.
fn messages(path: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let texts = texts(&code(path));
    let made = texts.iter().filter(|(before, text)| {
        text.trim().contains(' ') && text.len() >= 8 && MAKERS.iter().any(|maker| before.contains(maker))
    });
    made.map(|(_, text)| message(text)).filter(|message| seen.insert(message.clone())).collect()
}

fn table() -> String {
    let mut table = String::from("| read | refused with |\n| --- | --- |\n");
    for (reader, paths) in READERS {
        for message in paths.iter().flat_map(|path| messages(path)) {
            table += &format!("| {reader} | {message} |\n");
        }
    }
    table
}

#[test]
fn the_table_of_refusals_is_that_of_the_sources() {
    const BEGIN: &str = "<!-- refusals: written by `UPDATE=1 cargo test --test hostile refusals` -->\n";
    const END: &str = "<!-- refusals end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/refusals.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let table = table();
    assert!(table.lines().count() > 100, "the sources hold fewer messages than they should:\n{table}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            found == table,
            "docs/refusals.md is stale; UPDATE=1 cargo test --test hostile refusals writes it anew"
        );
    }
}

#[test]
fn a_new_refusal_is_seen() {
    let code = r#"fn a() -> b { if c { return Err(format(format!("`{x}` is \"{}\"; \
        it must be |one|", y))); } let z = "not a message"; }"#;
    let found: Vec<String> = texts(code).iter().map(|(_, text)| message(text)).collect();
    assert_eq!(found, ["`…` is \"…\"; it must be \\|one\\|", "not a message"]);
    assert!(texts(code)[0].0.contains("Err(format("));
    assert!(!MAKERS.iter().any(|maker| texts(code)[1].0.contains(maker)));
}
