//! `isobath bench` by its binary: what stands in the rows, and that the same work gives the same tokens. Never how fast.

use std::io::Read;
use std::process::{Command, Output, Stdio};

use isobath::bench::shape::Shape;
use isobath::engine::event::Event;
use isobath::engine::request::{Request, Sampling};
use isobath::engine::{Engine, EngineOptions};
use isobath::files::random::Random;
use isobath::gpu::Gpu;
use isobath::runtime::tick::Order;
use isobath::text::Tokenizer;
use pollster::block_on;
use serde_json::Value;

use crate::support::command;

const TINY: &str = "tests/models/tiny";

fn command(words: &str) -> Command {
    let mut command = command::command();
    command.arg("bench").args(words.split(' '));
    command
}

fn bench(words: &str) -> (String, String) {
    let Output { status, stdout, stderr } = command(words).output().unwrap();
    let (out, said) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{words}: {said}");
    (out, said)
}

fn rows(words: &str) -> Vec<Value> {
    let (out, said) = bench(&format!("{words} --output json -q"));
    assert_eq!(said, "", "{words}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"))
}

/// What every row tells.
fn check_row(row: &Value) {
    for name in ["model", "adapter", "adapter_kind", "driver", "backend", "features", "hash"] {
        assert!(row[name].is_string(), "{name}: {row}");
    }
    let positive = [
        "tokens_per_second",
        "ms_per_tick",
        "copy_gb_per_second",
        "gb_per_second",
        "share_of_copy",
        "gflop_per_second",
        "mean_depth",
        "submissions_per_tick",
        "dispatches_per_tick",
        "host_us_per_tick",
        "submit_us_per_tick",
        "lane_bytes",
    ];
    for name in positive {
        assert!(number(row, name) > 0.0, "{name}: {row}");
    }
    assert!((0.0..=1.0).contains(&number(row, "idle_at_most")), "{row}");
    assert_eq!(row["seconds"].as_array().unwrap().len(), row["repetitions"].as_u64().unwrap() as usize, "{row}");
    let share = number(row, "gb_per_second") / number(row, "copy_gb_per_second");
    assert!((share - number(row, "share_of_copy")).abs() < 1e-9 * share, "{row}");
}

#[test]
fn tests_by_name_give_rows_and_the_same_hash_twice() {
    let words = format!("{TINY} --test pp8,tg4,tg4@d40,tg4@d40x3 --repetitions 2");
    let (first, second) = (rows(&words), rows(&words));
    let names: Vec<&str> = first.iter().map(|row| row["test"].as_str().unwrap()).collect();
    assert_eq!(names, ["pp8", "tg4", "tg4 @ d40", "tg4 @ d40 x3"]);
    for (first, second) in first.iter().zip(&second) {
        check_row(first);
        assert_eq!(first["hash"], second["hash"]);
        assert_eq!(first["submissions_per_tick"], 1.0);
        assert!(first["against"].is_null());
    }
    assert_ne!(first[1]["hash"], first[2]["hash"], "another context, another text");
    // Company and order change nothing of what a sequence writes; only the sum of all is another.
    let mixed = rows(&format!("{words} --order mixed"));
    for (row, mixed) in first.iter().zip(&mixed) {
        assert_eq!((&row["hash"], &mixed["order"]), (&mixed["hash"], &Value::from("mixed")));
    }
}

#[test]
fn flags_choose_tests_and_csv_has_a_cell_for_every_column() {
    let (out, _) = bench(&format!("{TINY} --pp 4 --tg 2 --at 0,8 --lanes 1,2 --repetitions 1 --output csv -q"));
    let lines: Vec<&str> = out.lines().collect();
    let names: Vec<&str> = lines.iter().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names, ["test", "pp4", "tg2", "tg2 @ d8", "tg2 x2", "tg2 @ d8 x2"]);
    let cells = |line: &str| {
        let mut inside = false;
        line.chars()
            .filter(|c| {
                inside ^= *c == '"';
                *c == ',' && !inside
            })
            .count()
    };
    assert!(cells(lines[0]) > 20);
    lines.iter().for_each(|line| assert_eq!(cells(line), cells(lines[0]), "{line}"));
}

#[test]
fn the_table_has_a_heading_and_stderr_the_rest() {
    let (out, said) = bench(&format!("{TINY} --test tg2 --repetitions 2"));
    for word in [TINY, "copy of storage buffers", "GB/s", "| test |", "| tg2 |", "of copy", "idle at most", "hash"] {
        assert!(out.contains(word), "`{word}` is not in: {out}");
    }
    assert!(said.contains("KV cache"), "{said}");
    // Two ticks are too few to time.
    assert!(said.contains("warning: tg2: ") || !said.contains("warning"), "{said}");
    assert!(!out.contains("warning"), "{out}");
}

/// Short sequences in many lanes: their prompts are read in one chunk, though a lane's context is far shorter than that.
#[test]
fn many_lanes_begin_together() {
    let rows = rows(&format!("{TINY} --test tg4x64 --order waves --repetitions 1"));
    assert_eq!((rows.len(), number(&rows[0], "lanes")), (1, 64.0));
}

#[test]
fn the_depth_experiment_takes_the_best_order_of_each() {
    let rows = rows("--random 1M:mor3 --experiment depth --lanes 2,4 --mean 4 --requests 1 --repetitions 2");
    assert_eq!(rows.len(), 2);
    for (row, lanes) in rows.iter().zip([2, 4]) {
        check_row(row);
        assert_eq!((&row["lanes"], &row["against"]), (&lanes.into(), &"full depth".into()));
        assert!((1.0..3.0).contains(&number(row, "mean_depth")) && number(row, "ceiling") > 1.0);
        assert!((number(row, "realised") / number(row, "ceiling") - number(row, "efficiency")).abs() < 1e-9);
        assert!(["waves", "mixed"].contains(&row["against_order"].as_str().unwrap()));
        assert_ne!(row["hash"], row["against_hash"], "depth changes the text");
    }
}

#[test]
fn gates_are_compared_with_none_in_each_order() {
    let rows = rows("--random 1M:mor2 --gateless --lanes 2 --mean 4 --requests 1 --repetitions 1");
    let orders: Vec<&str> = rows.iter().map(|row| row["order"].as_str().unwrap()).collect();
    assert_eq!(orders, ["waves", "mixed"]);
    for row in &rows {
        check_row(row);
        assert_eq!((&row["against"], &row["order"]), (&"no gates".into(), &row["against_order"]));
        assert_eq!((number(row, "mean_depth"), number(row, "ceiling")), (2.0, 1.0));
    }
    assert_eq!(rows[0]["hash"], rows[1]["hash"]);
    assert_eq!(rows[0]["against_hash"], rows[1]["against_hash"]);
}

#[test]
fn guesses_of_a_set_acceptance_write_as_many_tokens_as_they_say() {
    let rows = rows(
        "--random 1M:vanilla --experiment draft --guesses 3 --acceptance 0.5,1 --lanes 1,2 --mean 24 --repetitions 1",
    );
    let names: Vec<&str> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    let one = |lanes| [0, 50, 100].map(|right| format!("draft x{lanes}, 3 guesses, {right} % right"));
    assert_eq!(names, [one(1), one(2)].concat());
    for (row, (right, expected)) in rows.iter().zip([(0.0, 1.0), (0.5, 1.875), (1.0, 4.0)].into_iter().cycle()) {
        check_row(row);
        assert_eq!((number(row, "right"), number(row, "expected_per_check")), (right, expected));
        assert_eq!((&row["hash"], &row["against"]), (&row["against_hash"], &"no guesses".into()));
        let told = number(row, "tokens_per_check");
        assert!((told - expected).abs() < 0.2 * expected, "{told}, {expected}: {row}");
        assert!((number(row, "ceiling") - told / number(row, "pass_cost")).abs() < 1e-9);
        assert!((number(row, "realised") / number(row, "ceiling") - number(row, "efficiency")).abs() < 1e-9);
    }
    assert!(number(&rows[2], "accepted") > 0.9);
}

#[test]
fn auto_is_compared_with_no_guesses() {
    let words = "--random 1M:mor2 --order waves --experiment auto --acceptance 1 --lanes 2 --mean 24 --repetitions 1";
    let rows = rows(words);
    let names: Vec<&str> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    let guessed = ["lookup", "0 % right", "100 % right"].map(|who| format!("auto x2, drawn, {who}"));
    assert_eq!(names[..3], guessed);
    assert_eq!(names[3..], ["auto x2, a prompt that repeats, lookup"]);
    for row in &rows {
        check_row(row);
        assert_eq!(row["hash"], row["against_hash"]);
        assert!(number(row, "realised") > 0.0 && row["ceiling"].is_null(), "{row}");
    }
    assert!(number(&rows[2], "tokens_per_check") > 1.5, "{}", rows[2]);
}

#[test]
fn all_adapters_are_measured() {
    let listed = Command::new(env!("CARGO_BIN_EXE_isobath")).args(["adapters", "--json"]).output().unwrap();
    let listed: Vec<Value> =
        String::from_utf8(listed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = rows(&format!("{TINY} --adapter all --test tg2 --repetitions 1"));
    assert!(!rows.is_empty() && rows.len() == listed.len());
    rows.iter().zip(&listed).for_each(|(row, listed)| assert_eq!(row["adapter"], listed["name"]));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = command(&format!("{TINY} --test tg2,tg3,tg4 --repetitions 1"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(!said.contains("error") && !said.contains("panic"), "{said}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_range() {
    let check = |words: &str, code: i32, wanted: &[&str]| {
        let output = command(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(output.stdout.is_empty(), "{words}: stdout is for results");
        wanted.iter().for_each(|word| assert!(said.contains(word), "{words}: `{word}` is not in: {said}"));
    };
    check("--random 5M:mor3", 5, &["random", "5M:mor3", "360M"]);
    check("--random 1M:mor3 --test tg4x2 --lanes 0 --experiment depth", 5, &["lanes", "between 1 and 256"]);
    check("--random 1M:mor3 --test tg", 5, &["test is tg", "tg128 @ d512"]);
    check("--random 1M:mor3 --tg 4000", 5, &["test is tg4000", "fits in 2048 tokens"]);
    check("--repetitions 0", 5, &["repetitions"]);
    check("--experiment width", 2, &["width", "depth"]);
    check("--random 1M:vanilla --experiment draft --acceptance 2", 5, &["acceptance is 2", "between 0 and 1"]);
    check("--random 1M:mor2 --experiment draft --order mixed", 5, &["order is mixed", "waves"]);
}

#[test]
fn shares_and_orders_that_do_not_fit_the_model_are_refused() {
    let check = |words: &str, wanted: &[&str]| {
        let output = command(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{words}: {said}");
        wanted.iter().for_each(|word| assert!(said.contains(word), "{words}: `{word}` is not in: {said}"));
    };
    check("--random 1M:mor3 --depths 0.5,0.2 --tg 4", &["depths", "sum up to 1"]);
    check("--random 1M:vanilla --order mixed --tg 4", &["order", "waves"]);
}

fn engine(lanes: u32) -> Engine {
    let config = Shape::parse("1M:mor3").unwrap().config().unwrap();
    let gpu = block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref())).unwrap();
    let tokenizer = Tokenizer::from_json(include_bytes!("../models/tiny/tokenizer.json")).unwrap();
    let options = EngineOptions { lanes, context: Some(96), max_rows: 32, ..EngineOptions::default() };
    block_on(Engine::load(gpu, &config, &Random::new(&config, 1, false, 0), tokenizer, options, &mut |_, _| {}))
        .unwrap()
}

#[test]
fn a_lane_takes_the_memory_that_is_stated() {
    let (few, many) = (engine(2), engine(34));
    let (less, more) = (few.memory(), many.memory());
    // Sizes of buffers are multiples of 16 bytes, of which a buffer of few lanes has a greater share. On software adapters
    // there are two textures as well, of whole lines, which drivers make a multiple of four.
    let lines =
        if few.gpu().traits().weights == isobath::gpu::traits::Storage::Texture { 2 * 4 * 2048 * 16 } else { 0 };
    let (stated, grown) = (32 * more.lane, more.state - less.state);
    assert!(stated.abs_diff(grown) < 64 * 16 + lines, "stated {stated}, grown {grown}");
    assert!(more.lane_cache > 0 && more.lane_cache < more.lane);
    // What the allocator says, which rounds each buffer up for the driver.
    let (Some(before), Some(after)) = (few.gpu().allocated_bytes(), many.gpu().allocated_bytes()) else { return };
    let allocated = after - before;
    assert!(stated.abs_diff(allocated) < 64 * 256 + lines, "stated {stated}, allocated {allocated}");
}

/// Tokens and depths of three sequences.
fn written(engine: &mut Engine) -> Vec<Vec<(u32, u32)>> {
    let first = engine.statistics().submitted + 1;
    for i in 0..3 {
        let mut request = Request::new(vec![1 + i, 2, 3], 9);
        request.ignore_end = true;
        request.sampling = Sampling { temperature: 1.0, seed: i.into(), ..Sampling::GREEDY };
        engine.submit(request).unwrap();
    }
    let mut all = vec![vec![]; 3];
    while let Some((id, event)) = block_on(engine.next()).unwrap() {
        if let Event::Token(token) = event {
            all[(id.0 - first) as usize].push((token.token, token.depth));
        }
    }
    all
}

#[test]
fn the_order_can_be_changed_between_two_runs() {
    let mut engine = engine(2);
    block_on(engine.set_order(Order::Waves)).unwrap();
    let waves = written(&mut engine);
    assert_eq!(waves.iter().map(Vec::len).collect::<Vec<_>>(), [9; 3]);
    for order in [Order::Mixed, Order::Waves, Order::Mixed] {
        block_on(engine.set_order(order)).unwrap();
        assert_eq!(engine.order(), order);
        assert_eq!(written(&mut engine), waves, "{order:?}");
        // Also where one ended in the middle.
        engine.submit(Request::new(vec![5, 6], 30)).unwrap();
        block_on(engine.tick()).unwrap();
        assert!(block_on(engine.set_order(Order::Waves)).is_err(), "under way");
        engine.cancel_all();
        assert!(engine.is_idle());
    }
}

#[test]
fn the_host_s_time_is_told_where_a_clock_is_given() {
    let mut engine = engine(2);
    written(&mut engine);
    assert_eq!(engine.statistics().host, Default::default());
    let start = std::time::Instant::now();
    engine.set_clock(move || start.elapsed().as_nanos() as u64);
    let before = engine.statistics();
    written(&mut engine);
    let (done, whole) = (engine.statistics(), start.elapsed().as_nanos() as u64);
    let parts = [done.host.recording, done.host.submitting, done.host.waiting, done.host.reporting];
    assert!(parts.iter().all(|part| *part > 0) && parts.iter().sum::<u64>() <= whole, "{parts:?} of {whole}");
    assert_eq!(done.read - before.read, 9);
    assert!(done.submissions - before.submissions >= done.ticks - before.ticks);
    // 27 tokens, of which prompts predicted 3, by 2 lanes: at least 12 passes over the weights.
    assert!(done.round_passes - before.round_passes >= 12, "{done:?}");
}
