//! Guesses as they are seen: which tokens they saved a pass for, what was guessed in vain, what they bring.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId, Painter, Pos2, Rect, RichText, Stroke, Ui, pos2};

use super::token::visible;
use super::view::{Sequence, View};
use crate::engine::event::{Guess, Guesser, TokenEvent};

/// Who guesses, as people call it.
pub fn called(by: Guesser) -> &'static str {
    match by {
        Guesser::Lookup => "lookup",
        Guesser::Recall => "a given text",
        Guesser::Rounds => "the first rounds",
        Guesser::Exits => "an early exit",
        Guesser::Jump => "a jump",
    }
}

/// What became of a guess.
pub fn say(guess: &Guess) -> String {
    let became = if guess.accepted { "accepted" } else { "refused" };
    format!("guessed by {}: {}, {became}", called(guess.by), visible(&guess.text))
}

/// What stands behind a token. One that was guessed has a line below it.
pub fn block(painter: &Painter, rect: Rect, radius: f32, colour: Color32, token: &TokenEvent) {
    let guessed = token.guess.as_ref().is_some_and(|guess| guess.accepted);
    let (line, gap) = (1.5, 1.5);
    let floor = if guessed { rect.bottom() - line - gap } else { rect.bottom() };
    painter.rect_filled(rect.with_max_y(floor), radius, colour);
    if guessed {
        painter.rect_filled(rect.with_min_y(rect.bottom() - line), 0.0, colour);
    }
}

/// What was guessed in vain in the place of the newest token, struck out behind it where there is room up to `edge`: nothing moves
/// for it.
pub fn refused(ui: &Ui, sequence: &Sequence, newest: Rect, edge: f32) {
    let Some(guess) = sequence.tokens.back().and_then(|token| token.guess.as_ref()) else { return };
    let text = guess.text.trim().replace('\n', "⏎");
    if sequence.end.is_some() || guess.accepted || text.is_empty() {
        return;
    }
    let color = ui.visuals().weak_text_color();
    let strikethrough = Stroke::new(1.0, color);
    let format = TextFormat { font_id: FontId::proportional(11.5), color, strikethrough, ..TextFormat::default() };
    let galley = ui.painter().layout_job(LayoutJob::single_section(text, format));
    let at: Pos2 = pos2(newest.right() + 5.0, newest.center().y - galley.size().y / 2.0);
    if at.x + galley.size().x <= edge {
        ui.painter().galley(at, galley, color);
    }
}

/// What guesses bring, where somebody guesses: `1.84 tokens a pass, 70 % of guesses right`, or the first half of it where there is
/// no room for more.
pub fn line(ui: &mut Ui, view: &View, room: f32) {
    let counts = &view.guesses;
    let Some(tokens) = counts.tokens_a_pass().filter(|_| room > 150.0) else { return };
    let mut line = format!("{tokens:.2} tokens a pass");
    if let Some(right) = counts.right().filter(|_| room > 290.0) {
        line += &format!(", {:.0} % of guesses right", 100.0 * right);
    }
    let by: Vec<&str> = view.guessers.iter().map(|by| called(*by)).collect();
    let who = if by.is_empty() { String::new() } else { format!(", guessed by {}", by.join(" and ")) };
    ui.add_space(6.0);
    ui.label(RichText::new(line).size(12.0).weak()).on_hover_text(format!(
        "{} passes wrote a sequence's tokens. In {} of them guesses were checked{who}: {} guesses, of which {} were right \
         and saved a pass each. The text is the same as without",
        counts.checks, counts.guessed_checks, counts.checked, counts.accepted
    ));
}
