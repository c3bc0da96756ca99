//! Writes `tests/traces/stories.jsonl`, the run that tests of the panel play: the bundled model with 8 lanes, ten
//! sequences, then a race of four heats that count.
//!
//!     cargo run --example record_trace

use std::fs;
use std::time::Instant;

use futures_channel::mpsc::unbounded;
use isobath::gpu::Gpu;
use isobath::service::{self, Command, Files, Prompt, Settings, Start, Task, Update, trace};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let file = |name: &str| format!("{root}/assets/stories/{name}");
    let files = Files::Folder {
        config: fs::read_to_string(file("config.json"))?,
        tokenizer: fs::read(file("tokenizer.json"))?,
        chat_template: None,
        special_tokens: Default::default(),
        tensors: vec![("model.safetensors".into(), Box::new(fs::read(file("model.safetensors"))?))],
    };
    let mut start = Start::new("stories", files);
    start.options.lanes = 8;
    let prompt = |name| Task { name, prompt: Prompt::Text("Once upon a time".into()) };
    let settings = Settings { max_tokens: 48, temperature: 0.8, min_p: 0.05, ..Settings::default() };
    let (sender, commands) = unbounded();
    sender.unbounded_send(Command::Submit { sequences: (1..=10).map(prompt).collect(), settings: settings.clone() })?;
    let mut sender = Some(sender);
    let (mut told, mut heats, mut ended) = (Vec::new(), 0, 0);
    let begin = Instant::now();
    let mut tell = |stamped: service::Stamped| {
        let say = |command| sender.as_ref().map(|sender| sender.unbounded_send(command));
        match &stamped.update {
            Update::Sequence { contestant: None, event: isobath::engine::event::Event::Finished { .. }, .. } => {
                ended += 1;
                if ended == 10 {
                    let settings = Settings { max_tokens: 10, ignore_end: true, ..settings.clone() };
                    say(Command::Race { sequences: (11..=16).map(prompt).collect(), settings });
                }
            }
            Update::HeatEnds(heat) => {
                heats += u32::from(heat.counts);
                if heats == 4 {
                    say(Command::StopRace);
                    sender = None;
                }
            }
            _ => {}
        }
        told.push(stamped);
    };
    let clock = || begin.elapsed().as_secs_f64();
    pollster::block_on(service::run(start, || Gpu::open(None), commands, &clock, &mut tell));
    fs::write(format!("{root}/tests/traces/stories.jsonl"), trace::write(&told))?;
    Ok(())
}
