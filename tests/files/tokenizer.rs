//! Tokenizer and chat template of a real model against what transformers gives for them.

use std::sync::{Arc, OnceLock};

use isobath::text::{ChatTemplate, GgufVocabulary, Message, TextStream, Tokenizer};
use serde_json::{Map, Value};

use crate::support::{gguf_metadata, golden_dir, smollm2};

fn metadata() -> &'static Map<String, Value> {
    static METADATA: OnceLock<Map<String, Value>> = OnceLock::new();
    METADATA.get_or_init(|| gguf_metadata::read(&smollm2::gguf()))
}

fn tokenizer() -> Arc<Tokenizer> {
    static TOKENIZER: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    TOKENIZER.get_or_init(|| Arc::new(Tokenizer::from_vocabulary(vocabulary()).unwrap())).clone()
}

fn vocabulary() -> GgufVocabulary {
    let get = |name: &str| metadata().get(&format!("tokenizer.ggml.{name}")).cloned().unwrap_or(Value::Null);
    GgufVocabulary {
        model: serde_json::from_value(get("model")).unwrap(),
        pre: serde_json::from_value(get("pre")).unwrap(),
        tokens: serde_json::from_value(get("tokens")).unwrap(),
        token_types: serde_json::from_value(get("token_type")).unwrap(),
        merges: serde_json::from_value(get("merges")).unwrap(),
        bos_token: serde_json::from_value(get("bos_token_id")).unwrap(),
        eos_token: serde_json::from_value(get("eos_token_id")).unwrap(),
        add_bos: get("add_bos_token") == true,
        ..GgufVocabulary::default()
    }
}

fn golden(file: &str) -> Value {
    let path = golden_dir::golden_dir().join("smollm2").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn check_golden_cases(tokenizer: &Tokenizer) {
    let cases = golden("tokenizer_golden.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap(), ids(&case["ids"]), "{text:?}");
        assert_eq!(tokenizer.encode_prompt(text, true).unwrap(), ids(&case["ids"]), "{text:?}");
        assert_eq!(tokenizer.decode(&ids(&case["ids"]), false), case["decoded"].as_str().unwrap());
    }
}

#[test]
fn golden_cases() {
    check_golden_cases(&tokenizer());
}

#[test]
fn golden_cases_after_a_round_trip_through_json() {
    let json = tokenizer().to_json().unwrap();
    let again = Tokenizer::from_json(json.as_bytes()).unwrap();
    assert_eq!(again.vocab_size(), 49152);
    check_golden_cases(&again);
}

#[test]
fn golden_prompts() {
    for prompt in golden("golden.json")["prompts"].as_array().unwrap() {
        assert_eq!(tokenizer().encode(prompt["prompt"].as_str().unwrap(), true).unwrap(), ids(&prompt["ids"]));
        assert_eq!(tokenizer().decode(&ids(&prompt["greedy32"]), false), prompt["greedy_text"].as_str().unwrap());
    }
}

#[test]
fn tokens_by_number_and_by_name() {
    let tokenizer = tokenizer();
    assert_eq!((tokenizer.vocab_size(), tokenizer.bos_token(), tokenizer.eos_token()), (49152, Some(1), Some(2)));
    assert_eq!(tokenizer.id_of("<|im_end|>"), Some(2));
    assert_eq!(tokenizer.id_of("no such token"), None);
    assert_eq!(tokenizer.token_text(2).as_deref(), Some("<|im_end|>"));
    assert_eq!(tokenizer.token_text(28).as_deref(), Some(","));
    assert_eq!(tokenizer.token_text(49152), None);
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(28));
    assert_eq!(tokenizer.decode(&[1, 28, 2, u32::MAX], true), ",");
}

#[test]
fn special_tokens_in_a_strangers_text_are_text() {
    let text = "Hi<|im_end|>\n<|im_start|>system";
    let tokens = tokenizer().encode(text, false).unwrap();
    assert!(tokens.iter().all(|&token| !tokenizer().is_special(token)));
    assert_eq!(tokenizer().decode(&tokens, true), text);
}

#[test]
fn long_and_odd_texts_survive_the_round_trip() {
    let texts =
        [" ".repeat(50_000), "a".repeat(50_000), "日本語🙂\r\n\t ".repeat(2_000), "\0\u{feff}\u{10ffff}".to_string()];
    for text in texts {
        let tokens = tokenizer().encode(&text, true).unwrap();
        assert_eq!(tokenizer().decode(&tokens, false), text);
    }
}

#[test]
fn streamed_text_is_the_decoded_text() {
    // A fixed walk through the whole vocabulary, so that characters are broken in many ways.
    let tokens: Vec<u32> = (0..20_000u32).map(|step| step.wrapping_mul(2_654_435_761) % 49_200).collect();
    for skip_special in [false, true] {
        let mut stream = TextStream::new(tokenizer(), &["no such text".to_string()], skip_special);
        let mut text: String = tokens.iter().map(|&token| stream.push(token).text).collect();
        text.push_str(&stream.finish().text);
        assert_eq!(text, tokenizer().decode(&tokens, skip_special));
    }
}

#[test]
fn chat_template_of_the_model() {
    let template = metadata()["tokenizer.chat_template"].as_str().unwrap();
    let template =
        ChatTemplate::new(template, &[("bos_token", "<|im_start|>"), ("eos_token", "<|im_end|>")].into()).unwrap();
    let messages = [Message::new("user", "Give me three tips for learning to cook.")];
    let golden = golden("golden.json");
    let expected = golden["prompts"][4]["prompt"].as_str().unwrap();
    assert_eq!(template.render(&messages, true).unwrap(), expected);
}
