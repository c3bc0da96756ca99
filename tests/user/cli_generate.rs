//! The command with the model that ships, on whatever adapter there is: text on stdout, all else on stderr.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use isobath::text::{ChatTemplate, SpecialTokens};
use serde_json::Value;

use crate::support::command;

fn command(arguments: &[&str]) -> Command {
    let mut command = command::command();
    command.args(arguments);
    command
}

fn isobath(arguments: &[&str], input: &str) -> Output {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses before it reads closes the pipe; that is not this test's concern.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// stdout and stderr of a command that ends well.
fn done(arguments: &[&str], input: &str) -> (String, String) {
    let output = isobath(arguments, input);
    let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    (out, said)
}

#[test]
fn the_bundled_model_writes_english_and_the_same_twice() {
    let (text, said) = done(&["run", "-n", "12"], "");
    // Trained on stories that all begin so (MODEL_CARD.md): a wrong weight or kernel does not spell this.
    assert!(text.starts_with("Once upon a time") && text.contains("there was a"), "{text}");
    let summary = said.lines().last().unwrap();
    for want in ["12 tokens", "tokens/s", "mean depth"] {
        assert!(summary.contains(want), "`{want}` is not in the last line: {summary}");
    }
    assert_eq!(done(&["run", "-n", "12", "--quiet"], ""), (text, String::new()));
}

#[test]
fn the_first_command_writes_a_whole_story() {
    let (text, said) = done(&["run"], "");
    assert!(text.starts_with("Once upon a time") && text.trim_end().ends_with('.'), "{text}");
    assert!(said.lines().last().unwrap().contains("the model ended it"), "{said}");
}

/// The driver makes every kernel anew, as on a machine where nobody ran it before.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_told_that_kernels_are_made_and_shows_the_prompt_dimmed() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_isobath");
    // `script` gives it a terminal.
    let on_terminal = |more: &str| {
        let mut command = Command::new("script");
        let words = format!("'{program}' run -n 2 {more}");
        command.args(["-q", "-e", "-c", &words, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("MESA_SHADER_CACHE_DIR", folder.path().join(more.replace('/', "_"))).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = on_terminal("");
    let many = on_terminal("--batch tests/hostile/prompts/byte_order_mark");
    assert!(many.contains("preparing kernels"), "{many}");
    assert!(told.contains("preparing kernels") && told.contains("\x1b[2mOnce upon a time\x1b[0m, there"), "{told}");
    let quiet = on_terminal("--quiet");
    assert!(!quiet.contains("preparing") && quiet.starts_with("\x1b[2mOnce upon a time"), "{quiet}");
}

#[test]
fn a_prompt_can_come_from_stdin() {
    let given = done(&["run", "-q", "-n", "8", "-p", "the sea"], "").0;
    let added = done(&["run", "-q", "-n", "8", "-p", "-"], "the sea\n").0;
    assert_eq!(given, format!("the sea{added}"), "what was sent is not sent back");
    assert_eq!(
        done(&["run", "-q", "-n", "8", "-p", "-"], "\u{feff}the sea\n").0,
        added,
        "a byte order mark is no text"
    );
    assert_eq!(done(&["run", "-q", "-n", "8", "-p", "the sea", "--no-prompt"], "").0, added);
}

#[test]
fn json_has_a_line_per_token_and_its_text_is_the_text() {
    let text = done(&["run", "-q", "-n", "10", "--no-prompt"], "").0;
    let (lines, _) = done(&["run", "-q", "-n", "10", "--json"], "");
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tokens: Vec<&Value> = events.iter().filter(|event| event["event"] == "token").collect();
    assert_eq!(tokens.len(), 10);
    assert!(tokens.iter().all(|token| token["depth"].as_u64().unwrap() >= 1));
    assert_eq!(events.last().unwrap()["event"], "finished");
    let joined: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(joined.trim_end(), text.trim_end());
}

#[test]
fn json_tells_alternatives_where_they_are_asked_for() {
    let (lines, _) = done(&["run", "-q", "-n", "4", "--json", "--alternatives", "2"], "");
    let told = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for token in told.filter(|event| event["event"] == "token") {
        let [best, second] = &token["alternatives"].as_array().unwrap()[..] else { panic!("{token}") };
        assert_eq!((&best["token"], &best["text"]), (&token["token"], &token["text"]));
        assert!(best["log_probability"].as_f64() > second["log_probability"].as_f64(), "{token}");
    }
}

#[test]
fn forced_depth_is_the_depth_of_every_token() {
    let (lines, _) = done(&["run", "-q", "-n", "6", "--json", "--depth", "1"], "");
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let depths: Vec<u64> = events.filter_map(|event| event["depth"].as_u64()).collect();
    assert_eq!(depths, [1; 6]);
}

#[test]
fn show_depth_marks_tokens_where_colours_cannot_be_seen() {
    let (text, said) = done(&["run", "-n", "6", "--show-depth", "--depth", "2"], "");
    assert_eq!(text.matches("·2").count(), 6, "{text}");
    assert!(said.contains("token·rounds"), "no legend: {said}");
    assert!(said.contains("100.0 %"), "no histogram: {said}");
    assert!(!text.contains('\x1b') && !said.contains('\x1b'), "colours went to a pipe");
}

/// Two thousand words and more; the tiny model has a context of 1,024 tokens, that of this copy has as many as it likes.
#[test]
fn a_prompt_beyond_the_default_context_gets_the_room_it_needs() {
    let folder = with_template("", "{}");
    let config = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config = config.replace("\"max_position_embeddings\": 1024", "\"max_position_embeddings\": 9000");
    fs::write(folder.path().join("config.json"), config).unwrap();
    let model = folder.path().to_str().unwrap();
    let run = |words: usize, more: &[&str]| {
        let prompt = "the sea ".repeat(words);
        isobath(&[&["run", model, "-q", "-n", "2", "--ignore-end", "--json", "-p", "-"], more].concat(), &prompt)
    };
    let total = |output: &Output| {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        first["total"].as_u64().unwrap()
    };
    let short = total(&run(10, &[]));
    let words = 5000 * 10 / short as usize;
    let long = run(words, &[]);
    assert!(total(&long) > 4096, "{short}: {long:?}");
    let held = run(words, &["--context", "4096"]);
    let said = String::from_utf8(held.stderr).unwrap();
    assert!(held.status.code() == Some(5) && said.contains("the context holds 4096"), "{said}");
}

#[test]
fn a_seed_by_lot_is_told_and_gives_the_same_text_again() {
    let warm = ["run", "--temperature", "0.9", "-n", "12", "--no-prompt"];
    let (text, said) = done(&[&warm[..], &["--seed", "-1"]].concat(), "");
    let seed = said.lines().find_map(|line| line.strip_prefix("seed ")).unwrap();
    assert_eq!(done(&[&warm[..], &["-q", "--seed", seed]].concat(), "").0, text);
}

#[test]
fn drivers_say_nothing_of_a_machine_without_a_screen() {
    for folder in [None, Some(""), Some("run/relative")] {
        let mut command = command(&["adapters"]);
        if let Some(folder) = folder {
            command.env("XDG_RUNTIME_DIR", folder);
        }
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{folder:?}");
    }
}

#[test]
fn a_prompt_may_begin_with_a_dash() {
    let (text, _) = done(&["run", "-q", "-n", "3", "-p", "- milk", "--stop", "---"], "");
    assert!(text.starts_with("- milk"), "{text}");
}

#[test]
fn requests_that_do_not_fit_end_with_5() {
    let check = |arguments: &[&str], words: &[&str]| {
        let output = isobath(arguments, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        for word in words {
            assert!(said.contains(word), "{arguments:?}: `{word}` is not in: {said}");
        }
    };
    check(&["run", "--depth", "99"], &["depth is 99", "between 1 and"]);
    check(&["run", "--context", "4", "-p", "a prompt of more than four tokens, surely"], &["the context holds 4"]);
    check(&["run", "--context", "1000000"], &["context is 1000000", "between 1 and"]);
}

#[test]
fn an_adapter_that_does_not_exist_ends_with_4() {
    let output = isobath(&["run", "--adapter", "no such adapter"], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no such adapter") && said.contains("found: "), "{said}");
}

#[test]
fn a_machine_without_adapters_is_told_what_to_install() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // Drivers of Vulkan and of OpenGL are looked for in a folder that has none.
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = command(&["run"]);
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, nowhere.path().join("none.json"));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no GPU adapter found; install"), "{said}");
}

#[test]
fn chat_answers_each_line_of_a_pipe() {
    let (text, said) = done(&["chat", "-n", "4"], "hello\n/reset\nhello\n/exit\nnever read\n");
    assert!(said.contains("forgotten"), "{said}");
    assert_eq!(said.matches("mean depth").count(), 2, "two answers were asked for: {said}");
    assert!(!text.contains("never read"));
}

/// The small model, with a chat template and what names its tokens.
fn with_template(template: &str, tokenizer_config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/tiny").to_owned() + "/" + name;
        fs::copy(from, folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    fs::write(folder.path().join("tokenizer_config.json"), tokenizer_config).unwrap();
    folder
}

#[test]
fn chat_templates_are_told_the_date_of_the_time_zone() {
    let folder = with_template("{{ raise_exception('it is ' ~ strftime_now('%d %b %Y')) }}", "{}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    // Between these two the date differs at any time. POSIX counts westwards.
    for (zone, hours) in [("<+14>-14", 14), ("<-12>12", -12)] {
        let mut command = command(&["chat", folder.path().to_str().unwrap()]);
        command.env("TZ", zone).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        // The test may run over midnight.
        let dates = [now, now + 300].map(|seconds| {
            let template =
                ChatTemplate::new("it is {{ strftime_now('%d %b %Y') }}", &SpecialTokens::default()).unwrap();
            template.at(seconds + hours * 3600).render(&[], false).unwrap()
        });
        assert!(dates.iter().any(|date| said.contains(date)), "{zone}: {dates:?} is not in: {said}");
    }
}

#[test]
fn chat_templates_find_the_special_tokens_that_the_files_name() {
    let config = r#"{"bos_token": {"__type": "AddedToken", "content": "<go>"}, "eos_token": null, "pad_token": "<p>"}"#;
    let template = "{{ raise_exception(bos_token ~ pad_token ~ (eos_token is defined) ~ (unk_token is defined)) }}";
    let folder = with_template(template, config);
    let output = isobath(&["chat", folder.path().to_str().unwrap()], "hello\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("<go><p>FalseFalse"), "{said}");
}

#[test]
fn inspect_draws_the_plan_and_lists_the_same_as_json() {
    let (text, _) = done(&["inspect"], "");
    for want in ["round 1", "round 2", "weights of", "unique", "KV", "It would load."] {
        assert!(text.contains(want), "`{want}` is not in: {text}");
    }
    let (json, _) = done(&["inspect", "--json"], "");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["faults"], serde_json::json!([]));
    assert!(report["parameters"]["unrolled"].as_u64() > report["parameters"]["unique"].as_u64());
}

#[test]
fn inspect_lists_every_fault_of_a_damaged_model_and_ends_with_3() {
    let tiny = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(tiny.join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), "short").unwrap();
    let output = isobath(&["inspect", folder.path().to_str().unwrap()], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    let faults = text.split("It would not load:\n").nth(1).unwrap_or_default();
    assert!(faults.contains("no tokenizer.json") && faults.contains("model.safetensors"), "{text}");
}

#[test]
fn adapters_are_listed_on_stdout() {
    let (text, _) = done(&["adapters"], "");
    assert!(text.starts_with('0'), "{text}");
    for line in done(&["adapters", "--json"], "").0.lines() {
        let adapter: Value = serde_json::from_str(line).unwrap();
        assert!(adapter["name"].is_string() && adapter["max_binding_bytes"].as_u64() > Some(0));
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = command(&["run", "-n", "64"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("error"), "{said}");
}

/// Ctrl-C, as a terminal sends it.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_written_and_ends_with_130() {
    use std::io::{BufRead, BufReader, Read};

    let arguments = ["run", "-n", "100000", "--ignore-end", "--json", "--context", "512"];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    while !first.contains("\"token\"") {
        first.clear();
        assert!(lines.read_line(&mut first).unwrap() > 0, "it ended before a token was written");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.lines().last().unwrap().contains("interrupted"), "{said}");
    assert!(rest.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "a line was cut");
}

#[test]
fn a_batch_answers_every_prompt_as_alone_and_goes_on_where_it_was_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let (prompts, answers) = (dir.path().join("prompts.jsonl"), dir.path().join("answers.jsonl"));
    let lines = (0..11).map(|i| match i {
        4 => "\"Once upon a time\"\n".to_owned(),
        7 => format!("{{\"prompt\": \"{}\"}}\n", "too long ".repeat(600)),
        _ => format!("{{\"prompt\": \"Number {i} is\", \"id\": \"n{i}\", \"tokens\": {}}}\n", 3 + i),
    });
    std::fs::write(&prompts, lines.collect::<String>()).unwrap();
    let (prompts, path) = (prompts.to_str().unwrap(), answers.to_str().unwrap());
    let arguments = ["run", "--batch", prompts, "--out", path, "--lanes", "3", "-n", "12"];
    done(&arguments, "");
    let whole = std::fs::read_to_string(&answers).unwrap();
    let read = |text: &str| -> Vec<Value> {
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.sort_by_key(|line| line["line"].as_u64());
        lines.iter_mut().for_each(|line| line["seconds"] = Value::Null);
        lines
    };
    let want = read(&whole);
    assert_eq!(want.len(), 11);
    assert!(want[7]["error"].as_str().unwrap().contains("tokens"), "{}", want[7]);
    assert_eq!((want[3]["id"].as_str(), want[3]["depths"].as_array().unwrap().len()), (Some("n3"), 6));
    let alone = done(&["run", "-p", "Once upon a time", "-n", "12", "--no-prompt"], "").0;
    assert_eq!(want[4]["text"].as_str().unwrap(), alone.trim_end_matches('\n'));
    // Broken off in the middle of a line.
    let cut = whole.char_indices().filter(|(_, c)| *c == '\n').nth(4).unwrap().0 + 30;
    std::fs::write(&answers, &whole[..cut]).unwrap();
    let (_, said) = done(&arguments, "");
    assert!(said.contains("5 prompts are answered already, 6 are left"), "{said}");
    assert_eq!(read(&std::fs::read_to_string(&answers).unwrap()), want);
}
