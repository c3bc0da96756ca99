//! How fast, against full depth and against what arithmetic allows.

use egui::{Align2, Color32, FontId, Pos2, Rect, RichText, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::{called, look, view::View};
use crate::service::Contestant;

/// The rate, and beside a race who is how fast.
pub fn draw(ui: &mut Ui, view: &View) {
    look::title(ui, "Throughput", beside(view));
    let rates = view.race.rates();
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 28.0;
        let ceiling = view.race.ceiling().or(view.tick.as_ref().filter(|t| t.mean_depth > 0.0).map(|t| t.ceiling));
        let realised = rates.map(|(first, second)| first / second);
        figure(ui, &format!("{:.0}", view.rates.now), "tokens/s");
        if let Some(realised) = realised {
            let over = if view.race.guesses { "without guesses" } else { "full depth" };
            figure(ui, &format!("{realised:.2}×"), over);
        }
        if let Some(ceiling) = ceiling {
            let says = match view.race.guesses && view.race.ceiling().is_some() {
                true => {
                    "Tokens that a pass wrote: no speed-up over none is greater, for no pass with guesses is cheaper"
                }
                false => {
                    "The speed-up over full depth that no engine can exceed at this mean depth, counted in operations"
                }
            };
            figure(ui, &format!("{ceiling:.2}×"), "ceiling").on_hover_text(says);
        }
        if let (Some(realised), Some(ceiling)) = (realised, ceiling) {
            figure(ui, &format!("{:.0} %", 100.0 * realised / ceiling), "efficiency")
                .on_hover_text("What was gained over the other, as a part of the ceiling");
        }
    });
    match rates {
        Some(rates) => bars(ui, view.race.contestants(), rates, view.race.ceiling().unwrap_or(1.0)),
        None => curve(ui, view),
    }
}

fn beside(view: &View) -> &'static str {
    match (view.race.running, view.race.rates().is_some(), view.rounds() > 1) {
        (true, true, _) => "a race, in turns on the same device",
        (true, false, _) => "a race; the first two heats warm up",
        (false, false, true) => "Race measures full depth beside it",
        _ => "",
    }
}

fn figure(ui: &mut Ui, number: &str, unit: &str) -> egui::Response {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.label(RichText::new(number).size(26.0));
        ui.label(RichText::new(unit).size(12.0).weak());
    })
    .response
}

/// The one whose gain is asked for above the other, with a mark where the ceiling is.
fn bars(ui: &mut Ui, names: [Contestant; 2], (first, second): (f64, f64), ceiling: f64) {
    let most = (second * ceiling).max(first).max(1e-9) * 1.02;
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), 62.0), Sense::hover());
    let field = Rect::from_min_max(area.min + vec2(84.0, 0.0), area.max - vec2(0.0, 14.0));
    let text = ui.visuals().text_color();
    let weak = ui.visuals().weak_text_color();
    let teal = look::accent(ui.visuals());
    let names = names.map(called);
    for (row, (name, rate, colour)) in [(names[0], first, teal), (names[1], second, weak)].iter().enumerate() {
        let top = field.top() + row as f32 * 24.0;
        let length = field.width() * (rate / most) as f32;
        let bar = Rect::from_min_size(pos2(field.left(), top), vec2(length, 18.0));
        ui.painter().rect_filled(bar, 3.0, *colour);
        let middle = bar.center().y;
        ui.painter().text(pos2(area.left(), middle), Align2::LEFT_CENTER, name, FontId::proportional(12.5), text);
        let inside = pos2(bar.right() - 6.0, middle);
        ui.painter().text(
            inside,
            Align2::RIGHT_CENTER,
            format!("{rate:.0}"),
            FontId::proportional(12.5),
            Color32::WHITE,
        );
    }
    let x = field.left() + field.width() * (second * ceiling / most) as f32;
    let stroke = Stroke::new(2.0, look::of_depth(3, 3).lerp_to_gamma(text, 0.25));
    ui.painter().line_segment([pos2(x, field.top() - 2.0), pos2(x, field.bottom() - 2.0)], stroke);
    let say = format!("ceiling {:.0}", second * ceiling);
    ui.painter().text(pos2(x, area.bottom()), Align2::RIGHT_BOTTOM, say, FontId::proportional(11.5), weak);
}

/// Tokens per second over time.
fn curve(ui: &mut Ui, view: &View) {
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), 56.0), Sense::hover());
    let line = look::line(ui.visuals());
    ui.painter().line_segment([area.left_bottom(), area.right_bottom()], Stroke::new(1.0, line));
    let curve = &view.rates.curve;
    let most = curve.iter().map(|(_, rate)| *rate).fold(0.0, f64::max).max(1e-9);
    let (Some((first, _)), Some((last, _))) = (curve.front(), curve.back()) else { return };
    let span = (last - first).max(10.0);
    let at = |(time, rate): &(f64, f64)| -> Pos2 {
        let x = area.right() - area.width() * ((last - time) / span) as f32;
        pos2(x, area.bottom() - (area.height() - 4.0) * (rate / most) as f32)
    };
    let points: Vec<Pos2> = curve.iter().map(at).collect();
    let accent = look::accent(ui.visuals());
    for pair in points.windows(2) {
        let below = |point: Pos2| pos2(point.x, area.bottom());
        let quad = vec![pair[0], pair[1], below(pair[1]), below(pair[0])];
        ui.painter().add(Shape::convex_polygon(quad, accent.gamma_multiply(0.25), Stroke::NONE));
    }
    ui.painter().line(points, Stroke::new(2.0, accent));
}
