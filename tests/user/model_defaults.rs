//! What a model's files say of ends, sampling and splitting, by the command: it holds, and is printed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use isobath::files::gguf::Gguf;
use serde_json::json;
use tempfile::TempDir;

use crate::support::gguf::{File, Value};
use crate::support::{command, tiny_model};

/// Exit code, stdout and stderr.
fn isobath(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = command::command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn done(arguments: &[&str], input: &str) -> (String, String) {
    let (code, out, said) = isobath(arguments, input);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    (out, said)
}

/// The model with random weights, whose config names `end`, beside a generation_config.json.
fn model(end: u32, generation: Option<&str>) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    for name in ["model.safetensors", "tokenizer.json"] {
        fs::copy(from.join(name), home.path().join(name)).unwrap();
    }
    let mut config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(from.join("config.json")).unwrap()).unwrap();
    config["eos_token_id"] = end.into();
    fs::write(home.path().join("config.json"), config.to_string()).unwrap();
    if let Some(text) = generation {
        fs::write(home.path().join("generation_config.json"), text).unwrap();
    }
    home
}

/// Tokens that are written, and why it ended; what was said.
fn written(folder: &Path, flags: &[&str]) -> (Vec<u64>, String, String) {
    let arguments = [&["run", folder.to_str().unwrap(), "--json", "-n", "8", "-p", "The sea"], flags].concat();
    let (out, said) = done(&arguments, "");
    let events: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tokens = events.iter().filter(|event| event["event"] == "token").map(|event| event["token"].as_u64().unwrap());
    (tokens.collect(), events.last().unwrap()["reason"].to_string(), said)
}

#[test]
fn a_text_ends_where_the_generation_config_says() {
    let plain = model(0, None);
    let (all, reason, _) = written(plain.path(), &[]);
    assert_eq!((all.len(), reason.contains("length")), (8, true), "{reason}");
    let end = all[3];
    let until: Vec<u64> = all.iter().take_while(|token| **token != end).copied().collect();
    assert!(until.len() < 8);
    // As transformers: the file's list counts, whatever the config says.
    let listed = model(0, Some(&json!({"eos_token_id": [0, end]}).to_string()));
    let (tokens, reason, said) = written(listed.path(), &[]);
    assert!(tokens == until || tokens == all[..=until.len()], "{tokens:?} {all:?}");
    assert!(reason.contains("end"), "{reason}");
    assert!(!said.contains("generation_config"), "{said}");
    // What run writes is the most probable token all the same.
    let drawn = json!({"eos_token_id": 0, "do_sample": true, "temperature": 2.0, "num_beams": 3}).to_string();
    let (tokens, _, said) = written(model(0, Some(&drawn)).path(), &[]);
    assert_eq!(tokens, all);
    assert!(said.contains("generation_config.json: not followed: num_beams 3"), "{said}");
    // A file without an end has none.
    let (tokens, _, said) = written(model(end as u32, Some("{}")).path(), &[]);
    assert_eq!(tokens, all);
    assert!(said.contains("no token ends a text, as in transformers"), "{said}");
    let (tokens, _, said) = written(model(end as u32, Some("{}")).path(), &["--quiet"]);
    assert_eq!((tokens, said), (all, String::new()));
}

#[test]
fn chat_tells_the_sampling_that_it_takes_from_the_model() {
    let file = r#"{"eos_token_id": 0, "do_sample": true, "temperature": 0.6, "top_p": 0.9}"#;
    let home = model(0, Some(file));
    let path = home.path().to_str().unwrap();
    let warnings = |flags: &[&str]| done(&[&["chat", path, "-n", "2"], flags].concat(), "hello\n").1;
    let said = warnings(&[]);
    assert!(said.contains("sampling as generation_config.json says: temperature 0.6, top-k 50, top-p 0.9\n"), "{said}");
    let said = warnings(&["--temperature", "0.1", "--top-k", "3", "--top-p", "1"]);
    assert!(!said.contains("sampling as"), "{said}");
    assert!(!warnings(&["-q"]).contains("sampling as"));
}

#[test]
fn a_damaged_generation_config_is_refused_by_every_command() {
    let home = model(0, Some("{\"eos_token_id\": \"the end\"}"));
    let path = home.path().to_str().unwrap();
    let to = home.path().join("copy");
    for arguments in [&["run", path][..], &["chat", path], &["inspect", path], &["import", path, to.to_str().unwrap()]]
    {
        let (code, out, said) = isobath(arguments, "");
        assert_eq!(code, Some(3), "{said}");
        assert!((out + &said).contains("`eos_token_id` is \"the end\""), "{said}");
    }
}

#[test]
fn settings_that_make_no_sense_are_left_out_with_a_note() {
    let file = r#"{"eos_token_id": 0, "do_sample": true, "top_k": -1, "min_p": 1.5, "temperature": "hot"}"#;
    let home = model(0, Some(file));
    let path = home.path().to_str().unwrap();
    let (_, said) = done(&["chat", path, "-n", "2"], "hello\n");
    assert!(
        said.contains("not followed: temperature \"hot\", which must be from 0 to 100; min_p 1.5, which"),
        "{said}"
    );
    assert!(said.contains("sampling as generation_config.json says: temperature 1\n"), "{said}");
}

#[test]
fn inspect_tells_ends_sampling_and_what_is_not_followed() {
    let file = r#"{"eos_token_id": [0, 5, 9000], "do_sample": true, "top_k": 20, "no_repeat_ngram_size": 3}"#;
    let home = model(0, Some(file));
    let path = home.path().to_str().unwrap();
    let (text, _) = done(&["inspect", path], "");
    for want in [
        "ends at     \"<|end|>\" (0), ",
        "(5)\n",
        "sampling    temperature 1, top-k 20 (generation_config.json; for chat and the window)\n",
        "not followed: no_repeat_ngram_size 3; eos_token_id 9000 is not among the 837 tokens\n",
    ] {
        assert!(text.contains(want), "{want}\nis not in\n{text}");
    }
    let (json, _) = done(&["inspect", path, "--json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ends"][1]["token"], &json["sampling"]["top_k"]), (&5.into(), &20.into()));
}

fn gguf_file(pre: Option<&str>) -> File {
    let mut file = tiny_model::gguf();
    file.set("tokenizer.ggml.model", "gpt2")
        .set("tokenizer.ggml.token_type", Value::Array(5, [1, 1, 1, 1, 1].map(Value::I32).to_vec()));
    if let Some(pre) = pre {
        file.set("tokenizer.ggml.pre", pre);
    }
    file
}

#[test]
fn a_gguf_file_that_names_no_rule_is_warned_of() {
    let home = tempfile::tempdir().unwrap();
    for (pre, warned) in [(None, true), (Some("default"), false)] {
        let path = home.path().join("model.gguf");
        fs::write(&path, gguf_file(pre).bytes()).unwrap();
        let path = path.to_str().unwrap();
        let (text, _) = done(&["inspect", path], "");
        assert_eq!(text.contains("tokenizer.ggml.pre"), warned, "{text}");
        let (_, said) = done(&["run", path, "-p", "ab", "-n", "1"], "");
        assert_eq!(said.contains("warning: the file does not name its way of splitting text"), warned, "{said}");
        let (_, said) = done(&["run", path, "-p", "ab", "-n", "1", "-q"], "");
        assert_eq!(said, "");
    }
    let path = home.path().join("model.gguf");
    fs::write(&path, gguf_file(Some("nonsense")).bytes()).unwrap();
    let (code, out, _) = isobath(&["inspect", path.to_str().unwrap()], "");
    assert_eq!(code, Some(3));
    assert!(out.contains("pre-tokenizer `nonsense` is not supported; supported: smollm,"), "{out}");
}

#[test]
fn import_carries_what_is_said() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let mut file = gguf_file(Some("gpt-2"));
    file.set("tokenizer.ggml.eot_token_id", Value::U32(3))
        .set("general.sampling.temp", Value::F32(0.5))
        .set("general.sampling.top_k", Value::I32(40));
    fs::write(at("first.gguf"), file.bytes()).unwrap();
    done(&["import", &at("first.gguf"), &at("folder")], "");
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    let written: serde_json::Value = serde_json::from_str(&read("folder/generation_config.json")).unwrap();
    assert_eq!(written["eos_token_id"], json!([2, 3]));
    assert_eq!(
        (&written["do_sample"], &written["temperature"], &written["top_k"]),
        (&true.into(), &0.5.into(), &40.into())
    );
    // From folder to folder the file comes along as it is.
    let own = "{\"eos_token_id\": [4, 2, 3],\n \"do_sample\": true, \"temperature\": 0.5, \"top_k\": 40}\n";
    fs::write(at("folder/generation_config.json"), own).unwrap();
    done(&["import", &at("folder"), &at("second")], "");
    assert_eq!(read("second/generation_config.json"), own);
    assert!(read("second/config.json").contains("\"eos_token_id\""));
    // A GGUF file has keys for three ends, and for sampling.
    done(&["import", &at("second"), &at("third.gguf")], "");
    let bytes = fs::read(at("third.gguf")).unwrap();
    let third = Gguf::parse(&bytes, "third").unwrap();
    let number = |key: &str| third.integer(&format!("tokenizer.ggml.{key}_token_id")).unwrap().unwrap();
    assert_eq!([number("eos"), number("eot"), number("eom")], [2, 4, 3]);
    assert_eq!(third.config().unwrap().end_tokens, [2, 4, 3]);
    assert_eq!(third.generation().unwrap().suggestion.words().unwrap(), "temperature 0.5, top-k 40");
    // More than that cannot be said.
    fs::write(at("second/generation_config.json"), "{\"eos_token_id\": [0, 1, 2, 3]}").unwrap();
    let (code, _, said) = isobath(&["import", &at("second"), &at("fourth.gguf")], "");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("4 tokens end a text") && !Path::new(&at("fourth.gguf")).exists(), "{said}");
}
