//! Small networks on random weights: every sharing, KV mode, adapter and router that the configuration allows.

use isobath::files::random::Random;
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use serde_json::{Value, json};

/// A network and its weights.
pub struct Model {
    pub name: String,
    pub config: ModelConfig,
    pub source: Random,
    pub plan: Plan,
}

/// A network of another member of the Llama family; `more` goes beside the `isobath` block.
fn member(name: &str, seed: u64, layers: u32, more: Value, block: Value) -> Model {
    let mut config = json!({
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 61, "max_position_embeddings": 64, "isobath": block,
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    build(name, seed, &config)
}

/// Biases, norms of heads, windows, scaled rotations and Gemma's scales, plain and under every kind of recursion.
pub fn of_the_family() -> Vec<Model> {
    let llama_3 = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 20});
    let members = [
        ("biases", json!({"model_type": "llama", "attention_bias": true, "mlp_bias": true, "rope_scaling": llama_3})),
        ("mistral", json!({"model_type": "mistral", "sliding_window": 5})),
        ("qwen2", json!({"model_type": "qwen2"})),
        ("qwen3", json!({"model_type": "qwen3", "attention_bias": true})),
        ("gemma", json!({"model_type": "gemma", "rope_scaling": {"type": "linear", "factor": 2}})),
    ];
    let mut models = Vec::new();
    for (i, (name, more)) in members.into_iter().enumerate() {
        let mut add = |kind: &str, layers: u32, block: Value| {
            let seed = 200 + 10 * i as u64 + u64::from(layers);
            models.push(member(&format!("{name}, {kind}"), seed, layers, more.clone(), block));
        };
        add("plain", 3, json!({}));
        let own = |sharing: &str, kv: &str| {
            json!({
                "recursion": {"count": 2, "sharing": sharing, "share_attention": false, "share_norms": false},
                "kv": {"mode": kv}, "lora": {"scale": 0.5},
            })
        };
        add("own attention", 4, own("cycle", "own"));
        add("own attention, shared KV", 6, own("middle_cycle", "share"));
        // Over entries that not every token leaves there is no window.
        let kv = if name == "mistral" { "hybrid" } else { "own" };
        let block = json!({"recursion": {"count": 3, "sharing": "middle_cycle"}, "kv": {"mode": kv},
            "router": {"kind": "expert", "alpha": 0.5}});
        add(&format!("expert, {kv}"), 5, block);
        let block = json!({"recursion": {"count": 3, "sharing": "middle_cycle"}, "kv": {"mode": "share"},
            "router": {"kind": "token"}});
        add("token, share", 8, block);
    }
    models
}

/// Head widths of 6 and 8 numbers, groups of 1 to 3, widths beside every block size.
fn model(name: &str, seed: u64, layers: u32, block: Value) -> Model {
    let (heads, kv_heads, head_dim, hidden, wide) =
        [(4, 2, 8, 32, 48), (3, 1, 6, 20, 33), (2, 2, 16, 70, 65)][seed as usize % 3];
    let config = json!({
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim, "vocab_size": 61,
        "max_position_embeddings": 64, "rope_theta": 500.0, "isobath": block,
    });
    build(name, seed, &config)
}

fn build(name: &str, seed: u64, config: &Value) -> Model {
    let config = ModelConfig::from_json(&config.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let source = Random::new(&config, seed, seed % 2 == 1, 3);
    let plan = Plan::of(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
    Model { name: name.to_owned(), config, source, plan }
}

/// Sharing, KV mode and everything else that goes without a router.
pub fn without_router() -> Vec<Model> {
    let mut models = vec![model("vanilla", 1, 4, json!({}))];
    models.push(model("vanilla, shared KV", 2, 6, json!({"kv": {"mode": "share", "count": 3, "sharing": "sequence"}})));
    models.push(model(
        "vanilla, shared middle KV",
        3,
        6,
        json!({"kv": {"mode": "share", "count": 2, "sharing": "middle_cycle"}}),
    ));
    for (i, sharing) in ["cycle", "sequence", "middle_cycle", "middle_sequence"].into_iter().enumerate() {
        let layers = if sharing.starts_with("middle") { 8 } else { 6 };
        for (j, kv) in ["own", "share"].into_iter().enumerate() {
            for (k, (norms, attention, encoding)) in
                [(true, true, false), (false, true, true), (true, false, true)].into_iter().enumerate()
            {
                let block = json!({
                    "recursion": {"count": 3, "sharing": sharing, "share_norms": norms, "share_attention": attention, "encoding": encoding},
                    "kv": {"mode": kv}, "lora": if k == 1 { json!({"scale": 2.0}) } else { Value::Null },
                });
                models.push(model(
                    &format!("{sharing}, {kv}, {norms} {attention} {encoding}"),
                    (10 + i * 6 + j * 3 + k) as u64,
                    layers,
                    block,
                ));
            }
        }
    }
    models
}

/// Routers of both kinds with all their settings.
pub fn with_router() -> Vec<Model> {
    let mut models = Vec::new();
    for (i, sharing) in ["cycle", "middle_cycle"].into_iter().enumerate() {
        for (j, kv) in ["own", "share", "hybrid"].into_iter().enumerate() {
            for (k, (network, function, gating, temperature)) in [
                ("linear", "sigmoid", "weighted", 1.0),
                ("mlp", "tanh", "additive", 2.0),
                ("wide_mlp", "none", "weighted", 0.5),
            ]
            .into_iter()
            .enumerate()
            {
                let seed = (100 + i * 9 + j * 3 + k) as u64;
                let block = json!({
                    "recursion": {"count": 3, "sharing": sharing, "share_attention": k != 2, "share_norms": k != 1, "encoding": k == 1},
                    "kv": {"mode": kv}, "lora": if k == 0 { json!({"scale": 0.5}) } else { Value::Null },
                    "router": {"kind": "expert", "network": network, "function": function, "alpha": 0.5, "gating": gating,
                        "temperature": temperature, "auxiliary": k == 2, "gate_first": seed.is_multiple_of(2)},
                });
                models.push(model(
                    &format!("expert {sharing} {kv} {network} {function}"),
                    seed,
                    8 - 2 * u32::from(i == 0),
                    block,
                ));
                if kv == "hybrid" {
                    continue;
                }
                let function = ["softmax", "sigmoid", "softmax"][k];
                let block = json!({
                    "recursion": {"count": 3, "sharing": sharing, "share_attention": k != 1, "encoding": k == 2}, "kv": {"mode": kv},
                    "router": {"kind": "token", "network": network, "function": function, "alpha": 0.9, "gating": gating,
                        "temperature": temperature, "bias": k == 1},
                });
                models.push(model(
                    &format!("token {sharing} {kv} {network} {function}"),
                    seed + 50,
                    8 - 2 * u32::from(i == 0),
                    block,
                ));
            }
        }
    }
    models
}
