//! `isobath draft`: a kit is written whole or not at all, belongs to its model, and the table says what stands in it.

use std::fs;
use std::path::Path;
use std::process::Output;

use isobath::disk;
use isobath::network::kit::fingerprint;
use isobath::network::plan::Plan;
use serde_json::Value;

use crate::support::command::command;

const MODEL: &str = "tests/models/tiny";

fn draft(arguments: &[&str]) -> Output {
    command().arg("draft").args(arguments).output().unwrap()
}

/// It ends with that code, says all these words on stderr, and leaves no kit.
fn refused(arguments: &[&str], out: &Path, code: i32, words: &[&str]) {
    let output = draft(&[arguments, &["--out", out.to_str().unwrap()]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: `{word}` is not in: {said}"));
    assert!(!out.join("kit.json").exists(), "{arguments:?}");
}

#[test]
fn a_kit_is_made_from_a_text_and_says_what_it_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("kit");
    let mut arguments =
        vec![MODEL, "docs/bench.md", "--exits", "2", "--predictors", "1,2", "--meta", "--window", "64", "--json"];
    arguments.extend(["--head-rows", "600", "--out", out.to_str().unwrap()]);
    let output = draft(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kit = disk::kit(&out).unwrap();
    let files = disk::files(Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL)).unwrap();
    let parts = pollster::block_on(files.read(None)).unwrap();
    let rounds = Plan::of(&parts.config).unwrap().n_rounds();
    let own = pollster::block_on(fingerprint(&parts.config, &*parts.tensors)).unwrap();
    kit.fits(&parts.config, rounds, &own).unwrap();
    assert_eq!((kit.head_rows, kit.exits.len(), kit.predictors.len()), (600, 1, 2));
    let agreement = kit.jump.unwrap().calibration.agreement.unwrap();
    assert_eq!(
        (said["parts"][0]["kind"].as_str(), said["parts"][0]["calibration"]["agreement"].as_f64()),
        (Some("jump"), Some(agreement))
    );
    assert!(kit.meta.unwrap().calibration.tokens > 100);
    assert!(fs::read_dir(&out).unwrap().count() == 2, "nothing stays behind");
    // It is not written over, unless that is asked for; and the table has a line for each part.
    let again = draft(&arguments);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("--force"));
    let table = draft(&[
        MODEL,
        "docs/bench.md",
        "--exits",
        "none",
        "--tokens",
        "2000",
        "--out",
        out.to_str().unwrap(),
        "--force",
        "-q",
    ]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("| jump | ") && !table.contains("exit."), "{table}");
    assert!(disk::kit(&out).unwrap().exits.is_empty());
}

#[test]
fn the_models_own_answers_are_a_text_too() {
    let folder = tempfile::tempdir().unwrap();
    let (prompts, out) = (folder.path().join("prompts.txt"), folder.path().join("kit"));
    let lines: Vec<String> = (0..12).map(|i| format!("The sea was {i} times as wide\n\n")).collect();
    fs::write(&prompts, lines.concat()).unwrap();
    let prompts = prompts.to_str().unwrap();
    let output =
        draft(&[MODEL, prompts, "--own-answers", "--window", "40", "--exits", "none", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(disk::kit(&out).unwrap().jump.unwrap().calibration.tokens > 10);
}

#[test]
fn what_cannot_become_a_kit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("kit");
    let text = folder.path().join("short.txt");
    fs::write(&text, "The sea was wide.").unwrap();
    let text = text.to_str().unwrap();
    refused(&["nowhere", text], &out, 3, &["nowhere"]);
    refused(&[MODEL, "no-such-text"], &out, 1, &["no-such-text", "UTF-8"]);
    refused(&[MODEL, text], &out, 5, &["1 window", "longer text"]);
    refused(&[MODEL, "docs/bench.md", "--exits", "3"], &out, 5, &["is 3", "between 1 and 2"]);
    refused(&[MODEL, "docs/bench.md", "--exits", "1,1"], &out, 5, &["is 1", "once"]);
    refused(&[MODEL, "docs/bench.md", "--ridge", "0"], &out, 5, &["ridge is 0", "above 0"]);
    refused(&[MODEL, "docs/bench.md", "--exits", "deep"], &out, 2, &["deep", "none"]);
    refused(&[MODEL, "--import", "tests/models/tiny"], &out, 3, &["model.safetensors", "several layers"]);
    refused(&[MODEL, "docs/bench.md", "--import", "tests"], &out, 2, &["--import"]);
    refused(&[MODEL, "--import", folder.path().to_str().unwrap()], &out, 3, &["without files of tensors"]);
}
