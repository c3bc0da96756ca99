//! The bundled model in the other forms that people have: the command writes the same text from each.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::json;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::command;

fn isobath(arguments: &[&str]) -> String {
    let output = command::command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The model's folder with its weights taken out.
fn without_weights(model: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(model.join(file), folder.join(file)).unwrap();
    }
}

/// Every third tensor into the same file, and an index that tells which.
fn write_shards(tensors: &SafeTensors, folder: &Path) {
    let mut map = HashMap::new();
    for shard in 0..3 {
        let file = format!("model-{:05}-of-00003.safetensors", shard + 1);
        let part: Vec<_> = tensors.iter().skip(shard).step_by(3).collect();
        map.extend(part.iter().map(|(name, _)| ((*name).to_owned(), file.clone())));
        fs::write(folder.join(&file), safetensors::serialize(part, None).unwrap()).unwrap();
    }
    let index = json!({ "metadata": {}, "weight_map": map });
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

/// A dictionary of f32 tensors as `torch.save` writes it: a pickle (protocol 2), and a file for the numbers of each.
fn write_checkpoint(tensors: &SafeTensors, path: &Path) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut pickle = b"\x80\x02}(".to_vec();
    let word = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let numbers = |pickle: &mut Vec<u8>, numbers: &[usize]| {
        pickle.push(b'(');
        for number in numbers {
            pickle.push(b'J');
            pickle.extend((*number as u32).to_le_bytes());
        }
        pickle.push(b't');
    };
    for (place, (name, tensor)) in tensors.iter().enumerate() {
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        let shape = tensor.shape();
        let strides: Vec<usize> = (1..=shape.len()).map(|from| shape[from..].iter().product()).collect();
        word(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        word(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        word(&mut pickle, &place.to_string());
        word(&mut pickle, "cpu");
        pickle.push(b'J');
        pickle.extend((shape.iter().product::<usize>() as u32).to_le_bytes());
        // The storage by its name, and where in it the tensor begins.
        pickle.extend(b"tQK\x00");
        numbers(&mut pickle, shape);
        numbers(&mut pickle, &strides);
        // Needs no gradient, has no hooks; the function is called with all this.
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        archive.start_file(format!("archive/data/{place}"), stored).unwrap();
        archive.write_all(tensor.data()).unwrap();
    }
    pickle.extend(b"u.");
    archive.start_file("archive/data.pkl", stored).unwrap();
    archive.write_all(&pickle).unwrap();
    archive.finish().unwrap();
}

#[test]
fn shards_and_checkpoints_write_what_one_file_writes() {
    let kept = tempfile::tempdir().unwrap();
    let [plain, shards, checkpoint] = ["plain", "shards", "checkpoint"].map(|name| kept.path().join(name));
    isobath(&["import", "assets/stories", plain.to_str().unwrap(), "--dtype", "f32"]);
    let bytes = fs::read(plain.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    without_weights(&plain, &shards);
    write_shards(&tensors, &shards);
    without_weights(&plain, &checkpoint);
    write_checkpoint(&tensors, &checkpoint.join("pytorch_model.bin"));

    let written = |model: &Path| isobath(&["run", model.to_str().unwrap(), "-n", "24", "--json"]);
    let tokens = |model: &Path| -> Vec<String> {
        written(model).lines().filter(|line| line.contains("\"event\":\"token\"")).map(str::to_owned).collect()
    };
    let wanted = tokens(&plain);
    assert_eq!(wanted.len(), 24);
    assert_eq!(tokens(&shards), wanted, "shards");
    assert_eq!(tokens(&checkpoint), wanted, "pytorch_model.bin");
}
