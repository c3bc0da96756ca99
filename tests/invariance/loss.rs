//! A device is lost while sequences are written: another takes its place, and nobody can tell from the text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use futures_channel::mpsc::unbounded;
use isobath::engine::event::{Event, FinishReason};
use isobath::error::GpuError;
use isobath::gpu::Gpu;
use isobath::race::{Contest, Race};
use isobath::service::{
    self, Command, Draft, Drafting, FailureKind, Model, Prompt, Settings, Stamped, Start, Task, Update,
};
use pollster::block_on;

fn bundled() -> Start {
    let files = isobath::disk::files(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/stories")).unwrap();
    let mut start = Start::new("stories", files);
    start.options.lanes = 4;
    start
}

/// Serves these commands and pulls the plug behind the tokens of these numbers, counted over all sequences.
fn serve(commands: Vec<Command>, losses: &[u32], race: Option<(Race, u32)>) -> Vec<Update> {
    let (sender, received) = unbounded();
    commands.into_iter().for_each(|command| sender.unbounded_send(command).unwrap());
    let mut racing = race.map(|(race, heats)| (race, heats, sender));
    let plug: RefCell<Option<Box<dyn Fn()>>> = RefCell::new(None);
    let open = async || {
        let gpu = Gpu::open(None).await?;
        plug.replace(Some(Box::new(gpu.loss_trigger())));
        Ok(gpu)
    };
    let (mut told, mut tokens) = (Vec::new(), 0);
    block_on(service::run(bundled(), open, received, &|| 0.0, &mut |Stamped { update, .. }| {
        if matches!(update, Update::Sequence { event: Event::Token(_), .. }) {
            tokens += 1;
            if losses.contains(&tokens) {
                plug.borrow().as_ref().unwrap()();
            }
        }
        let Some((race, heats, sender)) = &mut racing else { return told.push(update) };
        let turn = race.apply(&Stamped { at: 0.0, update });
        turn.commands.into_iter().for_each(|command| sender.unbounded_send(command).unwrap());
        for Stamped { update, .. } in turn.updates {
            if matches!(update, Update::HeatEnds(_)) {
                *heats -= 1;
                if *heats == 0 {
                    race.stop();
                    sender.unbounded_send(Command::CancelAll).unwrap();
                }
            }
            told.push(update);
        }
        if race.is_over() {
            racing = None;
        }
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
fn guesses_are_made_on_the_device_that_takes_the_place() {
    let sequences = vec![Task { name: 1, prompt: Prompt::Text("Once upon a time there was a cat".into()) }];
    let settings = Settings { max_tokens: 48, ignore_end: true, ..Settings::default() };
    let write = Command::Submit { sequences, settings };
    let drafting = Drafting { draft: Draft::Rounds(Some(1)), guesses: Some(3) };
    let plain = serve(vec![write.clone()], &[], None);
    let guessed = serve(vec![Command::Drafting { drafting: drafting.clone() }, write], &[8], None);
    let lost = guessed.iter().position(|update| matches!(update, Update::Rebuilt(_))).unwrap();
    assert!(matches!(&guessed[lost + 1], Update::Drafting { drafting: now, by } if *now == drafting && by.len() == 1));
    let mut accepted = [0, 0];
    let mut got = events(&guessed);
    for events in got.values_mut() {
        for (place, event) in events.iter_mut().enumerate() {
            let Event::Token(token) = event else { continue };
            let guess = token.guess.take();
            accepted[usize::from(place > 24)] += u64::from(guess.is_some_and(|guess| guess.accepted));
        }
    }
    assert_eq!(got, events(&plain));
    assert!(accepted[1] > 0, "none was right behind the loss: {accepted:?}");
    let ticks =
        guessed.iter().filter_map(|u| if let Update::Tick(tick) = u { Some(tick.guesses.accepted) } else { None });
    let counts: Vec<u64> = ticks.collect();
    assert!(counts.is_sorted(), "counts go on: {counts:?}");
    // What was under way when the device was lost was counted, and never told.
    assert!(*counts.last().unwrap() >= accepted[0] + accepted[1], "{counts:?} {accepted:?}");
}

#[test]
fn a_race_goes_on_and_the_heat_does_not_count() {
    let Command::Submit { sequences, .. } = submit(1, Settings::default()) else { panic!("no submission") };
    let settings = Settings { max_tokens: 8, ..Settings::default() };
    // Heats write 16 tokens each; the fourth, which would count, is disturbed.
    let (race, begun) = Race::begin(0.0, sequences, &settings, Contest::Depth { rounds: 3 });
    let told = serve(begun.commands, &[3 * 16 + 5], Some((race, 6)));
    let counts: Vec<bool> = told
        .iter()
        .filter_map(|update| if let Update::HeatEnds(heat) = update { Some((heat.counts, heat.tokens)) } else { None })
        .map(|(counts, tokens)| {
            assert_eq!(tokens, 16);
            counts
        })
        .collect();
    assert_eq!(counts, [false, false, true, false, true, true]);
    assert_eq!(told.iter().rfind(|u| !matches!(u, Update::Tick(_))), Some(&Update::RaceEnds));
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
    let cancelled = |event: &Event| matches!(event, Event::Finished { reason: FinishReason::Cancelled, .. });
    let events = events(&told);
    assert_eq!(events.len(), 2);
    assert!(
        events.values().all(|events| matches!(&events[..], [end] if cancelled(end))),
        "each has one end: {events:?}"
    );
}

/// Memory in which sequences may get so long and no longer.
fn memory_for(start: &Start, lengths: Range<u32>) -> u64 {
    let (mut least, mut most) = (0, 1 << 30);
    loop {
        let memory = (least + most) / 2;
        let gpu = block_on(Gpu::open(None)).unwrap().limited(u64::MAX, memory);
        match block_on(Model::load(&start.files, gpu, start.options)).map(|model| model.engine.context()) {
            Ok(context) if lengths.contains(&context) => return memory,
            Ok(context) if context >= lengths.end => most = memory,
            _ => least = memory,
        }
        assert!(least + 1 < most, "no memory is just enough for {lengths:?}");
    }
}

#[test]
fn a_device_with_less_room_takes_on_what_fits() {
    let (sender, received) = unbounded();
    let settings = Settings { max_tokens: 100, ignore_end: true, ..Settings::default() };
    let short = Task { name: 1, prompt: Prompt::Text("The sea".into()) };
    let long = Task { name: 2, prompt: Prompt::Text("The sea was calm and blue. ".repeat(45)) };
    let ask = |task: &Task| Command::Submit { sequences: vec![task.clone()], settings: settings.clone() };
    [&long, &short].into_iter().for_each(|task| sender.unbounded_send(ask(task)).unwrap());
    drop(sender);
    let mut start = bundled();
    start.options.lanes = 2;
    start.options.context = Some(512);
    let small = memory_for(&start, 256..257);
    let plug: RefCell<Option<Box<dyn Fn()>>> = RefCell::new(None);
    let memory = std::cell::Cell::new(u64::MAX);
    let open = async || {
        let gpu = Gpu::open(None).await?.limited(u64::MAX, memory.get());
        plug.replace(Some(Box::new(gpu.loss_trigger())));
        Ok(gpu)
    };
    let (mut told, mut tokens) = (Vec::new(), 0);
    block_on(service::run(start, open, received, &|| 0.0, &mut |Stamped { update, .. }| {
        if matches!(update, Update::Sequence { sequence: 1, event: Event::Token(_), .. }) {
            tokens += 1;
            if tokens == 8 {
                memory.set(small);
                plug.borrow().as_ref().unwrap()();
            }
        }
        told.push(update);
    }));
    let facts = told.iter().find_map(|update| if let Update::Rebuilt(facts) = update { Some(facts) } else { None });
    assert!(facts.unwrap().context == 256, "{:?}", facts.unwrap().cuts);
    let events = events(&told);
    let Some(Event::Finished { reason, tokens: written, .. }) = events[&2].last() else { panic!("{:?}", events[&2]) };
    assert_eq!((*reason, *written as usize), (FinishReason::Cancelled, events[&2].len() - 1));
    let failures: Vec<_> = told
        .iter()
        .filter_map(|update| if let Update::Failed(failure) = update { Some(failure) } else { None })
        .collect();
    assert_eq!((failures.len(), failures[0].kind, failures[0].sequence), (1, FailureKind::Refused, Some(2)));
    assert!(failures[0].message.contains("no room"), "{}", failures[0].message);
    let Some(Event::Finished { reason, .. }) = events[&1].last() else { panic!("{:?}", events[&1]) };
    assert!(matches!(reason, FinishReason::Length | FinishReason::ContextFull), "{reason:?}: the other goes on");
    assert!(events[&1].len() > 20, "{}", events[&1].len());
}

#[test]
fn a_gate_without_room_gives_way_to_the_trained_one() {
    let (sender, received) = unbounded();
    sender.unbounded_send(Command::Gate { gate: "top-2-gap".into() }).unwrap();
    sender.unbounded_send(Command::Thresholds { thresholds: vec![-1.0; 3] }).unwrap();
    sender.unbounded_send(submit(1, Settings { max_tokens: 24, ignore_end: true, ..Settings::default() })).unwrap();
    drop(sender);
    let start = bundled();
    let model = block_on(Model::load(&start.files, block_on(Gpu::open(None)).unwrap(), start.options)).unwrap();
    // Room for everything but the logits of the gate.
    let logits = 4 * u64::from(model.engine.config().vocab_size) * u64::from(start.options.max_rows);
    let small = model.engine.gpu().allocated_bytes().unwrap() + logits / 2;
    drop(model);
    let plug: RefCell<Option<Box<dyn Fn()>>> = RefCell::new(None);
    let memory = std::cell::Cell::new(u64::MAX);
    let open = async || {
        let gpu = Gpu::open(None).await?.limited(u64::MAX, memory.get());
        plug.replace(Some(Box::new(gpu.loss_trigger())));
        Ok(gpu)
    };
    let (mut told, mut tokens) = (Vec::new(), 0);
    block_on(service::run(start, open, received, &|| 0.0, &mut |Stamped { update, .. }| {
        if matches!(update, Update::Sequence { event: Event::Token(_), .. }) {
            tokens += 1;
            if tokens == 8 {
                memory.set(small);
                plug.borrow().as_ref().unwrap()();
            }
        }
        told.push(update);
    }));
    let lost = told.iter().position(|update| matches!(update, Update::Rebuilt(_))).unwrap();
    let [Update::Rebuilt(facts), Update::Failed(failure), Update::Gate { gate }] = &told[lost..lost + 3] else {
        panic!("{:?}", &told[lost..])
    };
    assert_eq!((&facts.cuts[..], failure.kind, failure.sequence), (&[][..], FailureKind::Refused, None));
    assert!(failure.message.contains("logits of a gate") && failure.message.contains("trained"), "{failure:?}");
    assert_eq!(gate.as_deref(), Some("trained"));
    let events = events(&told);
    for (name, events) in &events {
        assert!(
            matches!(events.last(), Some(Event::Finished { reason: FinishReason::Length, tokens: 24, .. })),
            "{name}"
        );
    }
    let depths = |at: Range<usize>| {
        let depth = |event: &Event| if let Event::Token(token) = event { token.depth } else { 0 };
        events.values().flat_map(|events| events[at.clone()].iter().map(depth).collect::<Vec<_>>()).max()
    };
    assert_eq!(depths(0..4), Some(1), "no gap is above such a threshold");
    assert!(depths(12..24) > Some(1), "thresholds that were set went with the gate");
}
