//! `isobath run --batch` with the small model: what a line may be, what stands in its answer, and where answers go.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::command;

const TEMPLATE: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

/// A folder with the small model, prompts, and room for answers.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(prompts: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "tokenizer.json"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny").join(name);
            fs::copy(from, folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("prompts.jsonl"), prompts).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Answers all prompts into `out`, at most six tokens each.
    fn command(&self, out: &Path) -> Command {
        let mut command = command::command();
        command.args(["run", "--quiet", "-n", "6", "--ignore-end", "--batch"]).arg(self.path("prompts.jsonl"));
        command.arg("--out").arg(out).arg(self.folder.path());
        command
    }

    /// What stands in the answers, in the order of the prompts.
    fn answers(&self) -> Vec<Value> {
        let output = self.command(&self.path("answers.jsonl")).output().unwrap();
        done(&output);
        read(&fs::read_to_string(self.path("answers.jsonl")).unwrap())
    }
}

fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn read(text: &str) -> Vec<Value> {
    let mut answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["line"].as_u64().unwrap());
    answers
}

#[test]
fn a_second_run_on_the_same_answers_is_refused() {
    let desk = Desk::new("\"a\"\n");
    let answers = desk.path("answers.jsonl");
    let before = "{\"line\": 1, \"ha";
    fs::write(&answers, before).unwrap();
    let other = File::options().read(true).write(true).open(&answers).unwrap();
    other.try_lock().unwrap();
    let output = desk.command(&answers).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another run is writing") && said.contains("choose another file for --out"), "{said}");
    assert_eq!(fs::read_to_string(&answers).unwrap(), before);
    drop(other);
    assert_eq!(desk.answers().len(), 1);
}

/// Two at once, as in a shell: none of their lines is lost or broken, whoever comes second.
#[test]
fn two_runs_at_once_leave_whole_answers() {
    let prompts: String = (0..40).map(|i| format!("{{\"prompt\":\"{i}\",\"tokens\":2}}\n")).collect();
    let desk = Desk::new(prompts);
    let answers = desk.path("answers.jsonl");
    let mut runs = [desk.command(&answers).spawn().unwrap(), desk.command(&answers).spawn().unwrap()];
    let codes = [runs[0].wait().unwrap().code(), runs[1].wait().unwrap().code()];
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
    let lines: Vec<u64> =
        read(&fs::read_to_string(&answers).unwrap()).iter().map(|a| a["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=40).collect::<Vec<u64>>());
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_again_is_only_written_to() {
    let desk = Desk::new("\"a\"\n\"b\"\n");
    done(&desk.command(Path::new("/dev/null")).output().unwrap());
    let output = desk.command(Path::new("/dev/stdout")).output().unwrap();
    done(&output);
    let want: Vec<Value> = read(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(want.len(), 2);
    let output = desk.command(Path::new("-")).output().unwrap();
    assert_eq!(read(&String::from_utf8(output.stdout).unwrap()).len(), 2, "this is stdout, not a file");
    let output = desk.command(desk.folder.path()).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("is a folder; --out is a file"));
    let pipe = desk.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let heard = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    done(&desk.command(&pipe).output().unwrap());
    let texts = |answers: &[Value]| answers.iter().map(|answer| answer["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&read(&heard.join().unwrap())), texts(&want));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_prompt() {
    let plain = Desk::new("\"a\"\n").answers();
    let marked = Desk::new("\u{feff}\"a\"\r\n").answers();
    assert_eq!((&marked[0]["text"], &marked[0]["hash"]), (&plain[0]["text"], &plain[0]["hash"]));
}

#[test]
fn an_id_comes_back_as_it_came() {
    let ids = [
        "340282366920938463463374607431768211455",
        "1.0",
        "-0",
        "1e999",
        "\"x\\u0041\\ud800\"",
        "null",
        "{ \"b\" : [1,  2.50], \"a\":{} }",
    ];
    let line = |id: &&str| format!("{{\"id\": {id} , \"prompt\":\"a\",\"tokens\":1}}\n");
    // OpenAI's lines, and answers without text, give them back as well.
    let other = [
        "{\"custom_id\":12345678901234567890.0,\"url\":\"/v1/completions\",\"body\":{\"prompt\":\"a\",\"max_tokens\":1}}\n",
        "{\"prompt\":\"a\",\"id\":7.0,\"depth\":99}\n",
    ];
    let desk = Desk::new(ids.iter().map(line).collect::<String>() + &other.concat());
    let answers = desk.path("answers.jsonl");
    done(&desk.command(&answers).output().unwrap());
    let text = fs::read_to_string(&answers).unwrap();
    for (number, id) in (1..).zip(ids) {
        let mine = text.lines().find(|line| line.contains(&format!("\"line\":{number},"))).unwrap();
        assert!(mine.contains(&format!("\"id\":{id},\"text\":")), "{id}: {mine}");
    }
    assert!(text.contains("\"custom_id\":12345678901234567890.0,"), "{text}");
    assert!(text.contains("\"id\":7.0,\"error\":\"depth is 99"), "{text}");
    // And a later run knows them again.
    done(&desk.command(&answers).output().unwrap());
    assert_eq!(fs::read_to_string(&answers).unwrap(), text);
}

/// A line of OpenAI's.
fn openai(id: &str, url: &str, body: &Value) -> String {
    format!("{}\n", json!({"custom_id": id, "method": "POST", "url": format!("/v1/{url}"), "body": body}))
}

#[test]
fn lines_of_openai_are_answered_in_their_form_among_ours() {
    let said = json!([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]);
    let prompts = [
        openai("chat", "chat/completions", &json!({"model": "any", "messages": said, "max_completion_tokens": 4})),
        format!("{}\n", json!({"prompt": "<system>Be brief.<user>Hello<assistant>", "max_tokens": 4, "id": "ours"})),
        openai("completion", "completions", &json!({"model": "any", "prompt": "Hello", "seed": 1})),
        openai("n", "chat/completions", &json!({"messages": said, "n": 2})),
        openai("long", "completions", &json!({"prompt": "too long ".repeat(2000)})),
        openai(
            "last",
            "chat/completions",
            &json!({"messages": said, "max_tokens": 1, "temperature": 0.5, "top_p": 0.9}),
        ),
    ];
    let desk = Desk::new(prompts.concat());
    fs::write(desk.path("chat_template.jinja"), TEMPLATE).unwrap();
    let answers = desk.answers();
    assert_eq!(answers.len(), 6);

    let (chat, ours) = (&answers[0], &answers[1]);
    assert_eq!((&chat["custom_id"], &chat["error"]), (&json!("chat"), &Value::Null));
    assert!(chat["id"].as_str().unwrap().starts_with("batch_req_"), "{chat}");
    assert_eq!(chat["response"]["status_code"], 200);
    let body = &chat["response"]["body"];
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("any")));
    assert!(body["created"].as_u64() > Some(1_700_000_000) && body["id"].is_string(), "{body}");
    // Through the model's own template: the same text as from the prompt that it makes.
    let choice = &body["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": ours["text"], "refusal": null}));
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("length")));
    let read = ours["prompt_tokens"].as_u64().unwrap();
    let usage = json!({"prompt_tokens": read, "completion_tokens": 4, "total_tokens": read + 4});
    assert_eq!(body["usage"], usage);
    assert_eq!(body["isobath"]["depths"], ours["depths"]);

    let completion = &answers[2]["response"]["body"];
    assert_eq!(completion["object"], "text_completion");
    assert!(completion["choices"][0]["text"].is_string(), "{completion}");
    assert_eq!(completion["usage"]["completion_tokens"], 6, "what a line does not say is as for the run");
    for (answer, code, words) in [
        (&answers[3], "invalid_request", "`n` is 2, which cannot be followed here"),
        (&answers[4], "context_length_exceeded", "shorten the prompt"),
    ] {
        assert_eq!((&answer["response"]["status_code"], &answer["error"]["code"]), (&json!(400), &json!(code)));
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
    }
    assert_eq!(answers[5]["response"]["body"]["usage"]["completion_tokens"], 1);

    // Broken off behind the first two answers, and gone on with.
    let path = desk.path("answers.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let cut = text.match_indices('\n').nth(1).unwrap().0 + 20;
    fs::write(&path, &text[..cut]).unwrap();
    let without_times = |mut answers: Vec<Value>| {
        for answer in &mut answers {
            answer["seconds"] = Value::Null;
            for key in ["created", "isobath"] {
                answer["response"]["body"][key] = Value::Null;
            }
        }
        answers
    };
    assert_eq!(without_times(desk.answers()), without_times(answers));
}

#[test]
fn a_stop_text_ends_an_answer_of_either_form() {
    let first = Desk::new("{\"prompt\":\"Hello\"}\n").answers();
    let text = first[0]["text"].as_str().unwrap();
    let stop: String = text.chars().skip(2).take(2).collect();
    let prompts = [
        format!("{}\n", json!({"prompt": "Hello", "stop": stop})),
        openai("list", "completions", &json!({"prompt": "Hello", "stop": ["never said", stop]})),
    ];
    let answers = Desk::new(prompts.concat()).answers();
    let want = &text[..text.find(&stop).unwrap()];
    assert_eq!((&answers[0]["text"], &answers[0]["finish_reason"]), (&json!(want), &json!("stop")));
    let choice = &answers[1]["response"]["body"]["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!(want), &json!("stop")));
}

#[test]
fn a_conversation_without_a_template_is_told_as_lines() {
    let said = json!([{"role": "user", "content": "Hello"}]);
    let desk = Desk::new(openai("a", "chat/completions", &json!({"messages": said})));
    let ours = Desk::new("{\"prompt\":\"User: Hello\\nAssistant:\",\"stop\":\"\\nUser:\"}\n").answers();
    let mut command = desk.command(&desk.path("answers.jsonl"));
    let arguments: Vec<_> = command.get_args().filter(|argument| *argument != "--quiet").map(Into::into).collect();
    command = command::command();
    let output = command.args::<_, std::ffi::OsString>(arguments).output().unwrap();
    done(&output);
    assert!(String::from_utf8(output.stderr).unwrap().contains("the model has no chat template"));
    assert_eq!(desk.answers()[0]["response"]["body"]["choices"][0]["message"]["content"], ours[0]["text"]);
}

#[test]
fn prompts_can_come_from_stdin() {
    let desk = Desk::new("");
    let mut command = command::command();
    command.args(["run", "-q", "-n", "2", "--batch", "-"]).arg(desk.folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\"a\"\n\"b\"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    done(&output);
    assert_eq!(read(&String::from_utf8(output.stdout).unwrap()).len(), 2);
}
