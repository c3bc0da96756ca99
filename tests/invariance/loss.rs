//! A device is lost while sequences are written: another takes its place, and nobody can tell from the text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use futures_channel::mpsc::unbounded;
use isobath::engine::event::Event;
use isobath::error::GpuError;
use isobath::gpu::Gpu;
use isobath::service::{self, Command, FailureKind, Files, Prompt, Settings, Stamped, Start, Task, Update};
use pollster::block_on;

fn bundled() -> Start {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/stories");
    let bytes = |name: &str| fs::read(format!("{folder}/{name}")).unwrap();
    let files = Files::Folder {
        config: String::from_utf8(bytes("config.json")).unwrap(),
        tokenizer: bytes("tokenizer.json"),
        chat_template: None,
        special_tokens: Default::default(),
        tensors: vec![("model.safetensors".into(), Box::new(bytes("model.safetensors")))],
    };
    let mut start = Start::new("stories", files);
    start.options.lanes = 4;
    start
}

/// Serves these commands and pulls the plug behind the tokens of these numbers, counted over all sequences.
fn serve(commands: Vec<Command>, losses: &[u32], stop_behind: Option<u32>) -> Vec<Update> {
    let (sender, received) = unbounded();
    commands.into_iter().for_each(|command| sender.unbounded_send(command).unwrap());
    let mut sender = Some(sender).filter(|_| stop_behind.is_some());
    let plug: RefCell<Option<Box<dyn Fn()>>> = RefCell::new(None);
    let open = async || {
        let gpu = Gpu::open(None).await?;
        plug.replace(Some(Box::new(gpu.loss_trigger())));
        Ok(gpu)
    };
    let (mut told, mut tokens, mut heats) = (Vec::new(), 0, 0);
    block_on(service::run(bundled(), open, received, &|| 0.0, &mut |Stamped { update, .. }| {
        if matches!(update, Update::Sequence { event: Event::Token(_), .. }) {
            tokens += 1;
            if losses.contains(&tokens) {
                plug.borrow().as_ref().unwrap()();
            }
        }
        heats += u32::from(matches!(update, Update::HeatEnds(_)));
        if stop_behind.is_some_and(|stop| heats >= stop)
            && let Some(sender) = sender.take()
        {
            sender.unbounded_send(Command::StopRace).unwrap();
        }
        told.push(update);
    }));
    told
}

/// Tokens and ends of each sequence.
fn events(told: &[Update]) -> BTreeMap<u64, Vec<Event>> {
    let mut events: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    for update in told {
        if let Update::Sequence { sequence, event, .. } = update
            && !matches!(event, Event::Prefill { .. })
        {
            events.entry(*sequence).or_default().push(event.clone());
        }
    }
    events
}

fn submit(first: u64, settings: Settings) -> Command {
    let prompts = ["Once upon a time there was a boat", "The old captain said"];
    let task = |(name, prompt): (u64, &str)| Task { name, prompt: Prompt::Text(prompt.into()) };
    Command::Submit { sequences: (first..).zip(prompts).map(task).collect(), settings }
}

#[test]
fn the_text_goes_on_as_if_nothing_had_been() {
    let plain = Settings { max_tokens: 40, ignore_end: true, ..Settings::default() };
    let chance = Settings {
        temperature: 0.9,
        top_k: 40,
        top_p: 0.95,
        min_p: 0.02,
        repeat_penalty: 1.3,
        seed: 11,
        ..plain.clone()
    };
    let commands = vec![
        Command::Thresholds { thresholds: vec![-0.5, 0.5, 0.0] },
        submit(1, plain.clone()),
        submit(11, chance.clone()),
        // More than there are lanes: some wait while the device is lost.
        submit(21, Settings { depth: Some(2), ..chance }),
        submit(31, Settings { stop: vec![" and".into()], ..plain }),
    ];
    let undisturbed = serve(commands.clone(), &[], None);
    let disturbed = serve(commands, &[30, 31, 120], None);
    let rebuilt = |told: &[Update]| told.iter().filter(|update| matches!(update, Update::Rebuilt(_))).count();
    // The second pull comes before anybody has noticed the first.
    assert_eq!((rebuilt(&undisturbed), rebuilt(&disturbed)), (0, 2));
    let (want, got) = (events(&undisturbed), events(&disturbed));
    assert_eq!(want.len(), 8);
    for (name, events) in &want {
        assert!(matches!(events.last(), Some(Event::Finished { .. })), "{name}");
        assert_eq!(&got[name], events, "sequence {name}: tokens, depths, scores and probabilities to the bit");
    }
    let ticks = |update: &Update| if let Update::Tick(tick) = update { Some((tick.number, tick.tokens)) } else { None };
    let counts: Vec<_> = disturbed.iter().filter_map(ticks).collect();
    assert!(counts.is_sorted(), "counts go on: {counts:?}");
    assert_eq!(counts.last().unwrap().1, want.values().map(|events| events.len() as u64 - 1).sum::<u64>());
}

#[test]
fn a_race_goes_on_and_the_heat_does_not_count() {
    let Command::Submit { sequences, .. } = submit(1, Settings::default()) else { panic!("no submission") };
    let settings = Settings { max_tokens: 8, ..Settings::default() };
    // Heats write 16 tokens each; the fourth, which would count, is disturbed.
    let told = serve(vec![Command::Race { sequences, settings }], &[3 * 16 + 5], Some(6));
    let counts: Vec<bool> = told
        .iter()
        .filter_map(|update| if let Update::HeatEnds(heat) = update { Some((heat.counts, heat.tokens)) } else { None })
        .map(|(counts, tokens)| {
            assert_eq!(tokens, 16);
            counts
        })
        .collect();
    assert_eq!(counts[..6], [false, false, true, false, true, true]);
    assert!(matches!(
        told.iter().rfind(|u| !matches!(u, Update::Tick(_))).unwrap(),
        Update::RaceEnds | Update::Sequence { .. }
    ));
}

#[test]
fn devices_that_are_lost_at_once_are_given_up() {
    let (sender, received) = unbounded();
    sender.unbounded_send(submit(1, Settings::default())).unwrap();
    let plugs: RefCell<Vec<Box<dyn Fn()>>> = RefCell::default();
    let open = async || -> Result<Gpu, GpuError> {
        let gpu = Gpu::open(None).await?;
        if !plugs.borrow().is_empty() {
            gpu.simulate_loss();
        }
        plugs.borrow_mut().push(Box::new(gpu.loss_trigger()));
        Ok(gpu)
    };
    let mut told = Vec::new();
    block_on(service::run(bundled(), open, received, &|| 0.0, &mut |stamped| {
        if matches!(stamped.update, Update::Ready(_)) {
            plugs.borrow()[0]();
        }
        told.push(stamped.update);
    }));
    let Some(Update::Failed(failure)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!(failure.kind, FailureKind::Lost);
    assert_eq!(plugs.borrow().len(), 4, "one, and three that took its place");
}
