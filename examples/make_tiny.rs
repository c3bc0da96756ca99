//! Writes `tests/models/tiny`: a Mixture-of-Recursions model with seeded random weights and a word tokenizer of its own.
//!
//! For tests: it has learned nothing, but it recurses, routes and samples like a trained one, and is as small as can be.
//! Run: `cargo run --example make_tiny`.

use std::error::Error;
use std::fs;
use std::path::Path;

use isobath::files::random::Random;
use isobath::files::write::{ExportType, export_safetensors};
use isobath::network::config::ModelConfig;
use isobath::network::names::LM_HEAD;
use isobath::tensor::{DataType, Tensor, TensorSource};
use serde_json::{Map, Value, json};

const WORDS: &str = "the a an and of to in on by at with under over from into through before after while where when \
    sea ship sail tide wave wind storm calm deep shallow harbour lantern anchor rope mast deck keel oar rudder \
    chart line depth sounding lead fathom reef shoal shore island cliff cave sand stone salt foam spray mist fog rain \
    cloud star moon sun night day dawn dusk morning evening winter summer captain sailor pilot keeper child whale gull \
    seal fish crab shell pearl weed coral bell song story letter map compass glass light lamp fire bread water silence \
    voice name hand eye heart dream memory promise secret door window house tower road bridge river lake \
    drifts sails sinks rises falls turns sleeps wakes sings waits listens remembers counts measures follows finds loses \
    carries hides opens closes burns shines breaks holds knows slow quiet old young blue grey green white black silver \
    cold warm bright dark long far near lost found empty full small great first last never always again slowly softly \
    is was has had it he she they we who that this one two three no every some many , .";

/// Byte-level BPE's printable stand-ins for the 256 bytes.
fn byte_letters() -> Vec<char> {
    let shown = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
    let mut next = 256;
    let mut stand_in = |b| {
        next += 1;
        char::from_u32(if shown(b) { b } else { next - 1 }).unwrap_or(' ')
    };
    (0..256).map(|b| if shown(b) { char::from_u32(b).unwrap_or(' ') } else { stand_in(b) }).collect()
}

/// `tokenizer.json`, and the tokens that are whole words.
fn tokenizer() -> (Value, Vec<usize>, usize) {
    let mut tokens: Vec<String> = vec!["<|end|>".into()];
    tokens.extend(byte_letters().iter().map(char::to_string));
    let (mut merges, mut words) = (Vec::new(), Vec::new());
    for word in WORDS.split_whitespace() {
        let mut piece =
            if word.len() == 1 && !word.chars().all(char::is_alphabetic) { String::new() } else { "Ġ".to_owned() };
        for letter in word.chars() {
            let joined = format!("{piece}{letter}");
            if !piece.is_empty() && !tokens.contains(&joined) {
                merges.push(format!("{piece} {letter}"));
                tokens.push(joined.clone());
            }
            piece = joined;
        }
        words.extend(tokens.iter().position(|token| *token == piece));
    }
    let vocab: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let end = json!({"id": 0, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [end], "normalizer": null,
        "pre_tokenizer": level, "post_processor": null, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges},
    });
    (json, words, tokens.len())
}

fn config(vocabulary: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 8, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": vocabulary, "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 0,
        "isobath": {
            "version": 1,
            "recursion": {"count": 3, "sharing": "middle_cycle"},
            "kv": {"mode": "own"},
            "router": {"kind": "expert", "network": "linear", "function": "sigmoid", "alpha": 1.0, "gating": "weighted"},
        },
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny");
    fs::create_dir_all(&folder)?;
    let (tokenizer, words, vocabulary) = tokenizer();
    let config_json = config(vocabulary);
    let config = ModelConfig::from_json(&config_json.to_string())?;
    let random = Random::new(&config, 2026, true, 0);
    let mut tensors = Vec::new();
    for name in random.names() {
        let Some(mut tensor) = random.tensor(&name)? else { continue };
        if name == LM_HEAD {
            tensor = words_only(&tensor, &words);
        }
        tensors.push((name, tensor));
    }
    fs::write(folder.join("model.safetensors"), export_safetensors(tensors, ExportType::As(DataType::F16))?)?;
    fs::write(folder.join("config.json"), format!("{config_json:#}\n"))?;
    fs::write(folder.join("tokenizer.json"), format!("{tokenizer}\n"))?;
    Ok(())
}

/// The head's rows of words, large enough to be told apart; all other tokens get none, so that they are rarely drawn.
fn words_only(head: &Tensor<'_>, words: &[usize]) -> Tensor<'static> {
    let width = head.shape[1] * 4;
    let mut data = vec![0u8; head.data.len()];
    for &word in words {
        for (to, from) in
            data[word * width..][..width].chunks_exact_mut(4).zip(head.data[word * width..].chunks_exact(4))
        {
            let number = f32::from_le_bytes([from[0], from[1], from[2], from[3]]);
            to.copy_from_slice(&(3.0 * number).to_le_bytes());
        }
    }
    Tensor { data_type: DataType::F32, shape: head.shape.clone(), data: data.into() }
}
