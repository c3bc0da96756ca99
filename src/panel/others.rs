//! The texts that are written beside the one that is shown in full: the end of each, on a line of its own.

use egui::{Align2, FontId, Rect, Sense, Ui, pos2, vec2};

use super::view::{Sequence, View};
use super::{Touch, guesses, look};

/// Height of a line.
const LINE: f32 = 20.0;

/// As many as there is room for.
pub fn draw(ui: &mut Ui, view: &View, touch: &mut Touch, names: &[u64], shown: u64) {
    ui.add_space(10.0);
    // What follows an entry stands below the last line.
    let room = ui.clip_rect().bottom() - ui.cursor().top() - 34.0;
    let lines = (room / LINE).floor().max(0.0) as usize;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (place, name) in (1..).zip(names).filter(|(_, name)| **name != shown).take(lines) {
            let Some(sequence) = view.sequences.get(&(*name, None)) else { continue };
            ui.push_id(name, |ui| line(ui, view, touch, (place, *name), sequence));
        }
    });
}

fn line(ui: &mut Ui, view: &View, touch: &mut Touch, (place, name): (usize, u64), sequence: &Sequence) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::click());
    let label = format!("Text {place}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Button, true, &label));
    if response.clicked() {
        touch.focus = Some(name);
        touch.pinned = None;
    }
    let font = FontId::proportional(13.0);
    let weak = ui.visuals().weak_text_color();
    let number = if response.hovered() || response.has_focus() { ui.visuals().text_color() } else { weak };
    ui.painter().text(pos2(rect.left(), rect.center().y), Align2::LEFT_CENTER, place, font.clone(), number);
    let field = Rect::from_min_max(rect.min + vec2(28.0, 0.0), rect.max);
    let painter = ui.painter_at(field);
    // From the newest token back to the edge, so that nothing is laid out that is not seen.
    let mut right = field.right();
    let mut pieces = Vec::new();
    for token in sequence.tokens.iter().rev() {
        let text = token.text.replace('\n', " ");
        let galley = painter.layout_no_wrap(text, font.clone(), look::on_depth(token.depth, view.rounds()));
        right -= galley.size().x;
        pieces.push((galley, token));
        if right < field.left() {
            break;
        }
    }
    // A text that is shorter than the line begins at its left.
    let mut left = right.min(field.left());
    for (galley, token) in pieces.into_iter().rev() {
        let block = Rect::from_min_size(pos2(left, rect.top() + 1.5), vec2(galley.size().x, LINE - 3.0));
        let fade = if sequence.end.is_some() { 0.55 } else { 1.0 };
        let painter = painter.clone();
        let colour = look::of_depth(token.depth, view.rounds()).gamma_multiply(fade);
        guesses::block(&painter, block, 2.0, colour, token);
        let at = pos2(left, block.center().y - galley.size().y / 2.0);
        left += galley.size().x;
        painter.galley(at, galley, weak);
    }
}
