//! Rules of the house that no compiler checks. Each rule is a function from sources to complaints, and each is
//! shown to complain of a small planted fault. What holds for compiled shaders is in `tests/house/shaders.rs`.

use std::fs;
use std::path::Path;

/// A text file of the repository.
#[derive(Debug, Clone)]
struct Source {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is(&self, folder: &str, extension: &str) -> bool {
        self.path.starts_with(folder) && self.path.ends_with(extension)
    }

    /// The file's name without folder and extension.
    fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }
}

/// All text files that belong to the repository.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut sources);
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources are not where they should be");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    const KINDS: [&str; 5] = ["rs", "wgsl", "toml", "md", "sh"];
    const LEFT_OUT: [&str; 10] = [
        "target",
        ".git",
        "tests/cache",
        "tests/browser/node_modules",
        "assets",
        "train/venv",
        "train/runs",
        "fuzz/target",
        "fuzz/corpus",
        "fuzz/artifacts",
    ];
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{path}/"), sources);
        } else if path == ".ci/run" || path.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind)) {
            sources.push(Source { path, text: fs::read_to_string(entry.path()).unwrap() });
        }
    }
}

/// A rule: what it complains of.
type Rule = fn(&[Source]) -> Vec<String>;

/// The repository obeys the rule, and the rule sees each planted fault.
fn check(rule: Rule, faults: &[&[(&str, &str)]]) {
    for fault in faults {
        let planted: Vec<Source> =
            fault.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
        assert!(!rule(&planted).is_empty(), "the rule does not see the fault in {planted:#?}");
    }
    let complaints = rule(&sources());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The rule accepts these.
fn accepts(rule: Rule, files: &[(&str, &str)]) {
    let files: Vec<Source> =
        files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
    assert_eq!(rule(&files), Vec::<String>::new());
}

// ---------------------------------------------------------------------------------------------- shaders and kernels

/// Files of `src/kernels/` that serve all kernels.
const NOT_A_KERNEL: [&str; 5] = ["mod", "check", "matrix", "variants", "tests"];

/// Kernels have a shader, a binding and a twin of one name; `shaders/lib/` holds parts that are joined behind them.
fn is_shader(source: &Source) -> bool {
    source.is("shaders/", ".wgsl") && !source.path.starts_with("shaders/lib/")
}

fn shaders_and_kernels_pair_up(sources: &[Source]) -> Vec<String> {
    let has = |path: &str| sources.iter().any(|source| source.path == path);
    let mut complaints = Vec::new();
    for source in sources {
        // The same folders, the same names.
        let place = source.path.trim_start_matches("shaders/").trim_start_matches("src/kernels/");
        let place = place.trim_end_matches(".wgsl").trim_end_matches(".rs");
        if is_shader(source) && !has(&format!("src/kernels/{place}.rs")) {
            complaints
                .push(format!("{}: there is no src/kernels/{place}.rs with its arguments and CPU twin", source.path));
        }
        let kernel = source.is("src/kernels/", ".rs") && !NOT_A_KERNEL.contains(&source.stem());
        if kernel && !has(&format!("shaders/{place}.wgsl")) {
            complaints.push(format!("{}: there is no shaders/{place}.wgsl", source.path));
        }
    }
    complaints
}

#[test]
fn shaders_and_kernels_have_one_name() {
    check(
        shaders_and_kernels_pair_up,
        &[
            &[("shaders/add.wgsl", "")],
            &[("src/kernels/sums/add.rs", "")],
            &[("shaders/sums/add.wgsl", ""), ("src/kernels/add.rs", "")],
        ],
    );
    accepts(
        shaders_and_kernels_pair_up,
        &[
            ("shaders/sums/add.wgsl", ""),
            ("src/kernels/sums/add.rs", ""),
            ("src/kernels/sums/mod.rs", ""),
            ("shaders/lib/reduce.wgsl", ""),
        ],
    );
}

fn shader_heads(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".wgsl")) {
        let head: String = source.text.lines().take_while(|line| line.starts_with("//")).collect();
        if head.is_empty() {
            complaints.push(format!("{}: does not begin with a comment that says what it does", source.path));
        }
        if is_shader(source) && !names_a_twin(&head, sources) {
            complaints.push(format!(
                "{}: its first comment does not say \"CPU twin: `FUNCTION` in `src/kernels/FILE.rs`\", or there is none",
                source.path
            ));
        }
    }
    complaints
}

/// Whether the head names a function that exists. Kernels that compute the same may share a twin.
fn names_a_twin(head: &str, sources: &[Source]) -> bool {
    let mut names = head.split("CPU twin").nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
    let (Some(function), Some(file)) = (names.next(), names.next()) else { return false };
    let declaration = format!("fn {function}(");
    let twin = |source: &Source| source.path == file && without_tests(&source.text).contains(&declaration);
    file.starts_with("src/kernels/") && sources.iter().any(twin)
}

#[test]
fn shaders_name_their_twins() {
    let kernel = ("src/kernels/add.rs", "//! Adds.\npub fn cpu() {}\n#[cfg(test)]\nmod tests { fn other() {} }");
    check(
        shader_heads,
        &[
            &[kernel, ("shaders/add.wgsl", "// Adds.\nfn add() {}\n// CPU twin: `cpu` in `src/kernels/add.rs`.")],
            &[kernel, ("shaders/add.wgsl", "// Adds. CPU twin: `cpu` in `src/kernels/sub.rs`.")],
            &[kernel, ("shaders/add.wgsl", "// Adds. CPU twin: `other` in `src/kernels/add.rs`.")],
            &[kernel, ("shaders/add.wgsl", "// Adds. CPU twin: in `src/kernels/add.rs`.")],
            &[("shaders/lib/reduce.wgsl", "fn sum() {}")],
        ],
    );
    accepts(
        shader_heads,
        &[
            kernel,
            ("shaders/add.wgsl", "// Adds.\n//\n// CPU twin: `cpu` in `src/kernels/add.rs`.\nfn add() {}"),
            ("shaders/lib/reduce.wgsl", "// Sums."),
        ],
    );
}

// ------------------------------------------------------------------------------------------------------------- text

fn modules_are_documented(sources: &[Source]) -> Vec<String> {
    let modules = sources.iter().filter(|source| source.path.ends_with(".rs"));
    modules
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| format!("{}: does not begin with `//!` and a sentence that says what it is for", source.path))
        .collect()
}

#[test]
fn every_module_says_what_it_is_for() {
    check(modules_are_documented, &[&[("src/a.rs", "// A comment.\nfn a() {}")], &[("tests/a.rs", "")]]);
}

/// A test binary is a group, and says what it promises.
fn tests_are_grouped(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is("tests/", ".rs")) {
        let parts: Vec<&str> = source.path.split('/').collect();
        if parts.len() == 2 {
            complaints.push(format!("{}: move it into the group whose promise it holds", source.path));
        }
        if parts.len() == 3 && parts[2] == "main.rs" && !source.text.starts_with("//! **") {
            complaints.push(format!("{}: does not begin with the group's promise, `//! **...**`", source.path));
        }
    }
    complaints
}

#[test]
fn tests_stand_in_groups_that_promise() {
    check(tests_are_grouped, &[&[("tests/a.rs", "//! **A.**")], &[("tests/a/main.rs", "//! Tests of a.")]]);
    accepts(tests_are_grouped, &[("tests/a/main.rs", "//! **A holds.** Always."), ("tests/a/b.rs", "//! B.")]);
}

fn lengths(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let limit = if source.is("src/", ".rs") {
            400
        } else if source.is("shaders/", ".wgsl") {
            150
        } else {
            continue;
        };
        let lines = source.text.lines().count();
        if lines > limit {
            complaints.push(format!("{}: {lines} lines, the limit is {limit}; split it by what it does", source.path));
        }
    }
    complaints
}

#[test]
fn files_are_short() {
    let long = "//\n".repeat(401);
    check(lengths, &[&[("src/a.rs", &long)], &[("shaders/a.wgsl", &long[..3 * 151])]]);
    accepts(lengths, &[("src/a.rs", &long[..3 * 400]), ("shaders/a.wgsl", &long[..3 * 150]), ("tests/a.rs", &long)]);
}

fn no_unwrap_outside_tests(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is("src/", ".rs") && source.stem() != "tests") {
        let code = without_tests(&source.text);
        for (number, line) in (1..).zip(code.lines()) {
            if !line.trim_start().starts_with("//") && line.contains(".unwrap()") {
                complaints.push(format!(
                    "{}:{number}: `unwrap` outside tests; return an error or say why it holds",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// Whoever uses the library has no flags: it names the setting, and the command says by which flag that is given.
fn only_the_command_names_its_flags(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let library = |source: &&Source| source.is("src/", ".rs") && !source.path.starts_with("src/cli/");
    for source in sources.iter().filter(library) {
        for (number, line) in (1..).zip(without_tests(&source.text).lines()) {
            let flag = |(_, after): (&str, &str)| after.starts_with(|letter: char| letter.is_ascii_lowercase());
            if !line.trim_start().starts_with("//") && line.split_once("--").is_some_and(flag) {
                complaints.push(format!("{}:{number}: a flag; name the setting, and the flag in src/cli", source.path));
            }
        }
    }
    complaints
}

#[test]
fn the_library_names_no_flag() {
    check(only_the_command_names_its_flags, &[&[("src/convert/import.rs", "let why = \"say --set lora.scale=X\";")]]);
    accepts(
        only_the_command_names_its_flags,
        &[
            ("src/cli/failure.rs", "\"`--context` makes room\""),
            ("src/a.rs", "// As `--gate` asks.\nfn a() { -- b }\n\n#[test]\nfn c() { \"--set\" }"),
        ],
    );
}

/// Words for kinds and makers of adapters, and for drivers.
const ADAPTERS: [&str; 9] =
    ["software", "llvmpipe", "lavapipe", "swiftshader", "nvidia", "radeon", "geforce", "adreno", "apple"];

/// What may name them: where their traits are made, what lists them, what speaks to drivers before they start.
const KNOWS_ADAPTERS: [&str; 3] = ["src/gpu/", "src/cli/adapters.rs", "src/cli/drivers.rs"];

/// Which kernel runs follows from traits, and what is known of drivers stands in `src/gpu/traits.rs`.
fn adapters_are_known_by_their_traits(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let code = |source: &&Source| {
        (source.is("src/", ".rs") || source.is("shaders/", ".wgsl") || source.is("web/src/", ".rs"))
            && !KNOWS_ADAPTERS.iter().any(|place| source.path.starts_with(place))
    };
    for source in sources.iter().filter(code) {
        for (number, line) in (1..).zip(source.text.lines()) {
            let lower = line.to_lowercase();
            for word in ADAPTERS.iter().filter(|word| lower.contains(**word)) {
                complaints.push(format!(
                    "{}:{number}: {word:?}: ask for a trait, and tell what is known of drivers in src/gpu/traits.rs",
                    source.path
                ));
            }
        }
    }
    complaints
}

#[test]
fn no_kind_of_adapter_is_asked_for() {
    check(
        adapters_are_known_by_their_traits,
        &[
            &[("src/runtime/layer.rs", "if gpu.summary().is_software() {}")],
            &[("src/engine/mod.rs", "// Mesa's llvmpipe is slow here.")],
            &[("src/panel/view.rs", "facts.adapter.kind == \"software\"")],
            &[("shaders/products/add.wgsl", "// For SwiftShader.")],
            &[("web/src/session.rs", "if name.contains(\"NVIDIA\") {}")],
        ],
    );
    accepts(
        adapters_are_known_by_their_traits,
        &[("src/gpu/traits.rs", "// llvmpipe"), ("src/cli/adapters.rs", "\"software\""), ("tests/a.rs", "// software")],
    );
}

/// The text before its tests, which stand last.
fn without_tests(text: &str) -> &str {
    let marks = ["\n#[cfg(test)]\nmod ", "\n#[test]\n"];
    marks.iter().filter_map(|mark| text.find(mark)).min().map_or(text, |end| &text[..end])
}

#[test]
fn only_tests_unwrap() {
    check(
        no_unwrap_outside_tests,
        &[
            &[("src/a.rs", "fn a() { b().unwrap() }")],
            &[("src/a.rs", "#[cfg(test)]\nuse c;\nfn a() { b().unwrap() }\n#[cfg(test)]\nmod tests {}")],
        ],
    );
    accepts(
        no_unwrap_outside_tests,
        &[
            ("src/a.rs", "//! a\n/// b().unwrap()\n#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }"),
            ("src/b.rs", "//! b\n\n#[test]\nfn a() { b().unwrap() }"),
        ],
    );
}

/// What runs a plan asks the plan: it names no kind of gate that a config can ask for, and no family of models.
fn the_middle_names_no_model(sources: &[Source]) -> Vec<String> {
    const PARTS: [&str; 9] =
        ["router", "expert-choice", "token-choice", "gemma", "huginn", "llama", "mistral", "qwen", "smollm"];
    const WORDS: [&str; 5] = ["mor", "ouro", "phi", "recursions", "mixture"];
    let middle = sources.iter().filter(|source| source.is("src/runtime", "rs") || source.is("src/engine", "rs"));
    middle
        .flat_map(|source| without_tests(&source.text).lines().map(move |line| (source, line.to_lowercase())))
        .filter(|(_, line)| {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            PARTS.iter().any(|part| line.contains(part)) || words.any(|word| WORDS.contains(&word))
        })
        .map(|(source, line)| format!("{}: names a kind of model: {}", source.path, line.trim()))
        .collect()
}

#[test]
fn what_runs_a_plan_names_no_model() {
    check(
        the_middle_names_no_model,
        &[
            &[("src/runtime/rounds.rs", "if self.config.router.is_some() {}")],
            &[("src/engine/mod.rs", "use crate::network::config::RouterKind;")],
            &[("src/runtime/layer.rs", "let gelu = config.is_gemma();")],
            &[("src/runtime/layer.rs", "Architecture::Qwen3 => {}")],
            &[("src/engine/score.rs", "//! Scores of MoR models.")],
            &[("src/engine/prompts/mod.rs", "fn mor_depth() {}")],
        ],
    );
    accepts(
        the_middle_names_no_model,
        &[
            ("src/runtime/memory.rs", "struct Memory { more: u32 }"),
            ("src/network/trained.rs", "fn gate(router: &Router) {}"),
            ("src/runtime/room.rs", "//! a\n\n#[cfg(test)]\nmod tests { const A: &str = \"llama\"; }"),
        ],
    );
}

fn no_loose_ends(sources: &[Source]) -> Vec<String> {
    // In pieces, so that this file does not complain of itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in (1..).zip(source.text.lines()) {
            let is_word =
                |word: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
            if let Some(word) = words.iter().find(|word| is_word(word)) {
                complaints.push(format!("{}:{number}: {word}; do it, or open an issue", source.path));
            }
        }
    }
    complaints
}

#[test]
fn nothing_is_left_for_later() {
    let fault = concat!("// TO", "DO: later");
    check(no_loose_ends, &[&[("src/a.rs", fault)], &[("README.md", concat!("FIX", "ME"))]]);
    accepts(no_loose_ends, &[("src/a.rs", concat!("const TO", "DOS: u32 = 1;"))]);
}

fn no_machine_paths(sources: &[Source]) -> Vec<String> {
    // In pieces, so that this file does not complain of itself.
    let paths = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/tm", "p/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\"),
    ];
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in (1..).zip(source.text.lines()) {
            // Inside a longer path (`a/tmp/b`) or an address it names no machine.
            let starts = |path: &str| {
                line.match_indices(path)
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '/'))
            };
            if let Some(path) = paths.iter().find(|path| starts(path)) {
                complaints.push(format!("{}:{number}: the path {path}... exists on one machine only", source.path));
            }
        }
    }
    complaints
}

#[test]
fn no_path_is_of_one_machine() {
    check(
        no_machine_paths,
        &[&[("src/a.rs", concat!("open(\"/ho", "me/me/model\")"))], &[("README.md", concat!("cd /tm", "p/x"))]],
    );
    accepts(no_machine_paths, &[("src/a.rs", concat!("target/tm", "p/x and https://x.org/ho", "me/"))]);
}

fn lints_are_set(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter(|source| source.stem() == "Cargo");
    manifests
        .filter(|source| !source.text.lines().any(|line| line.starts_with("[lints")))
        .map(|source| format!("{}: has no [lints]", source.path))
        .collect()
}

#[test]
fn every_package_has_lints() {
    check(lints_are_set, &[&[("Cargo.toml", "[package]\nname = \"a\"")]]);
}

// -------------------------------------------------------------------------------------------------------- direction

/// What each module stands on; it may use that and whatever that stands on. `error` is open to all.
const STANDS_ON: [(&str, &[&str]); 21] = [
    ("depth", &[]),
    ("schedule", &[]),
    ("text", &[]),
    ("tensor", &["depth", "text"]),
    ("network", &["tensor"]),
    ("files", &["network"]),
    ("gpu", &["tensor"]),
    ("kernels", &["gpu"]),
    ("runtime", &["network", "kernels"]),
    ("judge", &["runtime"]),
    ("convert", &["files"]),
    ("engine", &["runtime", "schedule"]),
    ("bench", &["engine"]),
    ("eval", &["engine"]),
    ("draft", &["engine"]),
    ("service", &["files", "engine"]),
    ("disk", &["service"]),
    ("race", &["service"]),
    ("panel", &["race"]),
    ("cli", &["disk", "panel", "bench", "eval", "draft", "convert"]),
    ("main", &["cli"]),
];

/// ARCHITECTURE.md draws these directions.
fn graph_is_drawn(sources: &[Source]) -> Vec<String> {
    let page = sources.iter().find(|source| source.path == "ARCHITECTURE.md").map_or("", |source| &source.text);
    let drawn: Vec<&str> = page.lines().map(str::trim).filter(|line| line.contains(" --> ")).collect();
    let stand = STANDS_ON.iter().filter(|(_, on)| !on.is_empty());
    let held: Vec<String> = stand.map(|(room, on)| format!("{room} --> {}", on.join(" & "))).collect();
    if drawn == held { vec![] } else { vec![format!("ARCHITECTURE.md: draw the rooms so:\n{}", held.join("\n"))] }
}

#[test]
fn the_page_draws_the_rooms_as_they_are() {
    check(graph_is_drawn, &[&[("ARCHITECTURE.md", "    engine --> runtime")], &[]]);
}

/// Files that ARCHITECTURE.md names are there. What stands for many names has capitals.
fn files_of_the_page_exist(sources: &[Source]) -> Vec<String> {
    let page = sources.iter().find(|source| source.path == "ARCHITECTURE.md").map_or("", |source| &source.text);
    let names = page.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    let is_file = |name: &&str| {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/_.".contains(c));
        plain && (name.contains('/') || name.ends_with(".rs"))
    };
    let missing = names.filter(is_file).filter(|name| !sources.iter().any(|source| source.path.contains(*name)));
    missing.map(|name| format!("ARCHITECTURE.md names `{name}`, which is not there")).collect()
}

#[test]
fn the_page_names_files_that_are_there() {
    let fault = "# A\n\n```text\nx\n```\n\n`a/b` and `c.rs`";
    check(files_of_the_page_exist, &[&[("ARCHITECTURE.md", fault), ("src/a/b.rs", "")]]);
    accepts(files_of_the_page_exist, &[("ARCHITECTURE.md", fault), ("src/a/b.rs", ""), ("src/c.rs", "")]);
}

/// All that a module may use; `None` where it has no place in the house.
fn below(module: &str) -> Option<Vec<&'static str>> {
    let (_, direct) = STANDS_ON.iter().find(|(name, _)| *name == module)?;
    let mut all: Vec<&'static str> = direct.to_vec();
    for under in *direct {
        all.extend(below(under)?);
    }
    Some(all)
}

fn direction(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Macros live at the root, wherever they are written.
    let is_macro = |name: &str| sources.iter().any(|source| source.text.contains(&format!("macro_rules! {name} {{")));
    for source in sources.iter().filter(|source| source.is("src/", ".rs")) {
        let path = source.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let module = path.split('/').next().unwrap_or_default();
        if module == "lib" || module == "error" {
            continue;
        }
        let Some(below) = below(module) else {
            complaints.push(format!("{}: `{module}` has no place in the order of modules", source.path));
            continue;
        };
        // A test may bring real weights or a whole model to what it tests.
        for (first, _) in uses(without_tests(&source.text)) {
            if first != "error" && first != module && !is_macro(&first) && !below.contains(&first.as_str()) {
                complaints.push(format!("{}: uses `{first}`, on which `{module}` does not stand", source.path));
            }
        }
        if module == "cli" && source.text.contains("isobath::kernels") {
            complaints.push(format!("{}: the command knows nothing of kernels", source.path));
        }
    }
    complaints
}

/// The first two names behind every `crate::`, in code and not in comments.
fn uses(text: &str) -> Vec<(String, String)> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut uses = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        expand(&code[at + word.len()..], &mut |first| {
            let (name, rest) = first_name(first);
            // Types, constants and called macros at the root belong to no module.
            if name.is_empty() || name.starts_with(char::is_uppercase) || rest.starts_with('!') {
                return;
            }
            match rest.strip_prefix("::") {
                None => uses.push((name.to_owned(), String::new())),
                Some(rest) => {
                    expand(rest, &mut |second| uses.push((name.to_owned(), first_name(second).0.to_owned())));
                }
            }
        });
    }
    uses
}

/// Visits each branch of `{a, b::{c, d}}`, or the text itself where no brace opens it.
fn expand(text: &str, visit: &mut dyn FnMut(&str)) {
    let Some(inside) = text.strip_prefix('{') else { return visit(text) };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return visit(inside[start..at].trim_start()),
            '}' => depth -= 1,
            ',' if depth == 0 => {
                visit(inside[start..at].trim_start());
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn first_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

#[test]
fn dependencies_point_one_way() {
    check(
        direction,
        &[
            &[("src/gpu/device.rs", "use crate::kernels::Kernel;")],
            &[("src/depth/bucket.rs", "use crate::text::Token;")],
            &[("src/kernels/add.rs", "use crate::{error::Error, runtime::weights::Weights};")],
            &[("src/kernels/add.rs", "use crate::{\n    error::Error,\n    model::{tensor::DataType, block},\n};")],
            &[("src/runtime/layer.rs", "fn a() { crate::engine::run() }")],
            &[("src/network/config/mod.rs", "use crate::runtime::weights::Weights;")],
            &[("src/new/a.rs", "")],
            &[("src/engine/mod.rs", "use crate::new::a;")],
            &[("src/cli/run.rs", "use isobath::kernels::add;")],
        ],
    );
    accepts(
        direction,
        &[
            ("src/gpu/kernel.rs", "macro_rules! params {}"),
            ("src/gpu/device.rs", "//! [`crate::engine`]\nuse crate::error::GpuError;\nuse crate::tensor::DataType;"),
            (
                "src/kernels/add.rs",
                "use crate::{gpu::{self, Buffer}, tensor::{self, DataType}, params};\ncrate::log!(1);",
            ),
            ("src/engine/mod.rs", "use crate::{Error, depth, engine::event::Event, runtime::layer};"),
            ("src/network/config/mod.rs", "use crate::error::ModelError;"),
            ("src/lib.rs", "pub use crate::engine::Engine;\nmacro_rules! params {"),
            ("src/main.rs", "mod cli;"),
        ],
    );
}
