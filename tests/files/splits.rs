//! How GGUF files take text apart, and which tokens end a text, beside what llama.cpp says of the same vocabularies
//! (`tests/oracles/splits.py`).

use isobath::text::{EndKeys, GgufVocabulary, Tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Splits {
    names: Vec<String>,
    begins: Vec<String>,
    tokens: Vec<String>,
    merges: Vec<String>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    tokens: Vec<u32>,
    names: Vec<usize>,
}

fn splits() -> Splits {
    serde_json::from_str(include_str!("../texts/splits.json")).unwrap()
}

fn tokenizer(splits: &Splits, pre: &str) -> Tokenizer {
    Tokenizer::from_vocabulary(GgufVocabulary {
        model: "gpt2".into(),
        pre: pre.into(),
        tokens: splits.tokens.clone(),
        merges: splits.merges.clone(),
        ..GgufVocabulary::default()
    })
    .unwrap()
}

/// What a rule makes of all texts, and what it should.
fn check(splits: &Splits, at: usize, pre: &str) {
    let tokenizer = tokenizer(splits, pre);
    for text in &splits.texts {
        let composed = ["qwen2", "deepseek-r1-qwen"].contains(&pre) && text.text.contains(['\u{301}', '\u{308}']);
        if composed {
            // llama.cpp leaves characters as they come; the models' own tokenizer composes them.
            continue;
        }
        let want = text.results.iter().find(|result| result.names.contains(&at)).unwrap();
        let got = tokenizer.encode(&text.text, false).unwrap();
        let spell = |tokens: &[u32]| {
            tokens.iter().map(|token| splits.tokens[*token as usize].as_str()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(spell(&got), spell(&want.tokens), "{:?} by {pre:?}", text.text);
    }
}

#[test]
fn every_rule_splits_as_llama_cpp_does() {
    let splits = splits();
    for (at, name) in splits.names.iter().enumerate() {
        check(&splits, at, name);
        assert_eq!(GgufVocabulary::begins_by_default("gpt2", name), splits.begins.contains(name), "{name}");
    }
}

#[test]
fn a_file_that_names_no_rule_has_the_default_one_and_says_so() {
    let splits = splits();
    let at = splits.names.iter().position(|name| name == "default").unwrap();
    check(&splits, at, "");
    let text = "abc 1234's (ab)!! $a";
    let count = |pre| tokenizer(&splits, pre).encode(text, false).unwrap().len();
    assert!(count("") > count("gpt-2"), "{} {}", count(""), count("gpt-2"));
    let unnamed = GgufVocabulary { model: "gpt2".into(), ..GgufVocabulary::default() };
    assert!(unnamed.warning().unwrap().contains("tokenizer.ggml.pre"));
    for (model, pre) in [("gpt2", "default"), ("llama", "")] {
        let named = GgufVocabulary { model: model.into(), pre: pre.into(), ..GgufVocabulary::default() };
        assert_eq!(named.warning(), None);
    }
}

#[derive(Deserialize)]
struct Ends {
    letters: u32,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    tokens: Vec<String>,
    types: Vec<i32>,
    keys: Keys,
    ends: Vec<u32>,
    special: Vec<bool>,
}

#[derive(Debug, Deserialize)]
struct Keys {
    eos_token_id: Option<u32>,
    bos_token_id: Option<u32>,
    eot_token_id: Option<u32>,
    eom_token_id: Option<u32>,
    fim_pad_token_id: Option<u32>,
    fim_rep_token_id: Option<u32>,
    fim_sep_token_id: Option<u32>,
}

#[test]
fn the_tokens_that_llama_cpp_ends_at_end_a_text() {
    let ends: Ends = serde_json::from_str(include_str!("../texts/ends.json")).unwrap();
    assert!(ends.cases.len() > 80);
    for case in ends.cases {
        let letters = (33..33 + ends.letters).map(|code| char::from_u32(code).unwrap().to_string());
        let mut token_types = vec![1; ends.letters as usize];
        token_types.extend(&case.types);
        let keys = &case.keys;
        let vocabulary = GgufVocabulary {
            model: "gpt2".into(),
            pre: "gpt-2".into(),
            tokens: letters.chain(case.tokens.iter().cloned()).collect(),
            token_types,
            bos_token: keys.bos_token_id,
            eos_token: keys.eos_token_id,
            ..GgufVocabulary::default()
        };
        let found = vocabulary.end_tokens(EndKeys {
            turn: keys.eot_token_id,
            message: keys.eom_token_id,
            padding: keys.fim_pad_token_id,
            repository: keys.fim_rep_token_id,
            file: keys.fim_sep_token_id,
        });
        let named = keys.eos_token_id.filter(|token| case.ends.contains(token));
        assert!(named.is_none() || found.first().copied() == named, "{case:?}");
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, case.ends, "{case:?}");
        let tokenizer = Tokenizer::from_vocabulary(vocabulary).unwrap();
        for ((at, text), special) in (ends.letters..).zip(&case.tokens).zip(&case.special) {
            let tokens = tokenizer.encode(text, true).unwrap();
            // A text that is empty is no token; the name that the token has instead is.
            assert_eq!(tokens == [at], *special && !text.is_empty(), "{text} in {case:?}");
        }
    }
}

#[test]
fn tokens_without_a_spelling_are_told_apart() {
    let tokens = ["", "a", "", "b", ""].map(str::to_owned).to_vec();
    let file = GgufVocabulary { model: "gpt2".into(), pre: "gpt-2".into(), tokens, ..GgufVocabulary::default() };
    let tokenizer = Tokenizer::from_vocabulary(file.clone()).unwrap();
    assert_eq!(tokenizer.encode("ab", true).unwrap(), [1, 3]);
    assert_eq!(tokenizer.token_text(2).as_deref(), Some("[EMPTY_2]"));
    let mut twice = file;
    twice.tokens[3] = "a".into();
    let error = Tokenizer::from_vocabulary(twice).unwrap_err().to_string();
    assert!(error.contains("tokens 1 and 3 are both `a`"), "{error}");
}

#[test]
fn a_vocabulary_of_nothing_but_ends_is_read_at_once() {
    let begin = std::time::Instant::now();
    let tokens = vec!["<eos>".to_owned(); 300_000];
    let file = GgufVocabulary { model: "gpt2".into(), tokens, ..GgufVocabulary::default() };
    assert_eq!(file.end_tokens(EndKeys::default()).len(), 300_000);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
}
