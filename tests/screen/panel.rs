//! The panel as a person meets it, from a saved run: pictures, and what keys and clicks ask for.
//!
//! `UPDATE_SNAPSHOTS=true cargo test --features panel --test screen panel::` renews the pictures.

use egui::accesskit::Role;
use egui::{Key, Modifiers, Theme, Vec2, vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, SnapshotOptions};
use isobath::depth::policy::Rule;
use isobath::engine::event::{Event, Guesser};
use isobath::panel::{Action, Choice, Controls, Panel, install};
use isobath::service::{Command, Draft, Drafting, GateFacts, Progress, Prompt, Stamped, Update, trace};

const RUN: &str = include_str!("../traces/stories.jsonl");
/// Where the first round guesses.
const GUESSED: &str = include_str!("../traces/guesses.jsonl");

/// A panel and what it asked for.
struct Shown {
    panel: Panel,
    asked: Vec<Action>,
    installed: bool,
}

fn harness(panel: Panel, size: Vec2, theme: Theme) -> Harness<'static, Shown> {
    let shown = Shown { panel, asked: Vec::new(), installed: false };
    Harness::builder().with_size(size).with_theme(theme).wgpu().build_ui_state(
        |ui, shown| {
            if !std::mem::replace(&mut shown.installed, true) {
                install(ui.ctx());
                ui.ctx().request_discard("the look was set");
            }
            let asked = shown.panel.ui(ui);
            shown.asked.extend(asked);
        },
        shown,
    )
}

/// A panel that has seen the run up to an update.
fn live(until: impl Fn(&Update) -> bool) -> Panel {
    seen(RUN, until)
}

fn seen(run: &str, until: impl Fn(&Update) -> bool) -> Panel {
    let mut panel = Panel::new(Controls::default());
    let run = trace::read(run).unwrap();
    let end = run.iter().position(|stamped| until(&stamped.update)).unwrap();
    run[..=end].iter().for_each(|stamped| panel.apply(stamped));
    panel
}

/// Ready, and nothing written yet.
fn ready() -> Panel {
    live(|update| matches!(update, Update::Ready(_)))
}

/// The 40th tick of ten sequences.
fn writing() -> Panel {
    live(|update| matches!(update, Update::Tick(tick) if tick.burst_tokens > 220))
}

/// After a race.
fn raced() -> Panel {
    live(|update| *update == Update::RaceEnds)
}

/// The guess at the newest token of the first sequence was wrong.
fn refused(update: &Update) -> bool {
    matches!(update, Update::Sequence { sequence: 1, event: Event::Token(token), .. }
        if token.position > 40 && token.guess.as_ref().is_some_and(|guess| !guess.accepted && guess.text.trim().len() > 1))
}

fn picture(name: &str, panel: Panel, size: Vec2, theme: Theme) {
    let mut harness = harness(panel, size, theme);
    harness.run_ok();
    // Other drivers round edges of letters differently.
    let options = SnapshotOptions::new().threshold(2.0).max_failed_pixels(200usize);
    harness.snapshot_options(name, &options);
}

#[test]
fn wide_dark() {
    picture("wide_dark", writing(), vec2(1440.0, 900.0), Theme::Dark);
}

#[test]
fn wide_light_after_a_race() {
    picture("wide_light", raced(), vec2(1440.0, 900.0), Theme::Light);
}

#[test]
fn guesses_dark() {
    picture("guesses_dark", seen(GUESSED, refused), vec2(1440.0, 900.0), Theme::Dark);
}

#[test]
fn guesses_light_after_a_race() {
    let over = std::cell::Cell::new(false);
    let told = |update: &Update| {
        over.set(over.get() || *update == Update::RaceEnds);
        // What holds behind the race.
        over.get() && matches!(update, Update::Drafting { by, .. } if !by.is_empty())
    };
    picture("guesses_light", seen(GUESSED, told), vec2(1440.0, 900.0), Theme::Light);
}

#[test]
fn phone_dark() {
    picture("phone_dark", writing(), vec2(360.0, 760.0), Theme::Dark);
}

#[test]
fn phone_light() {
    let mut panel = ready();
    panel.controls.open = false;
    picture("phone_light", panel, vec2(360.0, 760.0), Theme::Light);
}

#[test]
fn every_size_from_phone_to_4k_is_drawn() {
    for size in [vec2(320.0, 480.0), vec2(360.0, 760.0), vec2(768.0, 1024.0), vec2(1024.0, 700.0), vec2(3840.0, 2160.0)]
    {
        for panel in [ready(), writing(), raced()] {
            let mut harness = harness(panel, size, Theme::Light);
            harness.run_ok();
            for label in ["Settings", "Continue"] {
                let rect = harness.get_by_label(label).rect();
                assert!(rect.right() <= size.x && rect.bottom() <= size.y, "{label} is outside at {size}: {rect}");
            }
        }
    }
}

#[test]
fn the_models_settings_hold_until_the_person_moves_one() {
    let mut panel = Panel::new(Controls::default());
    let run = trace::read(RUN).unwrap();
    let mut ready = run.into_iter().find(|stamped| matches!(stamped.update, Update::Ready(_))).unwrap();
    let Update::Ready(facts) = &mut ready.update else { panic!("{ready:?}") };
    facts.suggestion.temperature = Some(0.6);
    facts.suggestion.top_k = Some(50);
    facts.suggested_by = "generation_config.json".into();
    facts.warnings = vec!["not followed: num_beams 4".into()];
    panel.apply(&ready);
    let settings = &panel.controls.settings;
    assert_eq!((settings.temperature, settings.top_k, settings.min_p), (0.6, 50, 0.05));
    panel.choices = &[Choice::Folder];
    let mut harness = harness(panel, vec2(1280.0, 1400.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_label("generation_config.json says: temperature 0.6, top-k 50");
    harness.get_by_label("not followed: num_beams 4");
    assert!(harness.query_by_label("As the model says").is_none());
    let at = |node: &egui_kittest::Node<'_>| node.accesskit_node().numeric_value().unwrap_or_default();
    let slider = harness.get_all_by_role(Role::Slider).find(|node| (at(node) - 0.6).abs() < 1e-6);
    slider.unwrap().focus();
    harness.run_ok();
    harness.key_press(Key::ArrowRight);
    harness.run_ok();
    assert!(harness.state().panel.controls.settings.temperature > 0.6);
    // Another loading leaves the person's own, and takes the rest from the model.
    harness.state_mut().panel.controls.settings.top_k = 7;
    harness.state_mut().panel.apply(&ready);
    let settings = harness.state().panel.controls.settings.clone();
    assert!(settings.temperature > 0.6 && settings.top_k == 50, "{settings:?}");
    harness.run_ok();
    harness.get_by_label("As the model says").click();
    harness.run_ok();
    assert_eq!(harness.state().panel.controls.settings.temperature, 0.6);
}

#[test]
fn a_prompt_that_is_typed_and_sent_becomes_a_command() {
    let mut panel = ready();
    panel.controls.copies = 3;
    let mut harness = harness(panel, vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_role(Role::MultilineTextInput).focus();
    harness.run_ok();
    harness.get_by_role(Role::MultilineTextInput).type_text("The sea");
    harness.run_ok();
    assert_eq!(harness.state().asked, []);
    harness.key_press(Key::Enter);
    harness.run_ok();
    let [Action::Command(Command::Submit { sequences, settings })] = &harness.state().asked[..] else {
        panic!("{:?}", harness.state().asked)
    };
    let mut names: Vec<u64> = sequences.iter().map(|task| task.name).collect();
    names.dedup();
    assert_eq!(names.len(), 3);
    assert!(sequences.iter().all(|task| task.prompt == Prompt::Text("The sea".into())), "{sequences:?}");
    assert_eq!(settings, &Controls::default().settings);
}

#[test]
fn an_empty_prompt_is_not_sent() {
    let mut harness = harness(ready(), vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_role(Role::MultilineTextInput).focus();
    harness.run_ok();
    harness.key_press(Key::Enter);
    harness.get_by_label("Continue").click();
    harness.run_ok();
    assert_eq!(harness.state().asked, []);
}

#[test]
fn buttons_ask_for_race_pause_tick_and_stop() {
    let mut panel = ready();
    panel.set_prompt("Once");
    let mut harness = harness(panel, vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_label("Race").click();
    harness.run_ok();
    harness.get_by_label("Pause").click();
    harness.run_ok();
    let paused = Stamped { at: 1.0, update: Update::Paused { paused: true } };
    harness.state_mut().panel.apply(&paused);
    harness.run_ok();
    harness.get_by_label("Tick").click();
    harness.run_ok();
    harness.key_press(Key::F10);
    harness.run_ok();
    let asked = &harness.state().asked;
    assert!(
        matches!(&asked[0], Action::Command(Command::Submit { sequences, settings }) if sequences.len() == 32
            && settings.ignore_end && settings.depth.is_none()),
        "{asked:?}"
    );
    let rest = [Command::Pause { paused: true }, Command::Tick, Command::Tick].map(Action::Command);
    assert_eq!(asked[1..], rest);
    let mut busy = self::harness(writing(), vec2(1280.0, 800.0), Theme::Dark);
    busy.run_ok();
    busy.key_press_modifiers(Modifiers::NONE, Key::Escape);
    busy.run_ok();
    assert_eq!(busy.state().asked, [Action::Command(Command::CancelAll)]);
}

#[test]
fn a_gate_is_chosen_and_its_thresholds_have_its_own_range() {
    let mut panel = Panel::new(Controls::default());
    let run = trace::read(RUN).unwrap();
    let mut ready = run.into_iter().find(|stamped| matches!(stamped.update, Update::Ready(_))).unwrap();
    let Update::Ready(facts) = &mut ready.update else { panic!("{ready:?}") };
    let trained = GateFacts {
        name: "trained".into(),
        says: "as it came".into(),
        threshold: 0.0,
        range: (-12.0, 12.0),
        rule: Rule::AtLeast,
    };
    let cosine =
        GateFacts { name: "cosine".into(), threshold: 0.99, range: (0.6, 1.0), rule: Rule::Below, ..trained.clone() };
    (facts.gate, facts.gates) = (Some("trained".into()), vec![trained, cosine]);
    panel.apply(&ready);
    let mut harness = harness(panel, vec2(1400.0, 1300.0), Theme::Dark);
    harness.run_steps(3);
    harness.get_by_label("is");
    harness.get_by_role_and_label(Role::ComboBox, "Gate").click();
    harness.run_steps(3);
    harness.get_by_label("cosine").click();
    harness.run_steps(3);
    assert_eq!(harness.state().asked, [Action::Command(Command::Gate { gate: "cosine".into() })]);
    let told = Stamped { at: 1.0, update: Update::Gate { gate: Some("cosine".into()) } };
    harness.state_mut().panel.apply(&told);
    harness.run_steps(3);
    harness.get_by_label("is below");
    assert!(harness.query_by_label("is").is_none(), "the trained gate's rule is gone");
    let value = |node: &egui_kittest::Node<'_>| node.accesskit_node().numeric_value().unwrap_or_default();
    let sliders = harness.get_all_by_role(Role::Slider).filter(|node| (value(node) - 0.99).abs() < 1e-6);
    assert_eq!(sliders.count(), 3);
}

#[test]
fn who_guesses_is_chosen_and_what_was_told_is_kept() {
    let mut panel = seen(GUESSED, |update| matches!(update, Update::Ready(_)));
    let asked = panel.asked();
    assert_eq!(asked, [Action::Command(Command::Drafting { drafting: Drafting::AUTO })], "before any sequence");
    let tell = |drafting: &Drafting, by: &[Guesser]| {
        let update = Update::Drafting { drafting: drafting.clone(), by: by.to_vec() };
        Stamped { at: 1.0, update }
    };
    panel.apply(&tell(&Drafting::AUTO, &[Guesser::Lookup]));
    panel.set_prompt("Once");
    let mut harness = harness(panel, vec2(1400.0, 1300.0), Theme::Dark);
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::ComboBox, "Who").click();
    harness.run_steps(3);
    harness.get_by_label("first rounds").click();
    harness.run_steps(3);
    let rounds = Drafting { draft: Draft::Rounds(None), guesses: None };
    assert_eq!(harness.state().asked, [Action::Command(Command::Drafting { drafting: rounds.clone() })]);
    assert_eq!(harness.state().panel.controls.drafting, Drafting::AUTO, "nobody has said yet that it can be had");
    harness.state_mut().panel.apply(&tell(&rounds, &[Guesser::Rounds]));
    assert_eq!(harness.state().panel.controls.drafting, rounds);
    harness.run_steps(3);
    for (list, choice) in [("How many", "3"), ("Their rounds", "2")] {
        harness.get_by_role_and_label(Role::ComboBox, list).click();
        harness.run_steps(3);
        harness.get_all_by_label(choice).last().unwrap().click();
        harness.run_steps(3);
    }
    let asked = |drafting| Action::Command(Command::Drafting { drafting });
    let wanted =
        [Drafting { guesses: Some(3), ..rounds.clone() }, Drafting { draft: Draft::Rounds(Some(2)), guesses: None }];
    assert_eq!(harness.state().asked[1..], wanted.map(asked));
    // A race sets it for each heat, and the person's stays.
    harness.get_by_label("Race guesses").click();
    harness.run_steps(3);
    assert_eq!(harness.state().asked[3], asked(rounds.clone()));
    assert!(
        matches!(&harness.state().asked[4], Action::Command(Command::Submit { settings, .. }) if settings.ignore_end)
    );
    harness.state_mut().panel.apply(&tell(&Drafting::OFF, &[]));
    assert_eq!(harness.state().panel.controls.drafting, rounds);
}

#[test]
fn where_nobody_can_guess_the_panel_says_so() {
    let run = GUESSED.replace("\"most_guesses\":7", "\"most_guesses\":0").replace("\"waves\"", "\"mixed\"");
    let mut panel = seen(&run, |update| matches!(update, Update::Ready(_)));
    assert_eq!(panel.asked(), []);
    let mut harness = harness(panel, vec2(1400.0, 1300.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_label_contains("lanes of different rounds share a pass");
    assert!(harness.query_by_label("Race guesses").is_none());
}

#[test]
fn a_guess_is_told_of_its_token_and_in_the_header() {
    let mut harness = harness(seen(GUESSED, refused), vec2(1440.0, 900.0), Theme::Dark);
    harness.run_ok();
    let header = harness.get_by_label_contains("tokens a pass").accesskit_node().value().unwrap_or_default();
    let pass: f64 = header.split(' ').next().unwrap().parse().unwrap();
    assert!(pass > 1.0 && header.contains("% of guesses right"), "{header}");
    // From the newest token back: the first arrow chooses it.
    harness.get_all_by_role(Role::Paragraph).next().unwrap().focus();
    harness.run_steps(3);
    harness.key_press(Key::ArrowLeft);
    harness.run_steps(3);
    harness.get_by_label_contains("guessed by the first rounds");
    harness.get_by_label_contains("refused");
}

#[test]
fn the_rule_of_the_gate_and_the_ways_to_a_model_are_asked_for() {
    let mut panel = ready();
    panel.choices = &[Choice::Folder, Choice::Gguf];
    let mut harness = harness(panel, vec2(1400.0, 1300.0), Theme::Dark);
    harness.run_steps(3);
    for button in ["rises by", "Choose a folder", "Choose a .gguf"] {
        harness.get_by_label(button).click();
        harness.run_steps(3);
    }
    let wanted = [
        Action::Command(Command::Rule { rule: Rule::Rising }),
        Action::Choose(Choice::Folder),
        Action::Choose(Choice::Gguf),
    ];
    assert_eq!(harness.state().asked, wanted);
}

#[test]
fn a_token_under_the_pointer_tells_its_depth() {
    let mut harness = harness(raced(), vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    let cards = |harness: &Harness<'_, Shown>| harness.query_all_by_label_contains("probability").count();
    assert_eq!(cards(&harness), 0);
    let text = harness.get_all_by_role(Role::Paragraph).next().unwrap().rect();
    harness.hover_at(text.left_top() + vec2(165.0, 14.0));
    harness.run_steps(10);
    assert_eq!(cards(&harness), 1, "the pointer brings a card");
    harness.get_by_label_contains("depth 3 of 3");
}

#[test]
fn a_token_under_the_pointer_tells_what_might_have_stood_there() {
    let run = RUN.replace(
        "\"log_probability\":",
        "\"alternatives\":[{\"token\":1,\"text\":\" lighthouse\",\"log_probability\":-0.5}],\"log_probability\":",
    );
    let mut panel = ready();
    panel.replay(&run).unwrap();
    panel.show_at(1e9);
    let mut harness = harness(panel, vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    let text = harness.get_all_by_role(Role::Paragraph).next().unwrap().rect();
    harness.hover_at(text.left_top() + vec2(165.0, 14.0));
    harness.run_steps(10);
    harness.get_by_label("“ lighthouse”");
    harness.get_by_label("60.7 %");
}

#[test]
fn a_saved_run_is_played_and_closed() {
    let mut panel = ready();
    panel.replay(RUN).unwrap();
    panel.show_at(1e9);
    let mut harness = harness(panel, vec2(1440.0, 900.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_label("A saved run");
    harness.get_by_label("efficiency");
    harness.get_by_label("Close").click();
    harness.run_ok();
    assert!(harness.query_by_label("A saved run").is_none());
    assert!(harness.query_by_label("efficiency").is_none(), "the live run had no race");
}

#[test]
fn what_loading_waits_for_is_shown() {
    for (progress, words) in [
        (Progress::default(), "opening"),
        (Progress::weights(1_500_000, 3_000_000), "loading 1.50 MB of 3.00 MB"),
        (Progress::kernels(3, 17), "compiling kernels, 3 of 17"),
    ] {
        let mut panel = Panel::new(Controls::default());
        panel.apply(&Stamped { at: 0.0, update: Update::Loading(progress) });
        let harness = harness(panel, vec2(900.0, 600.0), Theme::Dark);
        harness.get_by_label(words);
        harness.get_by_label("Cancel");
    }
}

#[test]
fn a_failure_is_shown_and_can_be_recovered_from() {
    let mut panel = writing();
    panel.fail("the GPU device was lost (test); open the model again, the text so far is kept".into());
    let mut harness = harness(panel, vec2(1280.0, 800.0), Theme::Dark);
    harness.run_ok();
    harness.get_by_label_contains("device was lost");
    harness.get_all_by_label("Load again").next().unwrap().click();
    harness.run_ok();
    assert_eq!(harness.state().asked, [Action::Reload]);
}
