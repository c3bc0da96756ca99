//! Tokenizers and chat templates of the Llama family against transformers, on small vocabularies and templates of our
//! own (`tests/texts`, written by `tests/oracles/texts.py`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use isobath::text::{ChatTemplate, GgufVocabulary, LocalTime, Message, SpecialTokens, Tokenizer};
use serde_json::Value;

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts").join(format!("{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn parse<T: serde::de::DeserializeOwned + Default>(value: &Value) -> T {
    if value.is_null() { T::default() } else { serde_json::from_value(value.clone()).unwrap() }
}

fn vocabulary(value: &Value) -> GgufVocabulary {
    GgufVocabulary {
        model: parse(&value["model"]),
        pre: parse(&value["pre"]),
        tokens: parse(&value["tokens"]),
        token_types: parse(&value["token_types"]),
        merges: parse(&value["merges"]),
        scores: parse(&value["scores"]),
        bos_token: parse(&value["bos_token"]),
        eos_token: parse(&value["eos_token"]),
        add_bos: parse(&value["add_bos"]),
        add_space_prefix: parse(&value["add_space_prefix"]),
    }
}

/// Both descriptions of a tokenizer give the tokens of transformers; one with scores those of sentencepiece, which
/// llama.cpp repeats, where the two differ.
fn check(name: &str) {
    let file = read(name);
    let from_json = Tokenizer::from_json(file["tokenizer"].to_string().as_bytes()).unwrap();
    let from_gguf = Tokenizer::from_vocabulary(vocabulary(&file["vocabulary"])).unwrap();
    let (bos, add_bos): (Option<u32>, bool) =
        (parse(&file["vocabulary"]["bos_token"]), parse(&file["vocabulary"]["add_bos"]));
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 100, "{name}: only {} texts", cases.len());
    for case in cases {
        let (text, ids) = (case["text"].as_str().unwrap(), parse::<Vec<u32>>(&case["ids"]));
        assert_eq!(from_json.encode(text, true).unwrap(), ids, "{name} {text:?}");
        assert_eq!(from_json.encode_prompt(text, true).unwrap(), parse::<Vec<u32>>(&case["prompt"]), "{name} {text:?}");
        assert_eq!(from_json.decode(&ids, false), case["decoded"].as_str().unwrap(), "{name} {text:?}");
        let own = match &case["sentencepiece"] {
            Value::Null if file["vocabulary"]["model"] == "llama" => continue,
            Value::Null => ids,
            own => parse(own),
        };
        assert_eq!(from_gguf.encode(text, true).unwrap(), own, "{name} as GGUF {text:?}");
        let prompt: Vec<u32> = bos.filter(|_| add_bos).into_iter().chain(own).collect();
        assert_eq!(from_gguf.encode_prompt(text, true).unwrap(), prompt, "{name} as GGUF {text:?}");
    }
}

#[test]
fn llama_3_tokens() {
    check("llama_3");
}

#[test]
fn qwen_tokens() {
    check("qwen_2");
}

#[test]
fn smollm_tokens() {
    check("smollm_2");
}

#[test]
fn sentence_piece_tokens() {
    check("llama_2");
}

#[test]
fn gemma_tokens() {
    check("gemma");
}

/// 24 November 2026, in seconds since 1970: the date that the oracle gave the templates that show one.
const DATE: i64 = 1_795_478_400;

fn tokens() -> SpecialTokens {
    [("bos_token", "<s>"), ("eos_token", "</s>")].into()
}

#[test]
fn chat_templates_as_transformers_renders_them() {
    let file = read("templates");
    let cases = file["cases"].as_array().unwrap();
    let refused = cases.iter().filter(|case| !case["error"].is_null()).count();
    assert!(cases.len() > 100 && refused > 5, "{} cases, {refused} refused", cases.len());
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let template = ChatTemplate::new(file["sources"][name].as_str().unwrap(), &tokens()).unwrap().at(DATE);
        let turns: Vec<(String, String)> = parse(&case["messages"]);
        let messages: Vec<Message> = turns.iter().map(|(role, content)| Message::new(role, content)).collect();
        let rendered = template.render(&messages, case["prompt"] == true);
        match case["text"].as_str() {
            Some(text) => assert_eq!(
                rendered.unwrap_or_else(|error| panic!("{name} {turns:?}: {error}")),
                text,
                "{name} {turns:?}"
            ),
            None => {
                let (why, error) = (case["error"].as_str().unwrap(), rendered.unwrap_err().to_string());
                assert!(error.contains(why), "{name} {turns:?}: {error}");
            }
        }
    }
}

/// 24 November 2026, 08:05:09 and some: the time at which the oracle rendered the features.
fn now() -> LocalTime {
    LocalTime { unix_seconds: DATE + 8 * 3600 + 5 * 60 + 9, offset_seconds: 0, microseconds: 0 }
}

/// Renders the cases of a file and says which came out otherwise than its oracle says.
fn compare(file: &Value) {
    let cases = file["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let (name, source) = (case["name"].as_str().unwrap(), case["source"].as_str().unwrap());
        let turns: Vec<(String, String)> = parse(case.get("messages").unwrap_or(&file["messages"]));
        let messages: Vec<Message> = turns.into_iter().map(|(role, content)| Message::new(role, content)).collect();
        let rendered = ChatTemplate::new(source, &tokens())
            .and_then(|template| template.with_clock(now).render(&messages, case["prompt"] != false))
            .map_err(|error| error.to_string());
        let same = match (case["text"].as_str(), &rendered) {
            (Some(text), Ok(rendered)) => text == rendered,
            // What a template says itself is told; the renderer's own words are its own.
            (None, Err(error)) => {
                let why = case["error"].as_str().unwrap();
                why.strip_prefix("TemplateError: ").is_none_or(|why| error.contains(why))
            }
            _ => false,
        };
        // One that is said to differ and does not is a mistake as well.
        if same != case["differs"].is_null() {
            wrong.push(format!("{name}: {source:?}\n  there {} {}\n  here  {rendered:?}", case["text"], case["error"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn template_features_as_jinja_renders_them() {
    let file = read("template_features");
    assert!(file["cases"].as_array().unwrap().len() > 500);
    compare(&file);
}

/// docs/templates.md lists what differs, in the words of the oracle.
#[test]
fn what_differs_is_documented() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates.md")).unwrap();
    let table = page.split("<!-- differs").nth(1).unwrap();
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| here") && !line.starts_with("| ---"));
    let told: BTreeSet<String> = rows.map(|row| row[2..].split(" | ").next().unwrap().to_owned()).collect();
    let file = read("template_features");
    let cases = file["cases"].as_array().unwrap().iter();
    let known: BTreeSet<String> = cases.filter_map(|case| case["differs"].as_str()).map(str::to_owned).collect();
    assert_eq!(told, known);
}

/// Templates of real models, where the oracle was run on some: `tests/oracles/templates.py FOLDER OUT`.
#[test]
fn templates_by_hand_as_jinja_renders_them() {
    if let Ok(path) = std::env::var("ISOBATH_TEMPLATES") {
        compare(&serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap());
    }
}
