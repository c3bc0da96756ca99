//! The command as a person meets it, by its binary: what it refuses, with which exit code and in which words.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn isobath(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_isobath")).args(arguments).env("ISOBATH_LOG", "off").output().unwrap()
}

/// It ends with that code, says all these words on stderr and nothing on stdout.
fn check(arguments: &[&str], code: i32, words: &[&str]) {
    let output = isobath(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{arguments:?}: stdout is for results");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: `{word}` is not in: {said}");
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_lists_all_commands_and_exit_codes() {
    for help in ["--help", "-h"] {
        let output = isobath(&[help]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        for want in ["run", "chat", "inspect", "adapters", "Exit codes", "  3  ", "  4  ", "  5  ", "130"] {
            assert!(text.contains(want), "`{want}` is not in: {text}");
        }
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() {
    check(&[], 2, &["Usage"]);
    check(&["rune"], 2, &["rune", "run"]);
    check(&["run", "--tokens", "many"], 2, &["--tokens", "many"]);
    check(&["run", "--routing", "luck"], 2, &["threshold", "top-k"]);
    check(&["run", "-n", "-1"], 2, &["'-1' for '--tokens", "-1 is not in 0..="]);
    check(&["chat", "--context", "-5"], 2, &["'-5' for '--context", "is not in 0..="]);
    check(&["bench", "--pp", "-5"], 2, &["'-5' for '--pp", "is not in 0..="]);
    check(&["run", "-p", "--json"], 2, &["`-p` needs a text", "--prompt=--json"]);
    check(&["chat", "--system", "-q"], 2, &["`--system` needs a text", "--system=-q"]);
    check(&["run", "--seed", "-2"], 2, &["-2", "or -1 for chance"]);
    check(&["run", "--json", "--show-depth"], 2, &["--json", "--show-depth"]);
}

#[test]
fn settings_out_of_range_end_with_5_before_anything_is_loaded() {
    for command in ["run", "chat"] {
        let check = |arguments: &[&str], words: &[&str]| {
            check(&[&[command, "no-such-model"], arguments].concat(), 5, &[words, &["error: ", "help: "]].concat());
        };
        check(&["--depth", "0"], &["depth is 0", "at least 1"]);
        check(&["--depth", "-1"], &["depth is -1"]);
        check(&["--temperature", "-0.5"], &["temperature is -0.5", "between 0 and 100"]);
        check(&["--top-p", "0"], &["top-p is 0", "at most 1"]);
        check(&["--min-p", "2"], &["min-p is 2"]);
        check(&["--repeat-penalty", "0"], &["repeat-penalty is 0"]);
        check(&["--stop", ""], &["stop is empty"]);
        check(&["--context", "0"], &["context is 0"]);
    }
}

#[test]
fn what_is_not_a_model_ends_with_3() {
    let holder = folder(&[
        ("model.bin", "x"),
        ("model.pt", "x"),
        ("model.safetensors", "x"),
        ("model.txt", "x"),
        ("empty.gguf", ""),
    ]);
    let at = |file: &str| name(&holder.path().join(file)).to_owned();
    for command in ["run", "chat", "inspect"] {
        let check = |file: &str, words: &[&str]| check(&[command, &at(file)], 3, &[words, &[file, "error: "]].concat());
        check("absent", &["no such file or folder", "config.json", ".gguf"]);
        check("model.bin", &["give the folder"]);
        check("model.pt", &["give the folder"]);
        check("model.safetensors", &["give the folder"]);
        check("model.txt", &["does not end with .gguf"]);
    }
}

#[test]
fn a_folder_that_lacks_a_file_ends_with_3() {
    check_folder(&[], &["no config.json", "tokenizer.json", "model.safetensors", "the folder is empty"]);
    check_folder(&[("a.txt", "x")], &["no config.json", "it holds a.txt"]);
    check_folder(&[("m.gguf", "x")], &["no config.json", "name it: ", "m.gguf"]);
}

/// `run` and `chat` refuse the folder in these words.
fn check_folder(files: &[(&str, &str)], words: &[&str]) {
    let folder = folder(files);
    for command in ["run", "chat"] {
        check(&[command, name(folder.path())], 3, &[words, &["error: ", "help: "]].concat());
    }
}
