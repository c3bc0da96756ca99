//! What is done with a stranger's bytes, and how much memory it may take: the same for fuzz targets and for tests.
//!
//! **Invariant:** a parser may refuse, but neither panic, nor run on, nor take more memory than [`limit`] allows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use isobath::convert::facts::Facts;
use isobath::convert::training;
use isobath::files::gguf::Gguf;
use isobath::files::index::Index;
use isobath::files::kit;
use isobath::files::safetensors::{Folder, Safetensors};
use isobath::files::torch::Checkpoint;
use isobath::network::config::ModelConfig;
use isobath::network::generation::Generation;
use isobath::network::names::{self, check_tensors};
use isobath::network::plan::Plan;
use isobath::service::prompts;
use isobath::tensor::TensorSource;
use isobath::tensor::finite::check_finite;
use isobath::text::{ChatTemplate, Message, Tokenizer};

/// The system's allocator, counting what each thread holds and held at most.
pub struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call goes on to the system's allocator unchanged; the counters are plain cells that need none.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Most bytes that a parser may hold for an input of that size.
fn limit(parser: &str, size: usize) -> usize {
    let (floor, factor) = match parser {
        // Compiling alone; a rendering has a thread of its own, and its fuel bounds it.
        "template" => (1 << 20, 512),
        // A table over all numbers that a token can have.
        "tokenizer" | "gguf" => (256 << 20, 256),
        // A node takes far more than the two characters that may be all there is of it; aliases may stand for 10,000 nodes.
        "yaml" => (4 << 20, 1024),
        _ => (1 << 20, 64),
    };
    floor + factor * size
}

/// Hands the bytes to the parser and to what follows it in a loading model.
///
/// # Panics
/// Where the parser does, and where it takes more memory than it may.
pub fn feed(parser: &str, bytes: &[u8]) {
    let before = HELD.get();
    PEAK.set(before);
    match parser {
        "safetensors" => safetensors(bytes),
        "gguf" => gguf(bytes),
        "config" => text(bytes, config),
        "checkpoint" => checkpoint(bytes),
        "tokenizer" => tokenizer(bytes),
        "template" => text(bytes, template),
        "yaml" => text(bytes, yaml),
        "kit" => kit(bytes),
        "prompts" => text(bytes, |text| drop(prompts::parse(text))),
        _ => panic!("there is no parser `{parser}`"),
    }
    let (peak, limit) = (PEAK.get() - before, limit(parser, bytes.len()));
    assert!(peak <= limit as isize, "{} bytes took {peak} bytes of memory; the limit is {limit}", bytes.len());
}

fn text(bytes: &[u8], parse: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        parse(text);
    }
}

fn safetensors(bytes: &[u8]) {
    let Ok(file) = Safetensors::parse(bytes, "model.safetensors") else { return };
    if let Ok(folder) = Folder::new(vec![file]) {
        tensors(&folder);
    }
}

/// Reads every tensor.
fn tensors(source: &dyn TensorSource) {
    for name in source.names() {
        let info = source.info(&name);
        let Ok(Some(tensor)) = source.tensor(&name) else { continue };
        assert_eq!(info.ok().flatten(), Some((tensor.data_type, tensor.shape.clone())));
        assert_eq!(tensor.data_type.bytes(&tensor.shape).unwrap_or(tensor.data.len()), tensor.data.len());
        drop(check_finite(&name, &tensor));
    }
}

/// The text of kit.json, a zero byte, and the bytes of kit.safetensors.
fn kit(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let Ok(json) = std::str::from_utf8(&bytes[..end]) else { return };
    let tensors = bytes.get(end + 1..).unwrap_or_default();
    let Ok(read) = kit::read(json, tensors, ["kit.json", "kit.safetensors"]) else { return };
    let Ok((json, tensors)) = kit::write(&read) else { return };
    assert!(kit::read(&json, &tensors, ["", ""]).is_ok_and(|again| again == read), "{json}");
}

fn checkpoint(bytes: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::parse(bytes, "pytorch_model.bin") {
        tensors(&checkpoint);
    }
}

fn gguf(bytes: &[u8]) {
    let Ok(file) = Gguf::parse(bytes, "model.gguf") else { return };
    tensors(&file);
    drop(file.string("tokenizer.chat_template"));
    drop(file.generation());
    if let Ok(config) = file.config() {
        assert!(check_tensors(&config, &file).len() <= names::MOST_ERRORS);
    }
    if let Ok(tokenizer) = file.vocabulary().map(Tokenizer::from_vocabulary)
        && let Ok(tokenizer) = tokenizer
    {
        use_tokenizer(&tokenizer);
    }
}

fn config(text: &str) {
    drop(Index::parse(text, "model.safetensors.index.json"));
    if let Ok(generation) = Generation::from_json(text) {
        let json = generation.to_json(generation.end_tokens.as_deref().unwrap_or_default());
        assert!(Generation::from_json(&json.to_string()).is_ok(), "{json}");
    }
    let Ok(config) = ModelConfig::from_json(text) else { return };
    let again = ModelConfig::from_json(&config.to_json().to_string()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, config);
    // The number of layers is the config's word; where real weights stand behind it, the file bounds it.
    if config.n_layers <= 64 {
        drop(Plan::of(&config));
        names::expected(&config, &|_| false);
    }
}

fn yaml(text: &str) {
    let mut facts = Facts::default();
    if training::read(text, "train.yaml", &mut facts).is_ok() {
        drop(facts.block());
    }
}

fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_json(bytes) {
        use_tokenizer(&tokenizer);
    }
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    for special in [false, true] {
        let Ok(tokens) = tokenizer.encode_prompt("The sea, 1234 \u{e9}\u{1f642}\n<|im_end|> a  b", special) else {
            continue;
        };
        for token in tokens.iter().copied().chain([0, u32::MAX]) {
            drop(tokenizer.token_text(token));
        }
        tokenizer.decode(&tokens, special);
    }
}

fn template(source: &str) {
    let Ok(template) = ChatTemplate::new(source, &[("bos_token", "<s>"), ("eos_token", "</s>")].into()) else { return };
    let messages = [("system", "Be brief. "), ("user", "Hi"), ("assistant", " Yo "), ("user", "?")];
    let messages = messages.map(|(role, content)| Message::new(role, content));
    drop(template.at(1_709_210_096).render(&messages, true));
}
