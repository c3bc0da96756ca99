//! What the mixtures make of models that llama.cpp does not have: several recursions of one block, routers, adapters.

use isobath::files::mixture::Mixture;
use isobath::files::random::Random;
use isobath::files::safetensors::Safetensors;
use isobath::files::write::{ExportType, export_folder, folder};
use isobath::judge::{Judge, Sequence};
use isobath::network::config::ModelConfig;
use isobath::network::plan::Plan;
use isobath::runtime::step::Depth;
use isobath::tensor::{DataType, TensorSource, values};
use serde_json::json;

/// First layer, three rounds of a block of four, last layer; six layers are stored.
fn config(share_attention: bool) -> ModelConfig {
    let json = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 256,
        "num_hidden_layers": 14, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 40,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "isobath": {
            "recursion": {
                "count": 3, "sharing": "middle_cycle", "share_attention": share_attention, "encoding": true,
            },
            "lora": { "scale": 0.1 },
            "router": { "kind": "expert", "network": "mlp", "alpha": 0.1, "auxiliary": true },
        },
    });
    ModelConfig::from_json(&json.to_string()).unwrap()
}

/// Its adapters have ranks 32 and 33.
fn source(config: &ModelConfig) -> Random {
    Random::new(config, 3, false, 32)
}

#[test]
fn routers_and_vectors_stay_and_adapters_have_eight_bits() {
    let config = config(true);
    let source = source(&config);
    for mixture in Mixture::ALL {
        let (_, file) = folder(&config, &source, ExportType::Mixture(mixture)).unwrap();
        let mut counts = [0; 4];
        for entry in file.entries() {
            let found = (entry.data_type, &entry.shape[..]);
            if entry.name.contains("router") {
                assert_eq!(entry.data_type, DataType::F32, "{}", entry.name);
                counts[0] += 1;
            } else if entry.shape.len() == 1 {
                assert_eq!(entry.data_type, DataType::F32, "{}", entry.name);
                counts[1] += 1;
            } else if entry.name.contains(".lora_") {
                // Rows of 33 are no whole blocks.
                assert!(matches!(found, (DataType::Q8_0, [_, 256 | 32]) | (DataType::F32, [_, 33])), "{entry:?}");
                counts[2] += 1;
            } else {
                assert!(entry.data_type.block().0 > 1, "{entry:?}");
                counts[3] += 1;
            }
        }
        // Two routers before each of three recursions, of two matrices each; norms and encodings; adapters on all linears
        // of twelve unrolled layers; the embedding and the linears of six stored ones.
        assert_eq!(counts, [12, 16, 2 * 7 * 12, 1 + 7 * 6], "{mixture:?}");
    }
}

/// The layers whose matrices of that path are q6_K.
fn more_bits(config: &ModelConfig, path: &str) -> Vec<u32> {
    let source = source(config);
    let (_, file) = folder(config, &source, ExportType::Mixture(Mixture::Q4KM)).unwrap();
    let entries = file.entries().iter().filter(|entry| entry.name.ends_with(&format!("{path}.weight")));
    let mut found: Vec<u32> = entries
        .filter(|entry| entry.data_type == DataType::Q6K)
        .map(|entry| entry.name.split('.').nth(2).unwrap().parse().unwrap())
        .collect();
    found.sort_unstable();
    found
}

/// Six stored layers: 0 to 4 and 13. As in a plain model of six, those at places 2 and 5.
#[test]
fn a_shared_layer_counts_once() {
    let shared = config(true);
    assert_eq!(more_bits(&shared, "mlp.down_proj"), [2, 13]);
    assert_eq!(more_bits(&shared, "self_attn.v_proj"), [2, 13]);
    // Attention that is not shared counts as often as it is stored: as in a plain model of 14.
    let own = config(false);
    assert_eq!(more_bits(&own, "mlp.down_proj"), [2, 13]);
    assert_eq!(more_bits(&own, "self_attn.v_proj"), [0, 3, 6, 9, 12, 13]);
}

#[test]
fn a_folder_of_a_mixture_is_read_and_runs() {
    let config = config(true);
    let source = source(&config);
    for mixture in Mixture::ALL {
        let (json, bytes) = export_folder(&config, &source, ExportType::Mixture(mixture)).unwrap();
        let made = ModelConfig::from_json(&json).unwrap();
        let file = Safetensors::parse(&bytes, "model.safetensors").unwrap();
        for name in source.names() {
            let [want, got] =
                [&source as &dyn TensorSource, &file].map(|source| source.tensor(&name).unwrap().unwrap());
            assert_eq!(want.shape, got.shape, "{name}");
            let (want, numbers) = (values(&want), values(&got));
            let size = want.iter().fold(0.0f32, |size, value| size.max(value.abs()));
            // A step of the coarsest type, whose fit cuts off the outermost numbers; nothing is lost where nothing changed.
            let allowed = if got.data_type == DataType::F32 { 0.0 } else { 2.0 * size / 15.0 };
            let worst = want.iter().zip(&numbers).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= allowed, "{mixture:?} {name}: off by {worst}, allowed {allowed}");
        }
        let plan = Plan::of(&made).unwrap();
        let judge = Judge::new(&made, &plan, &file, 64).unwrap();
        let logits = judge.run(&mut Sequence::default(), &[1, 5, 9], Depth::Model).logits.concat();
        assert!(logits.len() == 120 && logits.iter().all(|logit| logit.is_finite()));
    }
}
