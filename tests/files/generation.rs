//! What counts of a generation_config.json, beside what transformers goes by (`tests/oracles/generation.py`).

use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use serde_json::Value;

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 2, "vocab_size": 1000, "eos_token_id": 256}"#;

#[test]
fn what_counts_is_what_transformers_goes_by() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../texts/generation.json")).unwrap();
    assert!(cases.len() > 15);
    for case in cases {
        let (file, want) = (case["file"].as_str().unwrap(), &case["effective"]);
        let mut generation = Generation::from_json(file).unwrap();
        let ends: Vec<u32> = serde_json::from_value(want["ends"].clone()).unwrap();
        assert_eq!(generation.end_tokens.as_deref(), Some(&ends[..]), "{file}");
        let suggested = generation.suggestion;
        let close = |got: Option<f32>, key: &str| (f64::from(got.unwrap()) - want[key].as_f64().unwrap()).abs() < 1e-6;
        if want["draws"] == true {
            assert!(close(suggested.temperature, "temperature"), "{file}");
            assert!(close(suggested.top_p, "top_p") && close(suggested.min_p, "min_p"), "{file}");
            assert_eq!(suggested.top_k.map(u64::from), want["top_k"].as_u64(), "{file}");
        } else {
            // The most probable token where the file says so; the program's own way where it says nothing.
            let said = file.contains(r#""do_sample": false"#);
            assert_eq!(suggested.temperature, said.then_some(0.0), "{file}");
            assert_eq!((suggested.top_k, suggested.top_p, suggested.min_p), (None, None, None), "{file}");
        }
        assert!(close(suggested.repeat_penalty.or(Some(1.0)), "repetition_penalty"), "{file}");
        // Those that the model has, and none of the config's.
        let mut config = ModelConfig::from_json(CONFIG).unwrap();
        generation.apply(&mut config);
        let inside: Vec<u32> = ends.iter().copied().filter(|token| *token < 1000).collect();
        assert_eq!(config.end_tokens, inside, "{file}");
        assert_eq!(generation.warning().is_some_and(|told| told.contains("9000000")), ends.len() > inside.len());
    }
}
