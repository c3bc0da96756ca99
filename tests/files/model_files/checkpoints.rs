//! Checkpoints that torch wrote (`tests/checkpoints/make.py`), and programs that no honest one holds.

use std::fs;
use std::io::{Cursor, Write};

use isobath::files::safetensors::Safetensors;
use isobath::files::torch::Checkpoint;
use isobath::tensor::TensorSource;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::tiny_model::says;

fn written(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/checkpoints/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every tensor of the twin, to the bit.
fn check_twin(name: &str, further: &[&str]) {
    let (bytes, twin) = (written(name), written("twin.safetensors"));
    let checkpoint = Checkpoint::parse(&bytes, name).unwrap();
    let twin = Safetensors::parse(&twin, "twin.safetensors").unwrap();
    let mut names = twin.names();
    assert_eq!(names.len(), 9);
    for tensor in &names {
        let (found, wanted) = (checkpoint.tensor(tensor).unwrap().unwrap(), twin.tensor(tensor).unwrap().unwrap());
        assert_eq!((found.data_type, &found.shape), (wanted.data_type, &wanted.shape), "{name}: {tensor}");
        assert_eq!(found.data, wanted.data, "{name}: {tensor}");
        assert_eq!(checkpoint.info(tensor).unwrap(), Some((wanted.data_type, wanted.shape)));
    }
    names.extend(further.iter().map(ToString::to_string));
    names.sort();
    assert_eq!(checkpoint.names(), names);
}

#[test]
fn torch_and_safetensors_agree() {
    check_twin("state_dict.bin", &["counts", "parameter"]);
    check_twin("deflated.bin", &["counts", "parameter"]);
    check_twin("nested.bin", &[]);
    check_twin("protocol_4.bin", &[]);
}

#[test]
fn a_parameter_is_its_tensor_and_other_types_are_named() {
    let bytes = written("state_dict.bin");
    let checkpoint = Checkpoint::parse(&bytes, "a.bin").unwrap();
    let data = |name: &str| checkpoint.tensor(name).unwrap().unwrap().data.into_owned();
    assert_eq!(data("parameter"), data("plain"));
    says(checkpoint.tensor("counts"), &["`counts`", "torch.LongStorage"]);
    assert!(checkpoint.tensor("absent").unwrap().is_none());
}

#[test]
fn what_would_run_code_is_refused_by_name() {
    let refused = |name: &str, parts: &[&str]| says(Checkpoint::parse(&written(name), name), parts);
    refused("command.bin", &["system` in the pickle of command.bin", "could run code"]);
    refused("namespace.bin", &["`argparse.Namespace`", "state dict"]);
    refused("legacy.bin", &["before 1.6", "torch.save it again"]);
    refused("expanded.bin", &["`weight`", "contiguous"]);
    refused("no_dict.bin", &["no dict of tensors"]);
    refused("no_tensors.bin", &["optimizer", "state_dict"]);
}

fn zipped(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, data) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A checkpoint whose program is `{"w": tensor}`, the tensor with these sizes over the four numbers of `data/0`.
fn one_tensor(offset: u8, shape: &str, strides: &str) -> Vec<u8> {
    let tuple = |sizes: &str| {
        let sizes = sizes.bytes().flat_map(|size| [b'K', size - b'0']);
        [b'('].into_iter().chain(sizes).chain(*b"t").collect::<Vec<u8>>()
    };
    let mut program = b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK".to_vec();
    program.push(offset);
    program.extend(tuple(shape));
    program.extend(tuple(strides));
    program.extend(b"tRs.");
    let numbers = [1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    zipped(&[("a/data.pkl", &program), ("a/data/0", &numbers)], CompressionMethod::Stored)
}

#[test]
fn a_tensor_lies_within_its_storage() {
    let good = one_tensor(1, "3", "1");
    let good = Checkpoint::parse(&good, "a.bin").unwrap().tensor("w").unwrap().unwrap().data.into_owned();
    assert_eq!(good, [2f32, 3.0, 4.0].map(f32::to_le_bytes).concat());
    for (offset, shape, strides) in [(2, "3", "1"), (0, "22", "41"), (0, "5", "0"), (0, "22", "1"), (4, "1", "1")] {
        let bytes = one_tensor(offset, shape, strides);
        says(Checkpoint::parse(&bytes, "a.bin"), &["`w`", "within its storage of 4 numbers"]);
    }
}

/// Runs a program without any storage.
fn program(program: &[u8], parts: &[&str]) {
    let bytes = zipped(&[("a/data.pkl", program)], CompressionMethod::Stored);
    says(Checkpoint::parse(&bytes, "a.bin"), parts);
}

#[test]
fn programs_that_no_checkpoint_holds() {
    program(b"", &["ends too soon"]);
    program(b".", &["empty stack"]);
    program(b"(.", &["empty stack"]);
    program(b"t.", &["not begun"]);
    program(b"X\xff\xff\xff\xffa.", &["ends too soon"]);
    program(b"h\x00.", &["never stored"]);
    program(b"K\x01.", &["no dict of tensors"]);
    program(b"K\x01K\x01R.", &["calls what is no function"]);
    program(b"NK\x01K\x02s.", &["no dict"]);
    program(b"}(K\x01u.", &["without a value"]);
    program(b"cbuiltins\neval\n.", &["`builtins.eval`"]);
    program(b"\x8c\x05posix\x8c\x06system\x93.", &["`posix.system`"]);
    program(b"(K\x01ios\nsystem\n.", &["INST"]);
    program(b"})\x81.", &["NEWOBJ"]);
    program(b"I1\n.", &["0x49"]);
    program(b"ccollections\nOrderedDict\n(K\x01tR.", &["OrderedDict"]);
    program(b"ctorch\nFloatStorage\n)R.", &["calls a storage"]);
    program(b"}X\x01\0\0\0aK\x01sb.", &["empty stack"]);
    // A dict that holds itself ends like any other without tensors.
    program(b"}q\x00X\x05\0\0\0modelh\x00s.", &["no dict of tensors"]);
}

#[test]
fn archives_that_torch_does_not_write() {
    let stored = |entries: &[(&str, &[u8])], parts: &[&str]| {
        says(Checkpoint::parse(&zipped(entries, CompressionMethod::Stored), "a.bin"), parts);
    };
    stored(&[("readme", b"x")], &["no data.pkl"]);
    stored(&[("a/data.pkl", b"}."), ("a/constants.pkl", b"")], &["TorchScript"]);
    stored(&[("a/data.pkl", b"}."), ("a/byteorder", b"big")], &["big-endian"]);
    let zeros = vec![0; 1 << 20];
    let bomb = zipped(&[("a/data.pkl", b"}."), ("a/data/0", &zeros)], CompressionMethod::Deflated);
    assert!(bomb.len() < 8192);
    says(Checkpoint::parse(&bomb, "a.bin"), &["unpack to more than 16 times"]);
    let good = written("state_dict.bin");
    for length in [4, 100, good.len() / 2, good.len() - 1] {
        says(Checkpoint::parse(&good[..length], "a.bin"), &["a.bin", "zip archive", "truncated"]);
    }
    // The directory claims entries without end; the file's length alone bounds what is read.
    let mut many = zipped(&[("a/data.pkl", b"}.")], CompressionMethod::Stored);
    let end = many.len() - 22;
    many[end + 8..end + 12].fill(0xff);
    says(Checkpoint::parse(&many, "a.bin"), &["zip archive", "damaged"]);
}
