//! Writes `tests/traces/stories.jsonl`, the run that tests of the panel play: the bundled model with 8 lanes, ten
//! sequences, then a race of four heats that count.
//!
//!     cargo run --example record_trace

use std::fs;
use std::time::Instant;

use futures_channel::mpsc::unbounded;
use isobath::race::Race;
use isobath::service::{self, Command, Settings, Stamped, Start, Task, Update, trace};
use isobath::{Event, Gpu};

/// Rounds of the bundled model.
const ROUNDS: u32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut start = Start::new("stories", isobath::disk::files(format!("{root}/assets/stories"))?);
    start.options.lanes = 8;
    let prompt = |name| Task { name, prompt: "Once upon a time".into() };
    let settings = Settings { temperature: 0.8, min_p: 0.05, ..Settings::of(48) };
    let (sender, commands) = unbounded();
    sender.unbounded_send(Command::Submit { sequences: (1..=10).map(prompt).collect(), settings: settings.clone() })?;
    let mut sender = Some(sender);
    let mut race: Option<Race> = None;
    let (mut updates, mut heats, mut ended) = (Vec::new(), 0, 0);
    let begin = Instant::now();
    let mut receive = |stamped: Stamped| {
        let say = |command| sender.as_ref().map(|sender| sender.unbounded_send(command));
        let at = stamped.at;
        let Some(racing) = &mut race else {
            ended += u32::from(matches!(&stamped.update, Update::Sequence { event: Event::Finished { .. }, .. }));
            let last = ended == 10 && matches!(stamped.update, Update::Tick(_));
            updates.push(stamped);
            if last {
                let settings = Settings { max_tokens: 10, ..settings.clone() };
                let (begun, first) = Race::begin(at, (11..=16).map(prompt).collect(), &settings, ROUNDS);
                race = Some(begun);
                updates.extend(first.updates);
                first.commands.into_iter().for_each(|command| drop(say(command)));
            }
            return;
        };
        let turn = racing.apply(&stamped);
        turn.commands.into_iter().for_each(|command| drop(say(command)));
        for stamped in turn.updates {
            if let Update::HeatEnds(heat) = &stamped.update {
                heats += u32::from(heat.counts);
                if heats == 4 {
                    racing.stop();
                    say(Command::CancelAll);
                }
            }
            updates.push(stamped);
        }
        if racing.is_over() {
            sender = None;
        }
    };
    let clock = || begin.elapsed().as_secs_f64();
    pollster::block_on(service::run(start, || Gpu::open(None), commands, &clock, &mut receive));
    fs::write(format!("{root}/tests/traces/stories.jsonl"), trace::write(&updates))?;
    Ok(())
}
