//! Kits: what is written is what is read, and a kit that was made for a model belongs to it and to no other.

use std::borrow::Cow;

use isobath::disk;
use isobath::draft::import::{Folder, Found, import};
use isobath::error::ModelError;
use isobath::files::kit::{read, write};
use isobath::files::write::Loose;
use isobath::network::config::ModelConfig;
use isobath::network::kit::{KIT_JSON, KIT_TENSORS, Kit, LayerShape, ModelFacts, Readout, fingerprint};
use isobath::tensor::{DataType, Tensor};

use crate::support::tiny_model::says;
use crate::support::{kits, tiny_model};

#[test]
fn a_kit_is_read_as_it_was_written() {
    let kit = kits::kit();
    let (json, tensors) = write(&kit).unwrap();
    assert_eq!(read(&json, &tensors, ["kit.json", "kit.safetensors"]).unwrap(), kit);
    assert_eq!(kit.tensors().len(), 2 + 3 + 2 + 11 + 2 * 4 + 2);
    // And from a folder.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(KIT_JSON), &json).unwrap();
    std::fs::write(folder.path().join(KIT_TENSORS), &tensors).unwrap();
    assert_eq!(disk::kit(folder.path()).unwrap(), kit);
}

/// The tiny model's tensors, with one number of one of them changed.
fn changed(name: &str, at: usize) -> Loose<'static> {
    let tensors = tiny_model::weights().into_iter().map(|(own, shape, mut numbers)| {
        if own == name {
            let at = at.min(numbers.len() - 1);
            numbers[at] += 1.0;
        }
        (own, Tensor { data_type: DataType::F32, shape, data: Cow::Owned(tiny_model::f32_bytes(&numbers)) })
    });
    Loose::new(tensors).unwrap()
}

#[test]
fn a_fingerprint_is_that_of_weights_not_of_files() {
    let config = tiny_model::config();
    let of = |name: &str, at: usize| pollster::block_on(fingerprint(&config, &changed(name, at))).unwrap();
    let own = of("", 0);
    assert!(own.len() == 64 && own == of("no tensor", 3));
    for name in ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight"] {
        assert_ne!(own, of(name, 0), "the first number of {name}");
        assert_ne!(own, of(name, usize::MAX), "the last number of {name}");
    }
    // Where texts end is a setting, not a weight; the number of layers is not.
    let mut other = config.clone();
    other.end_tokens = vec![0];
    other.context_length = 9;
    let source = changed("", 0);
    assert_eq!(pollster::block_on(fingerprint(&other, &source)).unwrap(), own);
    other.n_layers = 1;
    assert_ne!(pollster::block_on(fingerprint(&other, &source)).unwrap(), own);
    // The same weights in another file.
    let bytes = tiny_model::safetensors();
    let file = isobath::files::safetensors::Safetensors::parse(&bytes, "x").unwrap();
    assert_eq!(pollster::block_on(fingerprint(&config, &file)).unwrap(), own);
}

#[test]
fn a_kit_belongs_to_one_model() {
    let config = tiny_model::config();
    let mut kit = kits::kit();
    kit.model = ModelFacts::of(&config, 2, "abc");
    kit.fits(&config, 2, "abc").unwrap();
    says(kit.fits(&config, 2, "abd"), &["other weights", "abc", "abd"]);
    says(kit.fits(&config, 3, "abc"), &["another model", "rounds is 2", "one's is 3"]);
    let mut wide = config.clone();
    wide.hidden_size = 16;
    says(kit.fits(&wide, 2, "abc"), &["another model", "hidden size is 8", "16"]);
}

/// Tensors of these names and shapes, every number different.
fn loose(tensors: &[(&str, &[usize])]) -> Loose<'static> {
    let tensors = tensors.iter().map(|(name, shape)| {
        let numbers: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 + 0.5).collect();
        let data = Cow::Owned(tiny_model::f32_bytes(&numbers));
        ((*name).to_owned(), Tensor { data_type: DataType::F32, shape: shape.to_vec(), data })
    });
    Loose::new(tensors).unwrap()
}

/// A model of 6 layers of 8 numbers, 5 tokens.
fn model() -> (ModelConfig, ModelFacts) {
    let config = ModelConfig { n_layers: 6, ..tiny_model::config() };
    let facts = ModelFacts::of(&config, 6, "f");
    (config, facts)
}

fn imported(
    files: &[(&str, &Loose<'static>)],
    config: Option<&str>,
    calibration: Option<&str>,
) -> Result<(Kit, String), ModelError> {
    let json = |text: Option<&str>| text.map(|text| serde_json::from_str(text).unwrap());
    let files = files.iter().map(|(name, tensors)| Found { name: (*name).to_owned(), tensors: *tensors }).collect();
    let folder = Folder { files, config: json(config), calibration: json(calibration) };
    let (config, facts) = model();
    let (kit, notes) = import(&folder, &config, &facts)?;
    let (json, tensors) = write(&kit)?;
    assert_eq!(read(&json, &tensors, ["", ""])?, kit);
    Ok((kit, notes.join("\n")))
}

#[test]
fn exit_heads_of_others() {
    let heads = loose(&[
        ("0.norm.weight", &[8]),
        ("0.linear.weight", &[5, 8]),
        ("1.norm.weight", &[8]),
        ("1.linear.weight", &[4, 8]),
    ]);
    let files = [("aux_heads.pt", &heads)];
    // Even distances: behind layers 2 and 4, counted from 0.
    let (kit, notes) = imported(&files, None, None).unwrap();
    assert_eq!(kit.exits.iter().map(|exit| exit.depth).collect::<Vec<_>>(), [3, 5]);
    assert!(notes.contains("by assumption [2, 4]"), "{notes}");
    let calibration = r#"{"uncertainty_metric":"entropy","thresholds":{"0.60":{"0":1.5,"1":2.5},"0.95":{"1":0.25}}}"#;
    let (kit, notes) = imported(&files, Some(r#"{"head_layer_indices":[1,3]}"#), Some(calibration)).unwrap();
    assert!(!notes.contains("assumption"), "{notes}");
    assert_eq!(kit.exits.iter().map(|exit| exit.depth).collect::<Vec<_>>(), [2, 4]);
    let at = |exit: usize, level: usize| kit.exits[exit].calibration.thresholds[level].entropy.map(|mark| mark.at);
    assert_eq!([at(0, 0), at(1, 0), at(0, 4), at(1, 4)], [Some(1.5), Some(2.5), None, Some(0.25)]);
    let Readout::Logits { head } = &kit.exits[1].readout else { panic!("logits") };
    assert_eq!((&head.shape[..], head.values[9]), (&[4, 8][..], 9.5));
    says(imported(&files, Some(r#"{"head_layer_indices":[1]}"#), None), &["aux_heads.pt", "2 heads", "[1]"]);
    says(imported(&files, Some(r#"{"head_layer_indices":[1,5]}"#), None), &["layer 5", "6 layers"]);
    says(imported(&files, Some(r#"{"head_layer_indices":[1,1]}"#), None), &["exit.2", "twice"]);
    let wide = loose(&[("0.norm.weight", &[9]), ("0.linear.weight", &[5, 9])]);
    says(imported(&[("aux_heads.pt", &wide)], None, None), &["`exit.4.norm`", "[9]", "[8]"]);
}

#[test]
fn predictors_of_others() {
    let twelve = loose(&[("fc1.weight", &[3, 12]), ("fc1.bias", &[3]), ("fc2.weight", &[1, 3]), ("fc2.bias", &[1])]);
    let state = loose(&[
        ("module.fc1.weight", &[3, 16]),
        ("module.fc1.bias", &[3]),
        ("module.fc2.weight", &[1, 3]),
        ("module.fc2.bias", &[1]),
    ]);
    let (kit, notes) = imported(&[("model_v2_layer4.pth", &twelve), ("layer0.pth", &state)], None, None).unwrap();
    let found: Vec<_> = kit.predictors.iter().map(|one| (one.depth, one.first.shape[1], one.offline)).collect();
    assert_eq!(found, [(1, 16, true), (5, 12, true)]);
    assert!(notes.contains("behind layer 4"), "{notes}");
    says(imported(&[("model.pth", &twelve)], None, None), &["model.pth", "no number"]);
    let odd = loose(&[("fc1.weight", &[3, 13]), ("fc1.bias", &[3]), ("fc2.weight", &[1, 3]), ("fc2.bias", &[1])]);
    says(imported(&[("1.pth", &odd)], None, None), &["inputs", "13", "12 or 16"]);
    let short = loose(&[("fc1.weight", &[3, 12]), ("fc1.bias", &[3])]);
    says(imported(&[("1.pth", &short)], None, None), &["1.pth", "`fc2.weight`", "missing"]);
}

#[test]
fn a_draft_layer_of_others() {
    let tensors: [(&str, &[usize]); 11] = [
        ("embed_tokens.weight", &[5, 8]),
        ("fc.weight", &[8, 16]),
        ("fc.bias", &[8]),
        ("layers.0.self_attn.q_proj.weight", &[8, 8]),
        ("layers.0.self_attn.k_proj.weight", &[4, 8]),
        ("layers.0.self_attn.v_proj.weight", &[4, 8]),
        ("layers.0.self_attn.o_proj.weight", &[8, 8]),
        ("layers.0.mlp.gate_proj.weight", &[6, 8]),
        ("layers.0.mlp.up_proj.weight", &[6, 8]),
        ("layers.0.mlp.down_proj.weight", &[8, 6]),
        ("layers.0.post_attention_layernorm.weight", &[8]),
    ];
    let layer = loose(&tensors);
    let (kit, notes) = imported(&[("model.safetensors", &layer)], None, None).unwrap();
    let own = kit.own_layer.unwrap();
    let shape = LayerShape {
        heads: 2,
        kv_heads: 1,
        head_dim: 4,
        intermediate: 6,
        fc_bias: true,
        qkv_bias: false,
        input_norm: false,
        final_norm: false,
    };
    assert_eq!((own.shape, own.tensors.len()), (shape, 10));
    assert!(notes.contains("1 tensors are left out"), "{notes}");
    let (kit, _) = imported(&[("model.safetensors", &layer)], Some(r#"{"num_attention_heads":4}"#), None).unwrap();
    let own = kit.own_layer.unwrap().shape;
    assert_eq!((own.heads, own.kv_heads, own.head_dim), (4, 2, 2));
    says(imported(&[("x.bin", &loose(&tensors[..10]))], None, None), &["x.bin", "post_attention_layernorm", "missing"]);
    says(imported(&[("x.bin", &loose(&tensors[..3]))], None, None), &["another layout", "x.bin", "aux_heads.pt"]);
}
