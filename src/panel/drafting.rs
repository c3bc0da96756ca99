//! Who guesses, and how many guesses are checked: what the person sets.

use egui::{ComboBox, RichText, Ui};

use super::controls::labelled;
use super::view::View;
use super::{Touch, look};
use crate::service::{Command, Draft, Drafting, ModelFacts};

/// Asks for what the person kept, as far as a model can follow it; nothing where it cannot guess.
pub(super) fn fitting(kept: &Drafting, facts: &ModelFacts) -> Option<Drafting> {
    let draft = match &kept.draft {
        Draft::Off => return None,
        Draft::Kit { .. } => Draft::Auto,
        Draft::Rounds(_) if facts.rounds < 2 => Draft::Auto,
        Draft::Rounds(rounds) => Draft::Rounds(rounds.map(|rounds| rounds.clamp(1, facts.rounds - 1))),
        other => other.clone(),
    };
    let guesses = kept.guesses.map(|guesses| guesses.clamp(1, facts.most_guesses.max(1)));
    (facts.most_guesses > 0).then_some(Drafting { draft, guesses })
}

/// The first rounds that guess where nothing is said of them.
fn quarter(rounds: u32) -> u32 {
    (rounds / 4).max(1)
}

/// The control; what holds is what the engine has told.
pub(super) fn draw(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let Some(facts) = &view.facts else { return };
    look::title(ui, "Guesses", "the text stays the same");
    if facts.most_guesses == 0 {
        let why = match facts.order.as_str() {
            "mixed" => "Nobody guesses: lanes of different rounds share a pass. With one lane guesses can be had.",
            _ => "Nobody guesses: no room was made for it.",
        };
        ui.label(RichText::new(why).size(12.0).weak());
        return;
    }
    let mut asked = view.drafting.clone();
    ui.add_enabled_ui(!view.race.running, |ui| choose(ui, facts, &mut asked));
    if view.drafting.draft != Draft::Off && view.guessers.is_empty() && !view.race.running {
        ui.label(RichText::new("Nobody can guess here.").size(12.0).weak());
    }
    if asked != view.drafting {
        touch.command(Command::Drafting { drafting: asked });
    }
}

fn choose(ui: &mut Ui, facts: &ModelFacts, asked: &mut Drafting) {
    let rounds = match asked.draft {
        Draft::Rounds(rounds) => rounds,
        _ => None,
    };
    let name = |draft: &Draft| match draft {
        Draft::Off => "nobody",
        Draft::Auto => "whoever can",
        Draft::Lookup => "lookup",
        Draft::Rounds(_) => "first rounds",
        Draft::Kit { .. } => "a kit",
    };
    labelled(ui, "Who", |ui| {
        let list = ComboBox::from_id_salt("draft").width(118.0).selected_text(name(&asked.draft));
        let all = [
            (Draft::Off, "Every pass writes one token of a sequence"),
            (Draft::Auto, "As many guesses as pay, none where none do"),
            (Draft::Lookup, "What followed the last words where they stood before"),
            (Draft::Rounds(rounds), "The model's own first rounds, read by its own head"),
        ];
        let can = |draft: &Draft| facts.rounds > 1 || !matches!(draft, Draft::Rounds(_));
        list.show_ui(ui, |ui| {
            for (draft, says) in all.into_iter().filter(|(draft, _)| can(draft)) {
                let label = name(&draft);
                ui.selectable_value(&mut asked.draft, draft, label).on_hover_text(says);
            }
        })
        .response
    })
    .on_hover_text(
        "Who guesses what follows; the model checks several guesses in one pass, and keeps those that are its own",
    );
    if asked.draft == Draft::Off {
        return;
    }
    labelled(ui, "How many", |ui| {
        let number = |guesses: Option<u32>| guesses.map_or("as many as pay".to_owned(), |guesses| guesses.to_string());
        let list = ComboBox::from_id_salt("guesses").width(118.0).selected_text(number(asked.guesses));
        list.show_ui(ui, |ui| {
            for guesses in std::iter::once(None).chain((1..=facts.most_guesses).map(Some)) {
                ui.selectable_value(&mut asked.guesses, guesses, number(guesses));
            }
        })
        .response
    })
    .on_hover_text("Guesses that are checked behind each token");
    if let Draft::Rounds(rounds) = &mut asked.draft {
        let mut chosen = rounds.unwrap_or(quarter(facts.rounds));
        labelled(ui, "Their rounds", |ui| {
            let list = ComboBox::from_id_salt("rounds of guesses").width(118.0).selected_text(chosen.to_string());
            list.show_ui(ui, |ui| {
                for rounds in 1..facts.rounds {
                    ui.selectable_value(&mut chosen, rounds, rounds.to_string());
                }
            })
            .response
        })
        .on_hover_text("Rounds that a guess runs");
        if rounds.is_some() || chosen != quarter(facts.rounds) {
            *rounds = Some(chosen);
        }
    }
}
