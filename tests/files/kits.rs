//! Kits: what is written is what is read, and a kit that was made for a model belongs to it and to no other.

use std::borrow::Cow;

use isobath::disk;
use isobath::files::kit::{read, write};
use isobath::files::write::Loose;
use isobath::network::kit::{KIT_JSON, KIT_TENSORS, ModelFacts, fingerprint};
use isobath::tensor::{DataType, Tensor};

use crate::support::{kits, tiny_model};

#[test]
fn a_kit_is_read_as_it_was_written() {
    let kit = kits::kit();
    let (json, tensors) = write(&kit).unwrap();
    assert_eq!(read(&json, &tensors, ["kit.json", "kit.safetensors"]).unwrap(), kit);
    assert_eq!(kit.tensors().len(), 2 + 3 + 2 + 12 + 2 * 4 + 2);
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
    tiny_model::says(kit.fits(&config, 2, "abd"), &["other weights", "abc", "abd"]);
    tiny_model::says(kit.fits(&config, 3, "abc"), &["another model", "rounds is 2", "one's is 3"]);
    let mut wide = config.clone();
    wide.hidden_size = 16;
    tiny_model::says(kit.fits(&wide, 2, "abc"), &["another model", "hidden size is 8", "16"]);
}
