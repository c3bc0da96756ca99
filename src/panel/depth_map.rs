//! How deep tokens go: one sequence token by token, and all of them summed up.

use egui::{Align2, FontId, Mesh, Rect, Sense, Ui, pos2, vec2};

use super::view::{Key, Sequence, View};
use super::{Touch, look, token};

/// The sequence that is shown in full.
fn focused<'v>(view: &'v View, touch: &Touch) -> Option<(Key, &'v Sequence)> {
    let racing = view.race.running.then(|| view.race.contestants()[0]);
    let get = |key: Key| view.sequences.get(&key).map(|sequence| (key, sequence));
    // Without a choice the first of those that came last, as in the text above.
    let latest = match racing {
        Some(_) => view.race.sequences.first(),
        None => view.entries.back().and_then(|entry| entry.sequences.first()),
    };
    [touch.focus, latest.copied()]
        .into_iter()
        .flatten()
        .find_map(|name| get((name, racing)).or_else(|| get((name, None))))
        .or_else(|| view.sequences.iter().next_back().map(|(key, sequence)| (*key, sequence)))
}

/// Tokens by rounds: a column for each token, deeper is lower, the stronger the colour the higher the score.
pub fn map(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let scored = view.facts.as_ref().is_some_and(|facts| facts.scores);
    let beside =
        if scored { "tokens by rounds; the fuller the colour, the higher the score" } else { "tokens by rounds" };
    look::title(ui, "Depth map", beside);
    let rounds = view.rounds();
    let height = (132.0 / rounds as f32).clamp(3.0, 26.0);
    let step = 9.0;
    let columns = (((ui.available_width() - 16.0) / step) as usize).max(1);
    let (area, response) = ui.allocate_exact_size(vec2(ui.available_width(), rounds as f32 * height), Sense::click());
    let field = Rect::from_min_max(area.min + vec2(16.0, 0.0), area.max);
    let weak = ui.visuals().weak_text_color();
    if height >= 11.0 {
        for round in 0..rounds {
            let at = pos2(area.left(), field.top() + (round as f32 + 0.5) * height);
            ui.painter().text(at, Align2::LEFT_CENTER, round + 1, FontId::proportional(11.0), weak);
        }
    }
    let empty = look::surface(ui.visuals());
    let mut mesh = Mesh::default();
    let found = focused(view, touch);
    let tokens = found.map_or(0, |(_, sequence)| sequence.tokens.len());
    let first = tokens.saturating_sub(columns);
    for column in 0..columns {
        let token = found.and_then(|(_, sequence)| sequence.tokens.get(first + column));
        for round in 1..=rounds {
            let corner = pos2(field.left() + column as f32 * step, field.top() + (round - 1) as f32 * height);
            let cell = Rect::from_min_size(corner, vec2(step - 1.5, height - 1.5));
            let colour = match token {
                Some(token) if round <= token.depth => {
                    let score = token.scores.get(round as usize - 1);
                    // A round that nobody asked about was run in any case.
                    let full = score.map_or(1.0, |score| 1.0 / (1.0 + (-score.clamp(-30.0, 30.0)).exp()));
                    empty.lerp_to_gamma(look::of_depth(round, rounds), 0.35 + 0.65 * full)
                }
                _ => empty,
            };
            mesh.add_colored_rect(cell, colour);
        }
    }
    ui.painter().add(mesh);
    let Some((key, sequence)) = found else { return };
    for (_, index) in [touch.hovered, touch.pinned].into_iter().flatten().filter(|(other, _)| *other == key) {
        if let Some(column) = index.checked_sub(first).filter(|column| *column < columns) {
            let left = field.left() + column as f32 * step;
            let marked =
                Rect::from_min_size(pos2(left - 1.0, field.top() - 1.0), vec2(step + 0.5, field.height() + 0.5));
            let stroke = egui::Stroke::new(1.5, ui.visuals().text_color());
            ui.painter().rect_stroke(marked, 2.0, stroke, egui::StrokeKind::Outside);
        }
    }
    let under = response.hover_pos().filter(|at| field.contains(*at));
    let index = under.map(|at| first + ((at.x - field.left()) / step) as usize);
    if let Some((index, token)) = index.and_then(|index| Some((index, sequence.tokens.get(index)?))) {
        touch.hovered = Some((key, index));
        if response.clicked() {
            touch.pinned = touch.hovered;
        }
        response.on_hover_ui_at_pointer(|ui| token::card(ui, view, token));
    }
}

/// All tokens by depth.
pub fn histogram(ui: &mut Ui, view: &View) {
    let (rounds, counts) = (view.rounds(), &view.histogram);
    let beside = match counts.total() {
        0 => String::new(),
        total => format!("{} tokens, mean {:.2} of {rounds}", look::short(total as f64), counts.mean()),
    };
    look::title(ui, "Depths", &beside);
    let height = (160.0 / rounds as f32).clamp(3.0, 20.0);
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), rounds as f32 * height), Sense::hover());
    let most = (1..=rounds).map(|depth| counts.share(depth)).fold(0.0, f64::max).max(1e-9);
    let field = Rect::from_min_max(area.min + vec2(16.0, 0.0), area.max - vec2(52.0, 0.0));
    for depth in 1..=rounds {
        let top = area.top() + (depth - 1) as f32 * height;
        let middle = top + (height - 3.0) / 2.0;
        let share = counts.share(depth);
        let row = Rect::from_min_size(pos2(field.left(), top), vec2(field.width(), height - 3.0_f32.min(height / 3.0)));
        ui.painter().rect_filled(row, 2.0, look::surface(ui.visuals()));
        let bar = Rect::from_min_size(row.min, vec2(row.width() * (share / most) as f32, row.height()));
        ui.painter().rect_filled(bar, 2.0, look::of_depth(depth, rounds));
        if height >= 11.0 {
            let weak = ui.visuals().weak_text_color();
            let font = FontId::proportional(11.5);
            ui.painter().text(pos2(area.left(), middle), Align2::LEFT_CENTER, depth, font.clone(), weak);
            let say = format!("{:.1} %", 100.0 * share);
            ui.painter().text(pos2(area.right(), middle), Align2::RIGHT_CENTER, say, font, ui.visuals().text_color());
        }
    }
}
