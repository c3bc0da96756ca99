//! Small networks on random weights: every sharing, KV mode, adapter and router that the configuration allows.

use isobath::model::config::ModelConfig;
use isobath::model::plan::Plan;
use isobath::model::random::Random;
use serde_json::{Value, json};

/// A network and its weights.
pub struct Model {
    pub name: String,
    pub config: ModelConfig,
    pub source: Random,
    pub plan: Plan,
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
