//! One token: how deep it went, and why.

use egui::{Grid, RichText, Sense, Ui, vec2};

use super::view::View;
use super::{guesses, look};
use crate::engine::event::TokenEvent;

/// A token's text with everything visible.
pub fn visible(text: &str) -> String {
    let text = text.replace('\n', "⏎");
    if text.is_empty() { "(part of a character)".into() } else { format!("“{text}”") }
}

fn percent(log_probability: f32) -> String {
    format!("{:.1} %", 100.0 * f64::from(log_probability).exp())
}

/// All that is known of a token.
pub fn card(ui: &mut Ui, view: &View, token: &TokenEvent) {
    let rounds = view.rounds();
    ui.set_max_width(280.0);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
        ui.painter().rect_filled(rect, 3.0, look::of_depth(token.depth, rounds));
        ui.label(RichText::new(visible(&token.text)).size(16.0).strong());
    });
    ui.label(format!("depth {} of {rounds}", token.depth));
    let probability = percent(token.log_probability);
    ui.label(RichText::new(format!("probability {probability}, position {}", token.position)).weak());
    if let Some(guess) = &token.guess {
        ui.label(RichText::new(guesses::say(guess)).weak());
    }
    if !token.alternatives.is_empty() {
        ui.add_space(4.0);
        Grid::new("alternatives").num_columns(2).spacing([12.0, 3.0]).show(ui, |ui| {
            for other in &token.alternatives {
                let text = RichText::new(visible(&other.text));
                ui.label(if other.token == token.token { text.strong() } else { text.weak() });
                ui.label(RichText::new(percent(other.log_probability)).monospace());
                ui.end_row();
            }
        });
    }
    if !token.scores.is_empty() {
        ui.add_space(4.0);
        Grid::new("scores").num_columns(3).spacing([12.0, 3.0]).show(ui, |ui| {
            for (round, score) in (1u32..).zip(&token.scores) {
                ui.label(RichText::new(format!("round {round}")).weak());
                ui.label(RichText::new(format!("{score:+.2}")).monospace());
                let ran = round <= token.depth;
                ui.label(RichText::new(if ran { "ran" } else { "left before it" }).weak());
                ui.end_row();
            }
        });
    }
}
