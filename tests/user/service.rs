//! The service as its callers meet it: commands in, updates out, and a run that can be played again.

use std::cell::RefCell;

use futures_channel::mpsc::{UnboundedSender, unbounded};
use isobath::depth::policy::Rule;
use isobath::engine::event::{Event, FinishReason, Guesser, TokenEvent};
use isobath::gpu::{Gpu, Traits};
use isobath::race::{Contest, Race};
use isobath::service::{
    self, Command, Contestant, Draft, Drafting, FailureKind, Files, LaneState, ModelFacts, Progress, Prompt, Settings,
    Stamped, Start, Step, Task, Tick, Update, trace,
};
use isobath::text::{LocalTime, Message, Role};
use pollster::block_on;

fn bundled(lanes: u32) -> Start {
    let files = isobath::disk::files(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/stories")).unwrap();
    let mut start = Start::new("stories", files);
    start.options.lanes = lanes;
    start
}

/// Serves until all is done; `answer` may send more whenever it hears something.
fn serve(
    start: Start,
    first: Vec<Command>,
    mut answer: impl FnMut(&Update, &mut Option<UnboundedSender<Command>>),
) -> Vec<Stamped> {
    let (sender, commands) = unbounded();
    first.into_iter().for_each(|command| sender.unbounded_send(command).unwrap());
    let mut sender = Some(sender);
    let time = RefCell::new(0.0);
    let clock = || {
        *time.borrow_mut() += 0.001;
        *time.borrow()
    };
    let mut updates = Vec::new();
    block_on(service::run(start, || Gpu::open(None), commands, &clock, &mut |stamped| {
        answer(&stamped.update, &mut sender);
        updates.push(stamped);
    }));
    updates
}

/// A GPU compiles its kernels before the first text, and says how far it is.
#[test]
fn kernels_are_told_of_behind_the_weights() {
    let open = async || {
        let gpu = Gpu::open(None).await?;
        let traits = Traits { compiles_at_once: true, ..*gpu.traits() };
        Ok(gpu.with_traits(traits))
    };
    let (_, commands) = unbounded();
    let mut loading: Vec<Progress> = vec![];
    block_on(service::run(bundled(2), open, commands, &|| 0.0, &mut |stamped| match stamped.update {
        Update::Loading(progress) => loading.push(progress),
        other => assert!(matches!(other, Update::Ready(_)), "{other:?}"),
    }));
    let first = loading.iter().position(|progress| progress.step == Step::Kernels).unwrap();
    let (weights, kernels) = loading.split_at(first);
    let end = weights.last().unwrap();
    assert!(end.step == Step::Weights && end.done == end.total && end.total > 0, "{end:?}");
    let total = kernels.len() as u64;
    assert!(total > 10, "{kernels:?}");
    let expected: Vec<_> = (1..=total).map(|done| Progress { step: Step::Kernels, done, total }).collect();
    assert_eq!(kernels, expected);
    // Runs that were saved when nobody told of kernels can still be played.
    let read = |text: &str| serde_json::from_str::<Stamped>(text).unwrap().update;
    assert_eq!(read(r#"{"at":0.5,"update":"loading","done":3,"total":7}"#), Update::Loading(Progress::weights(3, 7)));
    let again = Update::Rebuilding { why: "lost".into(), progress: Progress::kernels(2, 9) };
    let text = serde_json::to_string(&Stamped { at: 0.5, update: again.clone() }).unwrap();
    assert_eq!(read(&text), again, "{text}");
}

fn text(name: u64, text: &str) -> Task {
    Task { name, prompt: Prompt::Text(text.into()) }
}

fn written(updates: &[Stamped], name: u64) -> (String, u32, Option<FinishReason>) {
    let (mut whole, mut count, mut end) = (String::new(), 0, None);
    for stamped in updates {
        let Update::Sequence { sequence, event, .. } = &stamped.update else { continue };
        if *sequence != name {
            continue;
        }
        assert_eq!(end, None, "nothing follows the end");
        match event {
            Event::Token(token) => {
                count += 1;
                whole += &token.text;
            }
            Event::Finished { reason, text, .. } => {
                end = Some(*reason);
                whole += text;
            }
            Event::Prefill { .. } => {}
        }
    }
    (whole, count, end)
}

#[test]
fn a_generation_config_ends_texts_and_is_told_of() {
    let run = |generation: Option<&str>| {
        let mut start = bundled(1);
        let Files::Folder(files) = &mut start.files else { panic!("a folder") };
        files.generation_config = generation.map(str::to_owned);
        let settings = Settings { max_tokens: 6, ..Settings::default() };
        let sequences = vec![text(1, "Once upon a time")];
        serve(start, vec![Command::Submit { sequences, settings }], |_, sender| *sender = None)
    };
    let plain = run(None);
    let third = plain.iter().filter_map(|stamped| match &stamped.update {
        Update::Sequence { event: Event::Token(token), .. } => Some(token.token),
        _ => None,
    });
    let third = third.clone().nth(2).unwrap();
    assert_eq!(written(&plain, 1).2, Some(FinishReason::Length));
    let file = format!(r#"{{"eos_token_id": [0, {third}], "do_sample": true, "top_p": 0.9, "num_beams": 2}}"#);
    let updates = run(Some(&file));
    let (_, count, end) = written(&updates, 1);
    assert!(count <= 3 && end == Some(FinishReason::EndOfSequence), "{count} {end:?}");
    let facts =
        updates.iter().find_map(|s| if let Update::Ready(facts) = &s.update { Some(facts) } else { None }).unwrap();
    assert_eq!(facts.suggestion.words().unwrap(), "temperature 1, top-k 50, top-p 0.9");
    assert_eq!(facts.warnings, ["generation_config.json: not followed: num_beams 2"]);
    let refused = run(Some("<html>"));
    let Update::Failed(failure) = &refused.last().unwrap().update else { panic!("{refused:?}") };
    assert_eq!(failure.kind, FailureKind::Load);
    assert!(failure.message.contains("generation_config.json"), "{}", failure.message);
}

#[test]
fn every_sequence_is_written_to_its_end_and_lanes_show_it() {
    let settings = Settings { max_tokens: 12, ignore_end: true, ..Settings::default() };
    let sequences: Vec<Task> = (1..=6).map(|name| text(name, "Once upon a time")).collect();
    let updates = serve(bundled(4), vec![Command::Submit { sequences, settings }], |_, sender| *sender = None);
    assert!(matches!(updates[0].update, Update::Loading(_)));
    let facts = updates.iter().find_map(|s| if let Update::Ready(facts) = &s.update { Some(facts) } else { None });
    let facts = facts.unwrap();
    assert_eq!((facts.rounds, facts.lanes, facts.thresholds, facts.chat), (3, 4, true, false));
    assert_eq!(facts.parameters, 2_361_600, "as the model card says");
    let first = written(&updates, 1);
    assert_eq!((first.1, first.2), (12, Some(FinishReason::Length)));
    assert!(!first.0.is_empty());
    for name in 2..=6 {
        assert_eq!(written(&updates, name), first, "greedy: the same prompt gives the same text");
    }
    let busy = |stamped: &Stamped| match &stamped.update {
        Update::Tick(tick) => tick.lanes.iter().filter(|lane| lane.state != LaneState::Idle).count(),
        _ => 0,
    };
    assert_eq!(updates.iter().map(busy).max(), Some(4), "all lanes were in use");
    assert_eq!(busy(updates.iter().rfind(|s| matches!(s.update, Update::Tick(_))).unwrap()), 0);
    let Some(Update::Tick(last)) = updates.iter().rfind(|s| matches!(s.update, Update::Tick(_))).map(|s| &s.update)
    else {
        panic!("no tick")
    };
    assert_eq!(last.tokens, 72);
    assert!((1.0..3.0).contains(&last.mean_depth) && last.ceiling > 1.0, "{last:?}");
    let saved = trace::write(&updates);
    assert_eq!(trace::read(&saved).unwrap(), updates, "what was saved is what was updates");
}

#[test]
fn a_conversation_without_a_template_is_a_transcript() {
    let turns = vec![Message::new(Role::User, "hello")];
    let sequences = vec![Task { name: 3, prompt: Prompt::Chat(turns) }];
    let settings = Settings { max_tokens: 5, ..Settings::default() };
    let updates = serve(bundled(1), vec![Command::Submit { sequences, settings }], |_, sender| *sender = None);
    assert!(written(&updates, 3).2.is_some());
}

#[test]
fn refusals_say_why_and_everything_else_goes_on() {
    let settings = Settings { max_tokens: 4, ..Settings::default() };
    let commands = vec![
        Command::Submit { sequences: vec![text(1, "a"), text(1, "b")], settings: settings.clone() },
        Command::Submit { sequences: vec![text(2, "a")], settings: Settings { depth: Some(9), ..settings } },
        Command::Thresholds { thresholds: vec![0.0] },
    ];
    let updates = serve(bundled(2), commands, |_, sender| *sender = None);
    let failures: Vec<_> = updates
        .iter()
        .filter_map(|s| if let Update::Failed(failure) = &s.update { Some(failure) } else { None })
        .collect();
    let said: Vec<_> = failures.iter().map(|failure| (failure.kind, failure.sequence)).collect();
    use FailureKind::Refused;
    assert_eq!(said, [(Refused, Some(1)), (Refused, Some(2)), (Refused, None)]);
    assert!(failures[1].message.contains("between 1 and 3"), "{}", failures[1].message);
    assert!(written(&updates, 1).2.is_some());
}

#[test]
fn paused_nothing_moves_but_single_ticks() {
    let settings = Settings { max_tokens: 3, ignore_end: true, ..Settings::default() };
    let commands = vec![Command::Pause { paused: true }, Command::Submit { sequences: vec![text(1, "The")], settings }];
    let mut ticks = 0;
    let updates = serve(bundled(1), commands, |update, sender| match update {
        Update::Paused { paused: true } => sender.as_ref().unwrap().unbounded_send(Command::Tick).unwrap(),
        Update::Tick(_) => {
            ticks += 1;
            let Some(open) = sender else { return };
            if ticks == 2 {
                open.unbounded_send(Command::Pause { paused: false }).unwrap();
                *sender = None;
            } else {
                open.unbounded_send(Command::Tick).unwrap();
            }
        }
        _ => {}
    });
    assert_eq!(written(&updates, 1).2, Some(FinishReason::Length));
    let resumed = updates.iter().position(|s| s.update == Update::Paused { paused: false }).unwrap();
    let before = updates[..resumed].iter().filter(|s| matches!(s.update, Update::Tick(_))).count();
    assert_eq!(before, 2, "one tick for each that was asked for");
}

#[test]
fn a_race_runs_the_same_sequences_both_ways_in_turns() {
    let settings = Settings { max_tokens: 6, ignore_end: true, ..Settings::default() };
    let contest = Contest::Depth { rounds: 3 };
    let (mut race, begun) = Race::begin(0.0, vec![text(1, "Once"), text(2, "The")], &settings, contest);
    let mut heats = Vec::new();
    let mut shown = begun.updates;
    serve(bundled(2), begun.commands, |update, sender| {
        let turn = race.apply(&Stamped { at: 0.0, update: update.clone() });
        let ask = |command| sender.as_ref().unwrap().unbounded_send(command).unwrap();
        turn.commands.into_iter().for_each(ask);
        for stamped in turn.updates {
            if let Update::HeatEnds(heat) = stamped.update {
                heats.push(heat);
                if heats.len() == 4 {
                    race.stop();
                    ask(Command::CancelAll);
                }
            }
            shown.push(stamped);
        }
        if race.is_over() {
            *sender = None;
        }
    });
    use Contestant::{Adaptive, Full};
    let who: Vec<_> = heats.iter().map(|heat| heat.contestant).collect();
    assert_eq!(who, [Adaptive, Full, Full, Adaptive]);
    for heat in &heats {
        assert_eq!(heat.tokens, 12);
        assert_eq!(heat.counts, heat.number >= 2);
        assert!(heat.mean_depth <= 3.0 && (heat.contestant == Adaptive || heat.mean_depth == 3.0), "{heat:?}");
    }
    assert!(heats.iter().all(|heat| heat.seconds > 0.0));
    // The fifth heat, which was broken off, is its contestant's as well.
    let ends = |s: &&Stamped| matches!(&s.update, Update::Sequence { event: Event::Finished { .. }, .. });
    let contestants: Vec<_> = shown
        .iter()
        .filter(ends)
        .map(|s| if let Update::Sequence { contestant, .. } = s.update { contestant } else { None })
        .collect();
    assert_eq!(contestants, [Adaptive, Full, Full, Adaptive, Adaptive].map(|who| [Some(who); 2]).concat());
    assert_eq!(shown.iter().filter(|s| s.update == Update::RaceEnds).count(), 1);
    assert!(!shown.iter().any(|s| matches!(s.update, Update::Submitted { .. })), "heats are no prompts of a person's");
    let saved = trace::write(&shown);
    assert!(saved.contains("\"contestant\":\"full\"") && saved.contains("\"update\":\"heat_ends\""), "{saved}");
}

#[test]
fn a_rule_and_its_thresholds_move_depth() {
    // No score rises so far: every token runs the first round, which has nothing to rise from, and no other.
    let settings = Settings { max_tokens: 6, ignore_end: true, ..Settings::default() };
    let commands = vec![
        Command::Rule { rule: Rule::Rising },
        Command::Thresholds { thresholds: vec![1e9; 3] },
        Command::Submit { sequences: vec![text(1, "Once")], settings: settings.clone() },
    ];
    let deepest = |updates: &[Stamped]| {
        let depths = updates.iter().filter_map(|stamped| match &stamped.update {
            Update::Sequence { event: Event::Token(token), .. } => Some(token.depth),
            _ => None,
        });
        depths.max()
    };
    let updates = serve(bundled(1), commands.clone(), |_, sender| *sender = None);
    assert!(updates.iter().any(|stamped| stamped.update == Update::Rule { rule: Rule::Rising }));
    assert_eq!(deepest(&updates), Some(1));
    // Every score rises by less than nothing.
    let rising = [commands[0].clone(), Command::Thresholds { thresholds: vec![-1e9; 3] }, commands[2].clone()];
    assert_eq!(deepest(&serve(bundled(1), rising.to_vec(), |_, sender| *sender = None)), Some(3));
}

#[test]
fn a_gate_is_put_in_place_with_thresholds_of_its_own() {
    let settings = Settings { max_tokens: 6, ignore_end: true, ..Settings::default() };
    let gate = |name: &str| Command::Gate { gate: name.into() };
    let write = Command::Submit { sequences: vec![text(1, "Once")], settings };
    // No gap of two probabilities is above 1 and every one is above -1.
    for (threshold, depth) in [(1.0, 3), (-1.0, 1)] {
        let thresholds = Command::Thresholds { thresholds: vec![threshold; 3] };
        let commands = vec![gate("entropy"), gate("top-2-gap"), thresholds, write.clone()];
        let updates = serve(bundled(1), commands, |_, sender| *sender = None);
        let facts = updates.iter().find_map(|s| if let Update::Ready(facts) = &s.update { Some(facts) } else { None });
        let facts = facts.unwrap();
        let names: Vec<&str> = facts.gates.iter().map(|gate| gate.name.as_str()).collect();
        assert_eq!((facts.gate.as_deref(), &names[..]), (Some("trained"), &["trained", "top-2-gap", "cosine"][..]));
        let refused =
            |s: &&Stamped| matches!(&s.update, Update::Failed(failure) if failure.message.contains("entropy"));
        assert_eq!(updates.iter().filter(refused).count(), 1, "a name that is not known");
        assert!(updates.iter().any(|stamped| stamped.update == Update::Gate { gate: Some("top-2-gap".into()) }));
        let depths = updates.iter().filter_map(|stamped| match &stamped.update {
            Update::Sequence { event: Event::Token(token), .. } => Some(token.depth),
            _ => None,
        });
        assert_eq!(depths.collect::<Vec<_>>(), [depth; 6], "threshold {threshold}");
    }
}

/// A text that repeats itself.
const REPEATS: &str = "one two three one two three one two three one two three one two";

fn lookup(guesses: u32) -> Drafting {
    Drafting { draft: Draft::Lookup, guesses: Some(guesses) }
}

fn facts(updates: &[Stamped]) -> &ModelFacts {
    let ready = |s: &'_ Stamped| matches!(s.update, Update::Ready(_));
    let Some(Update::Ready(facts)) = updates.iter().find(|s| ready(s)).map(|s| &s.update) else { panic!("not ready") };
    facts
}

fn last_tick(updates: &[Stamped]) -> &Tick {
    let tick = |s: &&Stamped| matches!(s.update, Update::Tick(_));
    let Some(Update::Tick(tick)) = updates.iter().rfind(tick).map(|s| &s.update) else { panic!("no tick") };
    tick
}

fn tokens(updates: &[Stamped]) -> impl Iterator<Item = &TokenEvent> {
    updates.iter().filter_map(|stamped| match &stamped.update {
        Update::Sequence { event: Event::Token(token), .. } => Some(token),
        _ => None,
    })
}

#[test]
fn guesses_save_passes_change_no_text_and_are_told() {
    let settings = Settings { max_tokens: 40, ignore_end: true, ..Settings::default() };
    let write = Command::Submit { sequences: vec![text(1, REPEATS), text(2, REPEATS)], settings };
    let draft = |drafting: Drafting| Command::Drafting { drafting };
    let plain = serve(bundled(2), vec![write.clone()], |_, sender| *sender = None);
    assert_eq!((facts(&plain).most_guesses, last_tick(&plain).guesses.checks), (7, 0));
    assert!(!trace::write(&plain).contains("guess\""), "nobody guessed");
    let commands = vec![draft(lookup(8)), draft(lookup(3)), write];
    let guessed = serve(bundled(2), commands, |_, sender| *sender = None);
    let refused = |s: &Stamped| matches!(&s.update, Update::Failed(failure) if failure.message.contains("at most 7"));
    assert_eq!(guessed.iter().filter(|s| refused(s)).count(), 1, "there is room for so many");
    let told: Vec<_> = guessed.iter().filter(|s| matches!(s.update, Update::Drafting { .. })).collect();
    assert_eq!(told[0].update, Update::Drafting { drafting: lookup(3), by: vec![Guesser::Lookup] });
    assert_eq!(told.len(), 1);
    for name in [1, 2] {
        assert_eq!(written(&guessed, name), written(&plain, name));
    }
    let counts = last_tick(&guessed).guesses;
    assert!(counts.tokens_a_pass().unwrap() > 1.0 && counts.accepted > 0, "{counts:?}");
    assert!(last_tick(&guessed).number < last_tick(&plain).number, "passes were saved");
    let guesses = tokens(&guessed).filter_map(|token| Some((token.token, token.guess.as_ref()?)));
    let right = guesses.filter(|(token, guess)| guess.accepted && guess.token == *token && guess.by == Guesser::Lookup);
    assert_eq!(right.count() as u64, counts.accepted);
    let saved = trace::write(&guessed);
    assert_eq!(trace::read(&saved).unwrap(), guessed, "what was saved is what was told");
}

#[test]
fn who_cannot_guess_says_so() {
    let mut start = bundled(2);
    start.options.order = Some(isobath::runtime::tick::Order::Mixed);
    let commands = [Drafting::AUTO, lookup(1)].map(|drafting| Command::Drafting { drafting });
    let updates = serve(start, commands.into(), |_, sender| *sender = None);
    assert_eq!((facts(&updates).most_guesses, facts(&updates).order.as_str()), (0, "mixed"));
    let [.., auto, lookup] = &updates[..] else { panic!("{updates:?}") };
    assert_eq!(auto.update, Update::Drafting { drafting: Drafting::AUTO, by: vec![] });
    assert!(matches!(&lookup.update, Update::Failed(failure) if failure.kind == FailureKind::Refused), "{lookup:?}");
}

#[test]
fn guesses_race_none_over_the_same_text() {
    let settings = Settings { max_tokens: 16, temperature: 0.5, seed: 3, ..Settings::default() };
    let drafting = Drafting { draft: Draft::Rounds(Some(1)), guesses: Some(3) };
    let contest = Contest::Guesses { drafting, then: Drafting::AUTO };
    let (mut race, begun) = Race::begin(0.0, vec![text(1, "Once"), text(2, "The")], &settings, contest);
    let mut shown = begun.updates;
    let mut heats = Vec::new();
    let told = serve(bundled(2), begun.commands, |update, sender| {
        let Some(open) = sender else { return };
        let turn = race.apply(&Stamped { at: 0.0, update: update.clone() });
        let ask = |command| open.unbounded_send(command).unwrap();
        turn.commands.into_iter().for_each(ask);
        for stamped in &turn.updates {
            if let Update::HeatEnds(heat) = stamped.update {
                heats.push(heat);
                if heats.len() == 4 {
                    race.stop();
                    ask(Command::CancelAll);
                }
            }
        }
        shown.extend(turn.updates);
        if race.is_over() {
            *sender = None;
        }
    });
    use Contestant::{Guessing, Plain};
    let who: Vec<_> = heats.iter().map(|heat| (heat.contestant, heat.counts)).collect();
    assert_eq!(who, [(Guessing, false), (Plain, false), (Plain, true), (Guessing, true)]);
    assert!(heats[3].ceiling > 1.0 && heats[2].ceiling == 1.0, "{heats:?}");
    // Of each heat, all that was written.
    let heats = shown.split(|stamped| matches!(stamped.update, Update::HeatBegins { .. }));
    let texts: Vec<Vec<u32>> = heats.map(|heat| sorted(tokens(heat))).collect();
    assert_eq!((&texts[1], &texts[3]), (&texts[2], &texts[4]), "pairs write the same");
    let Some(Update::Drafting { drafting, .. }) = told.last().map(|s| &s.update) else { panic!("{told:?}") };
    assert_eq!(*drafting, Drafting::AUTO, "what was set comes back");
}

/// Tokens of several sequences, in an order that does not depend on who was first.
fn sorted<'t>(tokens: impl Iterator<Item = &'t TokenEvent>) -> Vec<u32> {
    let mut all: Vec<_> = tokens.map(|token| (token.position, token.token)).collect();
    all.sort_unstable();
    all.into_iter().map(|(_, token)| token).collect()
}

#[test]
fn thresholds_move_depth_and_cancelling_ends_everything() {
    let settings = Settings { max_tokens: 400, ignore_end: true, ..Settings::default() };
    let commands = vec![
        Command::Thresholds { thresholds: vec![1e9; 3] },
        Command::Submit { sequences: vec![text(1, "Once"), text(2, "The")], settings },
    ];
    let updates = serve(bundled(2), commands, |update, sender| {
        if matches!(update, Update::Tick(tick) if tick.burst_tokens >= 8)
            && let Some(sender) = sender.take()
        {
            sender.unbounded_send(Command::CancelAll).unwrap();
        }
    });
    for name in [1, 2] {
        assert_eq!(written(&updates, name).2, Some(FinishReason::Cancelled));
    }
    for stamped in &updates {
        if let Update::Sequence { event: Event::Token(token), .. } = &stamped.update {
            assert_eq!(token.depth, 1, "nothing reaches such a threshold");
        }
    }
}

#[test]
fn loading_can_be_broken_off_and_damage_is_told() {
    let updates = serve(bundled(1), vec![Command::CancelAll], |_, sender| *sender = None);
    assert_eq!(updates.last().unwrap().update, Update::LoadingCancelled);
    let files = Files::gguf("x.gguf", vec![1u8, 2, 3]);
    let updates = serve(Start::new("x", files), vec![], |_, sender| *sender = None);
    let Update::Failed(failure) = &updates.last().unwrap().update else { panic!("{updates:?}") };
    assert_eq!(failure.kind, FailureKind::Load);
    assert!(failure.message.contains("x.gguf"), "{}", failure.message);
}

#[test]
fn chat_templates_are_given_clock_and_special_tokens() {
    let mut start = bundled(1);
    let Files::Folder(files) = &mut start.files else { panic!("a folder") };
    files.chat_template = Some("{{ raise_exception(image_token ~ strftime_now('%d %b %Y %H:%M')) }}".into());
    files.tokenizer_config = Some(r#"{"image_token": "<image>"}"#.into());
    start.clock = Some(|| LocalTime { unix_seconds: 1_795_478_400, offset_seconds: 3600, microseconds: 0 });
    let turns = vec![Message::new(Role::User, "Hi")];
    let sequences = vec![Task { name: 1, prompt: Prompt::Chat(turns) }];
    let submit = Command::Submit { sequences, settings: Settings::default() };
    let updates = serve(start, vec![submit], |update, sender| {
        if matches!(update, Update::Failed(_)) {
            *sender = None;
        }
    });
    let failures = updates.iter().filter_map(|stamped| match &stamped.update {
        Update::Failed(failure) => Some(failure.message.as_str()),
        _ => None,
    });
    let failure = failures.collect::<String>();
    assert!(failure.contains("<image>24 Nov 2026 01:00"), "{failure}");
}

#[test]
fn a_text_that_is_no_trace_is_refused_with_its_line() {
    assert_eq!(trace::read("{}").unwrap_err().line, 1);
    let loading = r#"{"at":2.0,"update":"loading","done":0,"total":0}"#;
    let earlier = r#"{"at":1.0,"update":"race_ends"}"#;
    assert_eq!(trace::read(&format!("{loading}\n{earlier}\n")).unwrap_err().line, 2);
    assert!(trace::read(loading).unwrap_err().to_string().contains("which model"));
}
