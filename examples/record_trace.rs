//! Writes the runs that tests of the panel play: the bundled model writes some sequences, then runs a race of four heats that
//! count. `stories` compares depth with full depth, `guesses` has the first round guess and compares
//! that with none.
//!
//!     cargo run --example record_trace -- stories
//!     cargo run --example record_trace -- guesses

use std::fs;
use std::time::Instant;

use futures_channel::mpsc::unbounded;
use isobath::race::{Contest, Race};
use isobath::service::{self, Command, Draft, Drafting, Settings, Stamped, Start, Task, Update, trace};
use isobath::{Event, Gpu};

/// Rounds of the bundled model.
const ROUNDS: u32 = 3;

/// What is recorded.
struct Run {
    lanes: u32,
    prompt: &'static str,
    drafting: Drafting,
    /// Sequences that are written first.
    sequences: u64,
    settings: Settings,
    /// Those of the race, and the tokens of each.
    racers: u64,
    race_tokens: u32,
    contest: Contest,
}

fn run(name: &str) -> Option<Run> {
    let settings = Settings { temperature: 0.8, min_p: 0.05, ..Settings::of(48) };
    let first = Drafting { draft: Draft::Rounds(Some(1)), guesses: Some(3) };
    match name {
        "stories" => Some(Run {
            lanes: 8,
            prompt: "Once upon a time",
            drafting: Drafting::OFF,
            sequences: 10,
            settings,
            racers: 6,
            race_tokens: 10,
            contest: Contest::Depth { rounds: ROUNDS },
        }),
        "guesses" => Some(Run {
            lanes: 4,
            prompt: "Once upon a time there was a cat",
            drafting: first.clone(),
            sequences: 3,
            settings: Settings { ignore_end: true, ..settings },
            racers: 3,
            race_tokens: 12,
            contest: Contest::Guesses { drafting: first.clone(), then: first },
        }),
        _ => None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let name = std::env::args().nth(1).unwrap_or_default();
    let run = run(&name).ok_or("say which run is to be recorded: stories or guesses")?;
    let mut start = Start::new("stories", isobath::disk::files(format!("{root}/assets/stories"))?);
    start.options.lanes = run.lanes;
    let task = |name| Task { name, prompt: run.prompt.into() };
    let (sender, commands) = unbounded();
    if run.drafting != Drafting::OFF {
        sender.unbounded_send(Command::Drafting { drafting: run.drafting.clone() })?;
    }
    let sequences = (1..=run.sequences).map(task).collect();
    sender.unbounded_send(Command::Submit { sequences, settings: run.settings.clone() })?;
    let mut sender = Some(sender);
    let mut race: Option<Race> = None;
    let (mut updates, mut heats, mut ended) = (Vec::new(), 0, 0);
    let begin = Instant::now();
    let mut receive = |stamped: Stamped| {
        let say = |command| sender.as_ref().map(|sender| sender.unbounded_send(command));
        let at = stamped.at;
        let Some(racing) = &mut race else {
            ended += u64::from(matches!(&stamped.update, Update::Sequence { event: Event::Finished { .. }, .. }));
            let last = ended == run.sequences && matches!(stamped.update, Update::Tick(_));
            updates.push(stamped);
            if last {
                let settings = Settings { max_tokens: run.race_tokens, ..run.settings.clone() };
                let racers = (run.sequences + 1..=run.sequences + run.racers).map(task).collect();
                let (begun, first) = Race::begin(at, racers, &settings, run.contest.clone());
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
    fs::write(format!("{root}/tests/traces/{name}.jsonl"), trace::write(&updates))?;
    Ok(())
}
