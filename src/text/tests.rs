//! Small vocabularies built by hand: every family, and every way a description can be wrong.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{GgufVocabulary, Tokenizer};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Letters, digits and a few merges in GPT-2's alphabet; the last two are a control and a user-defined token.
fn byte_level(pre: &str) -> GgufVocabulary {
    let letters = ('!'..='~').map(String::from).chain(strings(&["Ġ", "Ċ", "č", "Ã", "©", "Ì", "ģ", "©"][..7]));
    let mut tokens: Vec<String> = letters.collect();
    let merges = strings(&["h e", "he y", "Ġ hey", "1 2", "12 3", "123 4", "' S", "n e", "ne w"]);
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    tokens.extend(strings(&["new!", "<eos>", "<tag>"]));
    let mut token_types = vec![1; tokens.len() - 2];
    token_types.extend([3, 4]);
    let eos_token = Some(tokens.len() as u32 - 2);
    let (model, pre) = ("gpt2".to_string(), pre.to_string());
    GgufVocabulary { model, pre, tokens, token_types, merges, eos_token, ..Default::default() }
}

fn sentence_piece() -> GgufVocabulary {
    let mut tokens = strings(&["<unk>", "<s>", "</s>"]);
    let mut token_types = vec![2, 3, 3];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    token_types.extend([6; 256]);
    let pieces = ["▁", "a", "b", "c", "▁a", "ab", "bc", "▁ab", "abc", "▁▁"];
    let mut scores = vec![0.0; tokens.len()];
    scores.extend([-9.0, -9.0, -9.0, -9.0, -3.0, -1.0, -2.0, -4.0, -5.0, -6.0]);
    tokens.extend(strings(&pieces));
    token_types.extend([1; 10]);
    GgufVocabulary {
        model: "llama".to_string(),
        tokens,
        token_types,
        scores,
        bos_token: Some(1),
        eos_token: Some(2),
        add_bos: true,
        add_space_prefix: true,
        ..Default::default()
    }
}

#[test]
fn sentence_piece_survives_the_way_through_json_and_back_into_a_gguf_file() {
    for add_space_prefix in [true, false] {
        let vocabulary = GgufVocabulary { add_space_prefix, ..sentence_piece() };
        let names = vocabulary.tokens.clone();
        let tokenizer = Tokenizer::from_vocabulary(vocabulary.clone()).unwrap();
        let json = tokenizer.to_json().unwrap();
        let written = GgufVocabulary::from_json(json.as_bytes(), names.len() as u32 + 2).unwrap();
        assert_eq!((&written.tokens[..names.len()], written.model.as_str()), (&names[..], "llama"));
        assert_eq!(written.token_types[..names.len()], vocabulary.token_types);
        assert_eq!((written.bos_token, written.add_bos), (Some(1), true));
        assert_eq!(written.add_space_prefix, add_space_prefix);
        let again = Tokenizer::from_vocabulary(written).unwrap();
        for text in ["abc ab", " a  bcab", "aé\n", "<s>ab</s> c", ""] {
            assert_eq!(
                again.encode_prompt(text, true).unwrap(),
                tokenizer.encode_prompt(text, true).unwrap(),
                "{text:?}"
            );
        }
    }
}

#[test]
fn sentence_piece_that_gguf_cannot_say_is_refused() {
    let json = Tokenizer::from_vocabulary(sentence_piece()).unwrap().to_json().unwrap();
    let refuses = |change: &dyn Fn(&mut serde_json::Value), word: &str| {
        let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
        change(&mut json);
        let error = GgufVocabulary::from_json(json.to_string().as_bytes(), 300).unwrap_err().to_string();
        assert!(error.contains(word), "`{word}` is not in: {error}");
    };
    let metaspace =
        serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    refuses(
        &|json| {
            json["normalizer"] = serde_json::Value::Null;
            json["pre_tokenizer"] = metaspace.clone();
        },
        "takes text apart",
    );
    refuses(&|json| json["model"]["byte_fallback"] = false.into(), "fall back on bytes");
    // The first of two ways to make `▁ab`.
    refuses(&|json| drop(json["model"]["merges"].as_array_mut().unwrap().remove(3)), "one score for each piece");
    refuses(&|json| json["added_tokens"][1]["rstrip"] = true.into(), "`<s>` takes spaces");
}

/// The text as the tokens' spellings with bars between; also checks the way back, and the way through JSON.
fn check(vocabulary: GgufVocabulary, text: &str, expected: &str) {
    let names = vocabulary.tokens.clone();
    let tokenizer = Tokenizer::from_vocabulary(vocabulary).unwrap();
    let tokens = tokenizer.encode(text, true).unwrap();
    let spelled: Vec<&str> = tokens.iter().map(|&token| names[token as usize].as_str()).collect();
    assert_eq!(spelled.join("|"), expected, "{text:?}");
    assert_eq!(tokenizer.decode(&tokens, false), text);
    let again = Tokenizer::from_json(tokenizer.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(again.encode_prompt(text, true).unwrap(), tokenizer.encode_prompt(text, true).unwrap());
    assert_eq!(again.decode(&tokens, true), tokenizer.decode(&tokens, true));
}

#[test]
fn splitting_rules() {
    check(byte_level("smollm"), "hey 1234 hey", "hey|Ġ|1|2|3|4|Ġhey");
    check(byte_level("gpt-2"), "hey1234\n", "hey|1234|Ċ");
    check(byte_level("default"), "it'S", "i|t|'|S");
    check(byte_level("llama-bpe"), "it'S 12345", "i|t|'S|Ġ|123|4|5");
    check(byte_level("qwen2"), "12 hey\r\n", "1|2|Ġhey|č|Ċ");
}

#[test]
fn llama_3_takes_whole_words_before_merging() {
    let mut vocabulary = byte_level("llama-bpe");
    vocabulary.tokens[101] = "what".to_string();
    vocabulary.merges.remove(0);
    vocabulary.merges.truncate(0);
    check(vocabulary.clone(), "what", "what");
    vocabulary.pre = "qwen2".to_string();
    check(vocabulary, "what", "w|h|a|t");
}

#[test]
fn qwen_2_composes_characters() {
    let tokenizer = Tokenizer::from_vocabulary(byte_level("qwen2")).unwrap();
    assert_eq!(tokenizer.encode("e\u{301}", true).unwrap(), tokenizer.encode("é", true).unwrap());
    let tokenizer = Tokenizer::from_vocabulary(byte_level("llama-bpe")).unwrap();
    assert_eq!(tokenizer.encode("e\u{301}", true).unwrap().len(), 3);
}

#[test]
fn control_and_user_defined_tokens() {
    check(byte_level("gpt-2"), "hey<eos>hey<tag> hey", "hey|<eos>|hey|<tag>|Ġhey");
    let tokenizer = Tokenizer::from_vocabulary(byte_level("gpt-2")).unwrap();
    let tokens = tokenizer.encode("<eos><tag>", false).unwrap();
    assert_eq!(tokens.len(), 6, "user-defined tokens are found in any text, control tokens are not");
    assert_eq!(tokenizer.decode(&tokenizer.encode("<eos><tag>", true).unwrap(), true), "<tag>");
}

#[test]
fn pieces_by_score() {
    check(sentence_piece(), "abc", "▁ab|c");
    check(sentence_piece(), "a bc", "▁a|▁|bc");
    check(sentence_piece(), "ab  é", "▁ab|▁▁|<0xC3>|<0xA9>");
    let tokenizer = Tokenizer::from_vocabulary(sentence_piece()).unwrap();
    assert_eq!(tokenizer.encode_prompt("a", false).unwrap(), [1, tokenizer.id_of("▁a").unwrap()]);
    assert_eq!(tokenizer.encode_prompt("", false).unwrap(), [1]);
    // The text after a special token gets its space too, as in transformers.
    assert_eq!(tokenizer.encode("</s>a", true).unwrap(), [2, tokenizer.id_of("▁a").unwrap()]);
    let mut plain = sentence_piece();
    plain.add_space_prefix = false;
    check(plain, " a", "▁a");
}

fn refusal(change: impl Fn(&mut GgufVocabulary)) -> String {
    let mut vocabulary = byte_level("gpt-2");
    change(&mut vocabulary);
    Tokenizer::from_vocabulary(vocabulary).unwrap_err().to_string()
}

fn check_refusal(words: &[&str], change: impl Fn(&mut GgufVocabulary)) {
    let error = refusal(change);
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[test]
fn damaged_vocabularies_are_refused() {
    check_refusal(&["`tekken-9`", "smollm", "qwen2", "tekken,"], |vocabulary| vocabulary.pre = "tekken-9".to_string());
    check_refusal(&["`bert`", "gpt2, llama"], |vocabulary| vocabulary.model = "bert".to_string());
    check_refusal(&["merge 9", "`zq`"], |vocabulary| vocabulary.merges.push("z q".to_string()));
    check_refusal(&["merge 9", "`€`"], |vocabulary| vocabulary.merges.push("€ hey".to_string()));
    check_refusal(&["merge 9", "two pieces"], |vocabulary| vocabulary.merges.push("hey".to_string()));
    check_refusal(&["merge 9", "two pieces"], |vocabulary| vocabulary.merges.push("a b c".to_string()));
    check_refusal(&["tokens 0 and", "`!`"], |vocabulary| vocabulary.tokens[7] = "!".to_string());
    check_refusal(&["token types"], |vocabulary| vocabulary.token_types.truncate(3));
    check_refusal(&["bos_token_id is 5000"], |vocabulary| vocabulary.bos_token = Some(5000));
    check_refusal(&["eos_token_id"], |vocabulary| vocabulary.eos_token = Some(u32::MAX));
    check_refusal(&["add_bos_token"], |vocabulary| vocabulary.add_bos = true);
    check_refusal(&["score per token"], |vocabulary| vocabulary.model = "llama".to_string());
    check_refusal(&["0 tokens"], |vocabulary| {
        *vocabulary = GgufVocabulary { model: "gpt2".to_string(), ..Default::default() };
    });
}

fn description() -> Value {
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    json!({"decoder": decoder, "added_tokens": [{"id": 3, "content": "<x>", "special": true}],
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})
}

#[test]
fn descriptions_old_and_new() {
    let mut description = description();
    let encode = |description: &Value| {
        Tokenizer::from_json(description.to_string().as_bytes()).unwrap().encode("abb<x>", true).unwrap()
    };
    assert_eq!(encode(&description), [2, 1, 3]);
    description["model"]["merges"] = json!(["a b"]);
    description["truncation"] = json!({"max_length": 1, "strategy": "LongestFirst", "stride": 7});
    description["model"]["dropout"] = json!(0.9);
    assert_eq!(encode(&description), [2, 1, 3], "truncation and dropout are left out");
}

#[test]
fn damaged_descriptions_are_refused() {
    let check = |path: &str, value: Value, words: &[&str]| {
        let mut description = description();
        *description.pointer_mut(path).unwrap() = value;
        let error = Tokenizer::from_json(description.to_string().as_bytes()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check("/model/type", json!("Unigram"), &["`Unigram`", "BPE"]);
    check("/model/vocab", json!({"a": 0, "b": 0}), &["number 0 is used twice"]);
    check("/model/vocab", json!({"a": u32::MAX}), &["numbers go up to"]);
    check("/model/vocab", json!({"a": -1}), &["not valid"]);
    check("/model/vocab", json!({}), &["0 tokens"]);
    check("/model/merges", json!([["b", "a"]]), &["merge 0", "`ba`"]);
    check("/model/merges", json!([["ab", "abababababababab"]]), &["merge 0"]);
    check("/added_tokens/0/id", json!(9), &["`<x>` has number 9", "gives it 3"]);
    check("/decoder", json!({"type": "CTC"}), &["`CTC`"]);
    let error = Tokenizer::from_json(b"{").unwrap_err().to_string();
    assert!(error.contains("tokenizer.json is not valid"), "{error}");
    for part in ["normalizer", "pre_tokenizer", "post_processor"] {
        let mut description = description();
        description[part] = json!({"type": "Nonsense"});
        let error = Tokenizer::from_json(description.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("Nonsense"), "{error}");
    }
}

#[test]
fn a_post_processor_may_not_add_unknown_tokens() {
    let mut description = description();
    description["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
        "special_tokens": {"<x>": {"id": "<x>", "ids": [77], "tokens": ["<x>"]}}});
    let error = Tokenizer::from_json(description.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("adds token 77"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back(text in "[ -~\n]{0,40}") {
        for vocabulary in [byte_level("smollm"), byte_level("llama-bpe"), sentence_piece()] {
            let tokenizer = Tokenizer::from_vocabulary(vocabulary).unwrap();
            for special in [false, true] {
                let tokens = tokenizer.encode(&text, special).unwrap();
                // A special token swallows the space that the tokenizer puts before the text behind it.
                if !text.contains('<') {
                    prop_assert_eq!(tokenizer.decode(&tokens, false), &*text);
                }
            }
        }
    }
}
