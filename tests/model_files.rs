//! Model files, good and bad: what is read, and that every refusal says what is wrong and where.

#[path = "support/gguf.rs"]
mod gguf;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use gguf::{File, Value};
use isobath::error::ModelError;
use isobath::model::config::ModelConfig;
use isobath::model::folder::{Folder, Safetensors, check_finite};
use isobath::model::gguf::Gguf;
use isobath::model::names::check_tensors;
use isobath::model::tensor::{DataType, TensorSource};
use proptest::prelude::*;
use tiny_model::says;

fn gguf_says(file: &File, parts: &[&str]) {
    says(
        Gguf::parse(&file.bytes(), "tiny.gguf"),
        &[parts, &["tiny.gguf"]].concat(),
    );
}

fn gguf_config_says(file: &File, parts: &[&str]) {
    says(
        Gguf::parse(&file.bytes(), "tiny.gguf").unwrap().config(),
        parts,
    );
}

/// Everything that reading a file can run into.
fn read_gguf(bytes: &[u8]) {
    let Ok(gguf) = Gguf::parse(bytes, "tiny.gguf") else {
        return;
    };
    let _ = gguf.strings("tokenizer.ggml.tokens");
    let _ = gguf.integers("tokenizer.ggml.token_type");
    read(&gguf);
    if let Ok(config) = gguf.config() {
        assert!(check_tensors(&config, &gguf).len() <= 64);
    }
}

fn read_safetensors(bytes: &[u8]) {
    let Ok(file) = Safetensors::parse(bytes, "model.safetensors") else {
        return;
    };
    read(&file);
    assert!(check_tensors(&tiny_model::config(), &file).len() <= 64);
}

fn read(source: &dyn TensorSource) {
    for name in source.names() {
        if let Ok(Some(tensor)) = source.tensor(&name) {
            let _ = check_finite(&name, &tensor);
        }
    }
}

/// A safetensors file from the text of its header.
fn raw_safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn safetensors_says(header: &str, data: usize, parts: &[&str]) {
    let parts = [parts, &["model.safetensors"]].concat();
    says(
        Safetensors::parse(&raw_safetensors(header, data), "model.safetensors"),
        &parts,
    );
}

#[test]
fn gguf_and_safetensors_are_the_same_model() {
    let (gguf_bytes, safetensors_bytes) = (tiny_model::gguf().bytes(), tiny_model::safetensors());
    for version in [2, 3] {
        let mut bytes = gguf_bytes.clone();
        bytes[4] = version;
        let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
        let folder = Folder::new(vec![
            Safetensors::parse(&safetensors_bytes, "model.safetensors").unwrap(),
        ])
        .unwrap();
        assert_eq!(gguf.config().unwrap(), tiny_model::config());
        assert_eq!(gguf.names(), folder.names());
        assert!(check_tensors(&tiny_model::config(), &gguf).is_empty());
        assert!(check_tensors(&tiny_model::config(), &folder).is_empty());
        for (name, shape, numbers) in tiny_model::weights() {
            for source in [&gguf as &dyn TensorSource, &folder] {
                let tensor = source.tensor(&name).unwrap().unwrap();
                assert_eq!(
                    (&tensor.shape, tensor.data_type),
                    (&shape, DataType::F32),
                    "{name}"
                );
                assert_eq!(*tensor.data, tiny_model::f32_bytes(&numbers), "{name}");
            }
        }
    }
}

#[test]
fn real_row_order_of_a_head() {
    let mut file = tiny_model::gguf_metadata();
    let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
    // Two heads of width 4: rows 0 1 2 3 stand as 0 2 1 3.
    let stored = tiny_model::permute(&rows, 2, 1);
    assert_eq!(stored, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    file.tensor(
        "blk.0.attn_q.weight",
        &[8, 1],
        0,
        tiny_model::f32_bytes(&stored),
    );
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    let tensor = gguf
        .tensor("model.layers.0.self_attn.q_proj.weight")
        .unwrap()
        .unwrap();
    assert_eq!(*tensor.data, tiny_model::f32_bytes(&rows));
}

#[test]
fn gguf_values_of_all_types() {
    let mut file = File::default();
    file.set("a", Value::U8(255))
        .set("b", Value::I8(-1))
        .set("c", Value::U16(65535))
        .set("d", Value::I16(-2))
        .set("e", Value::U32(7))
        .set("f", Value::I32(-3))
        .set("g", Value::F32(0.5))
        .set("h", Value::Bool(true))
        .set("i", "text é")
        .set("j", Value::U64(1 << 40))
        .set("k", Value::I64(-4))
        .set("l", Value::F64(0.25))
        .set(
            "m",
            Value::Array(
                9,
                vec![
                    Value::Array(0, vec![Value::U8(1)]),
                    Value::Array(8, vec!["x".into()]),
                ],
            ),
        )
        .set("n", Value::U64(u64::MAX))
        .set("o", Value::Array(5, vec![Value::I32(-1), Value::I32(2)]))
        .set("p", Value::Array(8, vec!["x".into(), "".into()]));
    let bytes = file.bytes();
    let gguf = Gguf::parse(&bytes, "values.gguf").unwrap();
    for (key, value) in [
        ("a", 255),
        ("b", -1),
        ("c", 65535),
        ("d", -2),
        ("e", 7),
        ("f", -3),
        ("j", 1 << 40),
        ("k", -4),
    ] {
        assert_eq!(gguf.integer(key).unwrap(), Some(value), "{key}");
    }
    assert_eq!(
        (gguf.float("g").unwrap(), gguf.float("l").unwrap()),
        (Some(0.5), Some(0.25))
    );
    assert_eq!(gguf.float("e").unwrap(), Some(7.0));
    assert_eq!(gguf.boolean("h").unwrap(), Some(true));
    assert_eq!(gguf.string("i").unwrap(), Some("text é"));
    assert_eq!(gguf.array("m").unwrap().unwrap().values().count(), 2);
    assert_eq!(gguf.integers("o").unwrap(), Some(vec![-1, 2]));
    assert_eq!(gguf.strings("p").unwrap(), Some(vec!["x", ""]));
    assert_eq!(gguf.string("absent").unwrap(), None);
    says(gguf.integer("n"), &["values.gguf", "`n`", "2^63"]);
    says(gguf.string("e"), &["`e`", "a string", "whole number"]);
    says(gguf.strings("o"), &["`o`", "an array of strings"]);
    says(gguf.boolean("i"), &["`i`", "true or false"]);
}

#[test]
fn every_prefix_of_a_gguf_file_is_an_error() {
    let bytes = tiny_model::gguf().bytes();
    read_gguf(&bytes);
    for length in 0..bytes.len() {
        says(
            Gguf::parse(&bytes[..length], "tiny.gguf"),
            &["tiny.gguf", "byte"],
        );
    }
}

#[test]
fn every_prefix_of_a_safetensors_file_is_an_error() {
    let bytes = tiny_model::safetensors();
    read_safetensors(&bytes);
    for length in 0..bytes.len() {
        says(
            Safetensors::parse(&bytes[..length], "model.safetensors"),
            &["model.safetensors", "truncated"],
        );
    }
}

#[test]
fn damaged_gguf_headers() {
    let tiny = tiny_model::gguf;
    gguf_says(
        &File {
            magic: *b"GGML",
            ..tiny()
        },
        &["GGUF"],
    );
    says(
        Gguf::parse(
            &File {
                version: 1,
                ..tiny()
            }
            .bytes(),
            "x",
        ),
        &["GGUF version 1", "2 and 3"],
    );
    says(
        Gguf::parse(
            &File {
                version: 3 << 24,
                ..tiny()
            }
            .bytes(),
            "x",
        ),
        &["big-endian"],
    );
    gguf_says(
        &File {
            counts: Some((1 << 60, 1)),
            ..tiny()
        },
        &["1152921504606846976 tensors"],
    );
    gguf_says(
        &File {
            counts: Some((1, 1 << 60)),
            ..tiny()
        },
        &["1152921504606846976 metadata keys"],
    );
    let with = |key: &str, value: Value| {
        let mut file = tiny();
        file.set(key, value);
        file
    };
    gguf_says(
        &with("x", Value::Raw(8, (1u64 << 60).to_le_bytes().to_vec())),
        &["`x`", "1152921504606846976", "left"],
    );
    let array = [
        4u32.to_le_bytes().to_vec(),
        (1u64 << 60).to_le_bytes().to_vec(),
    ]
    .concat();
    gguf_says(
        &with("x", Value::Raw(9, array)),
        &["`x`", "1152921504606846976 elements"],
    );
    let deep = (0..40).fold(Value::Array(0, Vec::new()), |inner, _| {
        Value::Array(9, vec![inner])
    });
    gguf_says(&with("x", deep), &["`x`", "nested"]);
    gguf_says(&with("x", Value::Raw(13, Vec::new())), &["`x`", "type 13"]);
    gguf_says(&with("x", Value::Raw(7, vec![2])), &["`x`", "0 or 1"]);
    let not_text = [1u64.to_le_bytes().to_vec(), vec![0xff]].concat();
    gguf_says(&with("x", Value::Raw(8, not_text)), &["`x`", "UTF-8"]);
    gguf_says(
        &with("general.alignment", Value::U32(0)),
        &["general.alignment", "is 0"],
    );
    gguf_says(
        &with("general.alignment", Value::from("32")),
        &["general.alignment", "a string"],
    );
    let mut twice = tiny();
    twice
        .values
        .push(("llama.block_count".into(), Value::U32(2)));
    gguf_says(&twice, &["llama.block_count", "twice"]);
}

#[test]
fn damaged_gguf_tensors() {
    let with = |change: &dyn Fn(&mut gguf::Tensor)| {
        let mut file = tiny_model::gguf();
        let last = file.tensors.last_mut().unwrap();
        change(last);
        file
    };
    let name = tiny_model::gguf().tensors.last().unwrap().name.clone();
    gguf_says(
        &with(&|tensor| tensor.offset = Some(1 << 60)),
        &[&name, "1152921504606846976"],
    );
    gguf_says(
        &with(&|tensor| tensor.offset = Some(u64::MAX - 31)),
        &[&name],
    );
    gguf_says(
        &with(&|tensor| tensor.offset = Some(33)),
        &[&name, "multiple of 32"],
    );
    gguf_says(
        &with(&|tensor| tensor.offset = Some(0)),
        &[&name, "overlap"],
    );
    gguf_says(
        &with(&|tensor| tensor.shape = vec![1 << 40, 1 << 40]),
        &[&name, "size"],
    );
    gguf_says(
        &with(&|tensor| tensor.shape = vec![]),
        &[&name, "0 dimensions"],
    );
    gguf_says(
        &with(&|tensor| tensor.shape = vec![1; 5]),
        &[&name, "5 dimensions"],
    );
    gguf_says(
        &with(&|tensor| tensor.type_number = 8),
        &[&name, "q8_0", "multiple of 32"],
    );
    let mut twice = tiny_model::gguf();
    twice.tensor("token_embd.weight", &[1, 1], 0, vec![0; 4]);
    gguf_says(&twice, &["token_embd.weight", "twice"]);
    let mut twice = tiny_model::gguf();
    twice.tensor("model.embed_tokens.weight", &[1, 1], 0, vec![0; 4]);
    gguf_says(&twice, &["model.embed_tokens.weight", "token_embd.weight"]);

    // An unusable type is an error only when its tensor is asked for.
    let bytes = with(&|tensor| tensor.type_number = 12).bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    let norm = "model.layers.1.post_attention_layernorm.weight";
    says(gguf.tensor(norm), &[norm, "q4_K", "supported"]);
    assert_eq!(check_tensors(&tiny_model::config(), &gguf).len(), 1);

    let mut odd = tiny_model::gguf_metadata();
    odd.tensor("blk.0.attn_q.weight", &[6, 1], 0, vec![0; 24]);
    let bytes = odd.bytes();
    let gguf = Gguf::parse(&bytes, "tiny.gguf").unwrap();
    says(
        gguf.tensor("model.layers.0.self_attn.q_proj.weight"),
        &["blk.0.attn_q.weight", "[6, 1]", "heads"],
    );
}

#[test]
fn gguf_models_that_are_not_supported() {
    let with = |key: &str, value: Value| {
        let mut file = tiny_model::gguf();
        file.set(key, value);
        file
    };
    gguf_config_says(
        &with("general.architecture", "mamba".into()),
        &["\"mamba\"", "\"llama\""],
    );
    gguf_config_says(
        tiny_model::gguf().remove("general.architecture"),
        &["general.architecture"],
    );
    gguf_config_says(&with("llama.rope.scaling.type", "yarn".into()), &["yarn"]);
    gguf_config_says(
        &with("llama.rope.dimension_count", Value::U32(2)),
        &["dimension_count 2", "4"],
    );
    gguf_config_says(&with("llama.expert_count", Value::U32(8)), &["expert"]);
    gguf_config_says(
        &with("llama.block_count", Value::U64(1_000_000_000)),
        &["num_hidden_layers", "1000000000", "4096"],
    );
    gguf_config_says(
        &with("llama.block_count", Value::U64(1 << 60)),
        &["llama.block_count", "1152921504606846976"],
    );
    gguf_config_says(
        &with("llama.block_count", Value::I32(-2)),
        &["llama.block_count", "-2"],
    );
    gguf_config_says(
        &with("llama.block_count", "2".into()),
        &["llama.block_count", "string"],
    );
    gguf_config_says(
        &with("llama.attention.head_count", Value::U32(0)),
        &["head_count", "0"],
    );
    gguf_config_says(
        tiny_model::gguf().remove("llama.embedding_length"),
        &["llama.embedding_length", "missing"],
    );
    gguf_config_says(
        tiny_model::gguf().remove("tokenizer.ggml.tokens"),
        &["vocab_size", "missing"],
    );
    gguf_config_says(
        &with("isobath.config", "{".into()),
        &["isobath.config", "JSON"],
    );
    gguf_config_says(&with("isobath.config", r#"{"x":1}"#.into()), &["isobath.x"]);
    for (name, part) in [
        ("rope_freqs.weight", "rope_freqs"),
        ("blk.0.attn_q.bias", "bias"),
        ("blk.0.ssm.weight", "ssm"),
    ] {
        let mut file = tiny_model::gguf();
        file.tensor(name, &[4], 0, vec![0; 16]);
        gguf_config_says(&file, &[part]);
    }
    let text = r#"{"recursion":{"count":2,"sharing":"cycle"},"kv":{"mode":"share"}}"#;
    let bytes = with("isobath.config", text.into()).bytes();
    let config = Gguf::parse(&bytes, "tiny.gguf").unwrap().config().unwrap();
    assert_eq!(
        (
            config.n_recursions(),
            config.block_depth(),
            config.kv_layer(1)
        ),
        (2, 1, 0)
    );
}

#[test]
fn damaged_safetensors() {
    let entry = |dtype: &str, shape: &str, range: &str| {
        format!(r#""a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{range}}}"#)
    };
    let a = entry("F32", "[2]", "[0,8]");
    says(
        Safetensors::parse(b"GGUF", "model.safetensors"),
        &["model.safetensors", "4 bytes"],
    );
    let long = [1000u64.to_le_bytes().to_vec(), b"{}".to_vec()].concat();
    says(
        Safetensors::parse(&long, "model.safetensors"),
        &["1000", "10"],
    );
    says(
        Safetensors::parse(&[255; 32], "model.safetensors"),
        &["18446744073709551615"],
    );
    safetensors_says("{", 0, &["header"]);
    safetensors_says("[1]", 0, &["header"]);
    safetensors_says(&format!("{{{a}}}"), 4, &["truncated"]);
    safetensors_says(&format!("{{{a}}}"), 12, &["tail"]);
    safetensors_says(
        &format!("{{{}}}", entry("F32", "[2]", "[0,4]")),
        4,
        &["size"],
    );
    safetensors_says(
        &format!("{{{}}}", entry("F32", "[2]", "[8,0]")),
        8,
        &["`a`"],
    );
    safetensors_says(
        &format!("{{{}}}", entry("F99", "[2]", "[0,8]")),
        8,
        &["F99"],
    );
    safetensors_says(
        &format!("{{{}}}", entry("F32", "[-2]", "[0,8]")),
        8,
        &["-2"],
    );
    safetensors_says(
        &format!("{{{}}}", entry("F32", "[4611686018427387904,16]", "[0,8]")),
        8,
        &["larger"],
    );
    let b = r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#;
    safetensors_says(&format!("{{{a},{b}}}"), 12, &["`b`", "overlap"]);
    let nested = "[".repeat(100_000);
    safetensors_says(&nested, 0, &["header"]);
}

#[test]
fn types_of_safetensors() {
    let header = r#"{"__metadata__":{"isobath.q":"q8_0:2x32","isobath.short":"q8_0:2x64","isobath.odd":"q8_0:2x31",
        "isobath.word":"q9:2x32"},
        "i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"q":{"dtype":"U8","shape":[68],"data_offsets":[4,72]},
        "short":{"dtype":"U8","shape":[68],"data_offsets":[72,140]},"odd":{"dtype":"U8","shape":[1],"data_offsets":[140,141]},
        "word":{"dtype":"U8","shape":[1],"data_offsets":[141,142]},"u":{"dtype":"U8","shape":[1],"data_offsets":[142,143]}}"#;
    let bytes = raw_safetensors(header, 143);
    let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
    let tensor = file.tensor("q").unwrap().unwrap();
    assert_eq!(
        (tensor.data_type, tensor.shape, tensor.data.len()),
        (DataType::Q8_0, vec![2, 32], 68)
    );
    says(file.tensor("i"), &["`i`", "I32", "supported"]);
    says(file.tensor("u"), &["`u`", "U8"]);
    says(file.tensor("short"), &["`short`", "68 bytes", "136"]);
    says(file.tensor("odd"), &["isobath.odd", "multiple of 32"]);
    says(file.info("word"), &["isobath.word", "q9"]);
    assert!(file.tensor("absent").unwrap().is_none());
    let again = Safetensors::parse(&bytes, "again.safetensors").unwrap();
    says(
        Folder::new(vec![file, again]),
        &["again.safetensors", "model.safetensors", "`i`"],
    );
}

#[test]
fn absurd_configs() {
    let with = |from: &str, to: &str| {
        assert!(tiny_model::CONFIG.contains(from), "{from}");
        ModelConfig::from_json(&tiny_model::CONFIG.replace(from, to))
    };
    says(
        with(r#"heads":2"#, r#"heads":0"#),
        &["num_attention_heads", "is 0"],
    );
    says(
        with(r#"layers":2"#, r#"layers":1000000000"#),
        &["num_hidden_layers", "1000000000", "4096"],
    );
    says(
        with(r#"layers":2"#, r#"layers":0"#),
        &["num_hidden_layers", "is 0"],
    );
    says(
        with(r#"hidden_size":8"#, r#"hidden_size":-8"#),
        &["hidden_size", "-8", "whole number"],
    );
    says(
        with(r#"hidden_size":8"#, r#"hidden_size":"8""#),
        &["hidden_size", "\"8\"", "whole number"],
    );
    says(
        with(r#"hidden_size":8"#, r#"hidden_size":8.5"#),
        &["hidden_size", "8.5"],
    );
    says(with(r#""hidden_size":8,"#, ""), &["hidden_size", "missing"]);
    says(
        with(r#"key_value_heads":1"#, r#"key_value_heads":3"#),
        &["num_key_value_heads", "3", "divide", "2"],
    );
    says(
        with(r#"head_dim":4"#, r#"head_dim":3"#),
        &["head_dim", "3", "even"],
    );
    says(
        with(r#"vocab_size":5"#, r#"vocab_size":99999999"#),
        &["vocab_size", "99999999", "16777216"],
    );
    says(with("1e-5", "0"), &["rms_norm_eps", "0"]);
    says(with("10000.0", "1e300"), &["rope_theta", "1e"]);
    says(
        with(r#""bos_token_id":1"#, r#""bos_token_id":5"#),
        &["bos_token_id", "5"],
    );
    says(
        with(r#""eos_token_id":2"#, r#""eos_token_id":[2,"x"]"#),
        &["eos_token_id", "x"],
    );
    says(
        with(r#"type":"llama""#, r#"type":"qwen3""#),
        &["qwen3", "llama"],
    );
    says(
        with("LlamaForCausalLM", "MambaForCausalLM"),
        &["MambaForCausalLM", "LlamaForCausalLM"],
    );
    says(ModelConfig::from_json("{"), &["JSON"]);
    says(ModelConfig::from_json("[]"), &["JSON object"]);
    says(ModelConfig::from_json("{}"), &["model_type", "missing"]);
    says(ModelConfig::from_json(&"[".repeat(100_000)), &["JSON"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let change = |mut bytes: Vec<u8>, within: usize| {
            for (at, byte) in &flips {
                let at = at.index(within);
                bytes[at] = *byte;
            }
            bytes
        };
        let gguf = tiny_model::gguf().bytes();
        let safetensors = tiny_model::safetensors();
        // Once anywhere, once in the part that describes the rest.
        read_gguf(&change(gguf.clone(), gguf.len()));
        read_gguf(&change(gguf, 2000));
        read_safetensors(&change(safetensors.clone(), safetensors.len()));
        read_safetensors(&change(safetensors, 2000));
    }
}
