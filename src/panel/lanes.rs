//! Lanes: what the current tick does with each, and what the last ticks did.

use egui::{Align2, Color32, FontId, Mesh, Rect, RichText, Sense, Ui, Vec2, pos2, vec2};

use super::view::View;
use super::{Touch, look};
use crate::service::{Lane, LaneState};

/// Seconds in which a lane's square moves to another bucket, where ticks are slow enough to follow.
const MOVE: f32 = 0.16;
/// Tokens per second and lane from which squares jump.
const FAST: f64 = 3.0;

/// Columns: reading a prompt, then one for each depth.
fn column(lane: &Lane, rounds: u32) -> Option<usize> {
    match lane.state {
        LaneState::Idle => None,
        LaneState::Reading => Some(0),
        LaneState::Writing => Some(lane.depth.clamp(1, rounds) as usize),
    }
}

fn say(place: usize, lane: &Lane) -> String {
    match lane.state {
        LaneState::Idle => format!("lane {}: idle", place + 1),
        LaneState::Reading => format!("lane {}: sequence {}, reading its prompt", place + 1, lane.sequence),
        LaneState::Writing => {
            format!("lane {}: sequence {}, last token at depth {}", place + 1, lane.sequence, lane.depth)
        }
    }
}

/// The squares of all lanes, piled up by the depth of their last token.
pub fn buckets(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let rounds = view.rounds();
    let lanes = view.tick.as_ref().map(|tick| tick.lanes.as_slice()).unwrap_or_default();
    let busy = lanes.iter().filter(|lane| lane.state != LaneState::Idle).count();
    let count = view.facts.as_ref().map_or(0, |facts| facts.lanes as usize);
    let waiting = view.tick.as_ref().map_or(0, |tick| tick.waiting);
    let more = if waiting > 0 { format!(", {waiting} waiting") } else { String::new() };
    look::title(ui, "Buckets", &format!("{busy} of {count} lanes by the depth of their last token{more}"));
    let columns = rounds as usize + 1;
    let gap = if columns > 12 { 3.0 } else { 14.0 };
    let width = (ui.available_width() - gap * (columns - 1) as f32) / columns as f32;
    let side = if count > 96 {
        6.0
    } else if count > 48 {
        9.0
    } else {
        13.0_f32
    }
    .min(width);
    let pitch = side + 3.0;
    let in_row = (((width + 3.0) / pitch).floor() as usize).max(1);
    let rows = count.div_ceil(in_row).clamp(1, 12);
    let (area, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), rows as f32 * pitch + 22.0), Sense::click());
    let floor = area.bottom() - 22.0;
    let painter = ui.painter_at(area.expand(2.0));
    // A frame of the way is as dear as all other frames to an adapter that draws on the processors that compute.
    let slow = view.rates.now < FAST * count.max(1) as f64 && !view.shares_processors();
    let time = if view.paused || slow { MOVE } else { 0.0 };
    let mut piled = vec![0usize; columns];
    let mut marked = None;
    for (place, lane) in lanes.iter().enumerate() {
        let Some(column) = column(lane, rounds) else { continue };
        let at = piled[column];
        piled[column] += 1;
        let x = area.left() + column as f32 * (width + gap) + (at % in_row) as f32 * pitch;
        let y = floor - ((at / in_row) % rows + 1) as f32 * pitch;
        let id = response.id.with(place);
        let animate = |salt: &str, to: f32| ui.ctx().animate_value_with_time(id.with(salt), to, time);
        let corner = area.left_top() + vec2(animate("x", x - area.left()), animate("y", y - area.top()));
        let square = Rect::from_min_size(corner, Vec2::splat(side));
        let colour = match lane.state {
            LaneState::Reading => ui.visuals().weak_text_color(),
            _ => look::of_depth(lane.depth, rounds),
        };
        painter.rect_filled(square, side / 4.0, colour);
        if touch.focus == Some(lane.sequence) {
            painter.circle_filled(square.center(), side / 6.0, look::on_depth(lane.depth, rounds));
        }
        if response.hover_pos().is_some_and(|at| square.expand(1.5).contains(at)) {
            marked = Some((place, *lane));
        }
    }
    for (column, piled) in piled.iter().enumerate() {
        let left = area.left() + column as f32 * (width + gap);
        let colour = if column == 0 { look::line(ui.visuals()) } else { look::of_depth(column as u32, rounds) };
        painter.rect_filled(Rect::from_min_size(pos2(left, floor + 1.0), vec2(width, 3.0)), 1.5, colour);
        let label = if column == 0 { "reading".to_owned() } else { column.to_string() };
        let weak = ui.visuals().weak_text_color();
        if columns <= 16 {
            painter.text(pos2(left, floor + 7.0), Align2::LEFT_TOP, label, FontId::proportional(11.5), weak);
            let right = pos2(left + width, floor + 7.0);
            painter.text(right, Align2::RIGHT_TOP, piled, FontId::proportional(11.5), ui.visuals().text_color());
        }
    }
    if let Some((place, lane)) = marked {
        if response.clicked() {
            touch.focus = Some(lane.sequence);
            touch.pinned = None;
        }
        response.on_hover_text_at_pointer(say(place, &lane));
    }
}

/// What each lane did in the last ticks: a row per lane, a column per tick.
pub fn history(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let count = view.facts.as_ref().map_or(0, |facts| facts.lanes as usize).max(1);
    let height = (128.0 / count as f32).clamp(2.0, 14.0);
    let step = 3.0;
    let columns = ((ui.available_width() / step) as usize).max(1);
    look::title(ui, "Lanes", "the last ticks, the newest at the right");
    let (area, response) = ui.allocate_exact_size(vec2(ui.available_width(), count as f32 * height), Sense::click());
    let rounds = view.rounds();
    let visuals = ui.visuals();
    let (empty, reading) = (look::surface(visuals), visuals.weak_text_color());
    let mut mesh = Mesh::default();
    mesh.add_colored_rect(area, empty);
    let shown = view.lanes.len().min(columns);
    let colour = |lane: &Lane| match lane.state {
        LaneState::Idle => None,
        LaneState::Reading => Some(reading),
        LaneState::Writing => Some(look::of_depth(lane.depth, rounds)),
    };
    for row in 0..count {
        let top = area.top() + row as f32 * height;
        let mut run: Option<(f32, Color32)> = None;
        // Cells of one colour are one rectangle.
        for (place, lanes) in view.lanes.iter().skip(view.lanes.len() - shown).enumerate() {
            let left = area.right() - (shown - place) as f32 * step;
            let now = lanes.get(row).and_then(colour);
            if run.map(|(_, colour)| colour) != now {
                close(&mut mesh, run, left, top, height);
                run = now.map(|colour| (left, colour));
            }
        }
        close(&mut mesh, run, area.right(), top, height);
    }
    ui.painter().add(mesh);
    if let Some(at) = response.hover_pos() {
        let row = ((at.y - area.top()) / height) as usize;
        let back = ((area.right() - at.x) / step) as usize;
        let lane = view.lanes.len().checked_sub(back + 1).and_then(|tick| view.lanes.get(tick)?.get(row).copied());
        let Some(lane) = lane else { return };
        if response.clicked() && lane.state != LaneState::Idle {
            touch.focus = Some(lane.sequence);
            touch.pinned = None;
        }
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(say(row, &lane));
            ui.label(RichText::new(format!("{back} ticks ago")).weak());
        });
    }
}

fn close(mesh: &mut Mesh, run: Option<(f32, Color32)>, right: f32, top: f32, height: f32) {
    if let Some((left, colour)) = run {
        let gap = if height > 4.0 { 1.0 } else { 0.0 };
        mesh.add_colored_rect(Rect::from_min_max(pos2(left, top), pos2(right, top + height - gap)), colour);
    }
}
