//! `isobath import` and `isobath convert` by the binary.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::llama::file;
use crate::support::golden_dir::golden_dir;

fn isobath(arguments: &[&Path], flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command.arg(flags[0]).args(arguments).args(&flags[1..]).env("ISOBATH_LOG", "off");
    command.output().unwrap()
}

#[track_caller]
fn succeeds(arguments: &[&Path], flags: &[&str]) -> (String, String) {
    let output = isobath(arguments, flags);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{flags:?}: {err}");
    (out, err)
}

#[track_caller]
fn fails(arguments: &[&Path], flags: &[&str], code: i32, words: &[&str]) {
    let output = isobath(arguments, flags);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{flags:?}: `{word}` is not in: {said}"));
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn gguf_to_folder_to_gguf_gives_the_same_file() {
    let home = tempfile::tempdir().unwrap();
    let (folder, again) = (home.path().join("model"), home.path().join("f32.gguf"));
    let (out, _) = succeeds(&[&file("f32.gguf"), &folder], &["import"]);
    assert!(out.contains("20 tensors") && out.contains("f32"), "{out}");
    assert_eq!(names(&folder), ["config.json", "model.safetensors", "tokenizer.json"]);
    succeeds(&[&folder, &again], &["import"]);
    assert!(fs::read(&again).unwrap() == fs::read(file("f32.gguf")).unwrap());
}

#[test]
fn quantised_on_the_way() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    let (out, _) = succeeds(&[&file("f32.gguf"), &folder], &["import", "--dtype", "q6_k"]);
    assert!(out.contains("q6_K") && out.contains("q8_0"), "rows of 32 take q8_0: {out}");
    let (out, _) = succeeds(&[&folder], &["inspect", "--json"]);
    assert!(out.contains("q6_K"), "{out}");
    fails(
        &[&file("f32.gguf"), &folder],
        &["import", "--dtype", "q3_K"],
        2,
        &["q3_K", "q4_k_m", "q8_0 (mixtures)", "q5_K"],
    );
}

#[test]
fn a_mixture_by_its_name_and_a_type_by_its_own() {
    let home = tempfile::tempdir().unwrap();
    let (mixed, pure) = (home.path().join("mixed.gguf"), home.path().join("pure.gguf"));
    // Two layers, of which the last has values of more bits, and so has the embedding, which is the head; rows of 32 are
    // no blocks of 256.
    let (out, _) = succeeds(&[&file("f32.gguf"), &mixed], &["import", "--dtype", "Q4_K_M"]);
    ["q4_K", "q6_K", "q5_0", "q8_0"].iter().for_each(|words| assert!(out.contains(words), "{out}"));
    let (out, _) = succeeds(&[&file("f32.gguf"), &pure], &["import", "--dtype", "q4_K"]);
    assert!(out.contains("q4_K") && out.contains("q5_0"), "{out}");
    assert!(!out.contains("q6_K") && !out.contains("q8_0"), "{out}");
    let recursive = home.path().join("recursive");
    let flags = ["convert", "--recursions", "2", "--rank", "32", "--dtype", "q5_k_m"];
    let (out, _) = succeeds(&[&mixed, &recursive], &flags);
    ["q5_K", "q6_K", "q5_1", "q8_0"].iter().for_each(|words| assert!(out.contains(words), "{out}"));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_done_stays() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    succeeds(&[&file("f32.gguf"), &folder], &["import"]);
    fails(&[&file("f32.gguf"), &folder], &["import"], 1, &["is there already", "--force"]);
    succeeds(&[&file("f32.gguf"), &folder], &["import", "--force", "--dtype", "f16"]);
    let gguf = home.path().join("model.gguf");
    fs::write(&gguf, "x").unwrap();
    fails(&[&folder, &gguf], &["import"], 1, &["is there already"]);
    // What cannot be written leaves neither the file nor its preliminary.
    let recursive = home.path().join("recursive");
    succeeds(&[&folder, &recursive], &["convert", "--recursions", "2"]);
    let refused = home.path().join("refused.gguf");
    fails(&[&recursive, &refused], &["import"], 3, &["shares layers", "--merge"]);
    assert_eq!(names(home.path()), ["model", "model.gguf", "recursive"]);
    assert_eq!(names(&recursive), ["config.json", "model.safetensors", "tokenizer.json"]);
}

#[test]
fn a_dense_model_made_recursive_and_merged_back() {
    let home = tempfile::tempdir().unwrap();
    let (recursive, back) = (home.path().join("recursive"), home.path().join("back.gguf"));
    let flags = ["convert", "--recursions", "2", "--rank", "9999", "--own-norms"];
    let (out, err) = succeeds(&[&file("f32.gguf"), &recursive], &flags);
    assert!(out.contains("tensors") && err.contains("2 recursions"), "{out}{err}");
    let config = fs::read_to_string(recursive.join("config.json")).unwrap();
    assert!(config.contains("\"lora\"") && config.contains("\"cycle\""), "{config}");
    let again = ["convert", "--recursions", "2", "--force"];
    fails(&[&recursive, &home.path().join("twice")], &again, 3, &["recursive model", "`isobath convert --merge`"]);
    succeeds(&[&recursive, &back], &["convert", "--merge"]);
    let (one, other) = (fs::read(file("f32.gguf")).unwrap(), fs::read(&back).unwrap());
    let parse = |bytes| isobath::files::gguf::Gguf::parse(bytes, "x").unwrap();
    let (one, other) = (parse(&one), parse(&other));
    use isobath::tensor::TensorSource;
    for name in one.names() {
        let numbers = |source: &dyn TensorSource| isobath::tensor::values(&source.tensor(&name).unwrap().unwrap());
        assert!(super::farthest(&numbers(&one), &numbers(&other)) < 1e-5, "{name}");
    }
    fails(&[&file("f32.gguf"), &recursive], &["convert"], 2, &["--recursions"]);
    fails(&[&file("f32.gguf"), &back], &["convert", "--merge", "--force"], 3, &["not recursive"]);
}

#[test]
fn an_official_checkpoint_with_its_training_settings() {
    let home = tempfile::tempdir().unwrap();
    let (source, dest) = (home.path().join("official"), home.path().join("ours"));
    let case = golden_dir().join("mor_expert_mcyc3_cache");
    fs::create_dir(&source).unwrap();
    fs::copy(case.join("weights.safetensors"), source.join("model.safetensors")).unwrap();
    let yaml = source.join("train.yaml");
    fs::write(
        &yaml,
        "recursive:\n  enable: true\n  num_recursion: 3\n  sharing: middle_cycle\n  ln_share: true\nmor:\n  enable: true\n  \
         type: expert\n  router_type: linear\n  temp: 1.0\n  expert: {router_func: sigmoid, alpha: 0.1, sampling: \
         aux_loss, gating: weighted}\n",
    )
    .unwrap();
    let training = ["--training", yaml.to_str().unwrap()];
    let heads = ["--set", "num_attention_heads=4"];
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tiny/tokenizer.json");
    let tokenizer = ["--tokenizer", tiny.to_str().unwrap()];
    let flags = |parts: &[&[&'static str]]| [&["import"][..], &parts.concat()].concat();
    fails(&[&source, &dest], &flags(&[]), 3, &["no config.json", "num_attention_heads=N", "`--set PATH=VALUE`"]);
    let all: Vec<&str> = [&["import"][..], &training, &heads].concat();
    fails(&[&source, &dest], &all, 3, &["tokenizer.json", "--tokenizer"]);
    assert!(!dest.exists(), "a folder was left behind");
    let (_, err) = succeeds(&[&source, &dest], &[&all[..], &tokenizer].concat());
    for words in
        ["recursion.count: 3, by ", "(mor.expert.alpha)", "rope_theta: 10000.0, by assumption", "`--set PATH=VALUE`"]
    {
        assert!(err.contains(words), "`{words}` is not in: {err}");
    }
    let (out, _) = succeeds(&[&dest], &["inspect"]);
    assert!(out.contains("gate"), "{out}");
    let quiet: Vec<&str> = [&all[..], &tokenizer, &["--force", "--quiet"]].concat();
    assert_eq!(succeeds(&[&source, &dest], &quiet).1, "");
    let wrong = [&all[..], &tokenizer, &["--force", "--set", "router.alpha=0.3"]].concat();
    fails(&[&source, &dest], &wrong, 3, &["0.3 by --set", "0.1 by ", "mor.expert.alpha"]);
    fails(&[&dest, &home.path().join("x")], &["import", "--set", "router.alpha=0.3"], 3, &["describes itself"]);
}

#[test]
fn the_cost_of_quantising_is_measured() {
    let home = tempfile::tempdir().unwrap();
    let (text, dest) = (home.path().join("text.txt"), home.path().join("model"));
    fs::write(&text, "The sea was deep and the fish were many. ".repeat(4)).unwrap();
    let flags = ["import", "--dtype", "q4_0", "--quiet", "--measure", text.to_str().unwrap()];
    let (out, _) = succeeds(&[&file("f32.gguf"), &dest], &flags);
    let line = out.lines().last().unwrap();
    assert!(line.starts_with("Loss ") && line.contains("nats per token") && !line.contains("+0.0000"), "{out}");
}
