//! Prompts, and the text that follows them: each token on the colour of its depth.

use egui::text::{LayoutJob, TextFormat};
use egui::{
    Event, EventFilter, FontId, Frame, Galley, Key as Button, Margin, Pos2, Rect, RichText, Sense, Stroke, Ui, vec2,
};

use super::view::{Entry, Key, Sequence, View};
use super::{Panel, Touch, called, guesses, look, others, token};
use crate::engine::event::FinishReason;
use crate::race::Contest;
use crate::service::{Command, Contestant};

/// Prompts to begin with.
const OPENINGS: [&str; 3] = ["Once upon a time", "The little fox was", "Anna found a key. She"];

/// All prompts and their texts, or the race.
pub fn text(ui: &mut Ui, view: &View, touch: &mut Touch, prompt: &mut String) {
    if view.entries.is_empty() && view.race.sequences.is_empty() {
        return welcome(ui, view, prompt);
    }
    for (place, entry) in view.entries.iter().enumerate() {
        ui.push_id(place, |ui| self::entry(ui, view, touch, entry));
        ui.add_space(18.0);
    }
    if !view.race.sequences.is_empty() {
        race(ui, view, touch);
    }
    if let Some((key, index)) = touch.pinned
        && let Some(pinned) = view.sequences.get(&key).and_then(|sequence| sequence.tokens.get(index))
    {
        ui.add_space(8.0);
        let frame = Frame::new().fill(look::surface(ui.visuals())).corner_radius(8).inner_margin(Margin::same(12));
        frame.show(ui, |ui| token::card(ui, view, pinned));
    }
}

fn welcome(ui: &mut Ui, view: &View, prompt: &mut String) {
    ui.add_space((ui.available_height() * 0.22).clamp(8.0, 220.0));
    ui.label(RichText::new("Easy tokens leave early.").size(30.0).strong());
    let rounds = view.rounds();
    let about = match &view.facts {
        Some(_) if rounds > 1 => format!(
            "This model runs a token through the same layers up to {rounds} times, and decides token by token how \
             often. Write a beginning, and see it think."
        ),
        Some(_) => "This model runs every token once through all its layers.".to_owned(),
        None if view.loading.is_some() => "The model is on its way to the GPU.".to_owned(),
        None => "Drop a model here: a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file."
            .to_owned(),
    };
    ui.label(RichText::new(about).size(16.0).weak());
    if view.facts.is_none() {
        return;
    }
    ui.add_space(10.0);
    ui.horizontal_wrapped(|ui| {
        for opening in OPENINGS {
            if ui.button(opening).clicked() {
                *prompt = opening.to_owned();
            }
        }
    });
}

fn entry(ui: &mut Ui, view: &View, touch: &mut Touch, entry: &Entry) {
    let focused = touch.focus.and_then(|focus| entry.sequences.iter().position(|name| *name == focus));
    let place = focused.unwrap_or(0);
    let Some(&name) = entry.sequences.get(place) else { return };
    if entry.chat {
        ui.label(RichText::new(&entry.prompt).size(16.0).weak());
    }
    if entry.sequences.len() > 1 {
        chooser(ui, touch, &entry.sequences, place);
    }
    let Some(sequence) = view.sequences.get(&(name, None)) else {
        ui.label(RichText::new("This text is no longer kept.").weak());
        return;
    };
    coloured(ui, view, touch, (name, None), sequence, if entry.chat { "" } else { &entry.prompt });
    let latest = view.entries.back().is_some_and(|last| last.sequences == entry.sequences);
    if latest && entry.sequences.len() > 1 && view.race.sequences.is_empty() {
        others::draw(ui, view, touch, &entry.sequences, name);
    }
}

/// Which of several texts is shown.
fn chooser(ui: &mut Ui, touch: &mut Touch, names: &[u64], place: usize) {
    ui.horizontal(|ui| {
        let mut go = |ui: &mut Ui, label, hint, to: Option<&u64>| {
            let button = ui.add_enabled(to.is_some(), egui::Button::new(label).frame(false));
            if let Some(name) = to.filter(|_| button.on_hover_text(hint).clicked()) {
                touch.focus = Some(*name);
                touch.pinned = None;
            }
        };
        go(ui, "<", "The text before", place.checked_sub(1).and_then(|before| names.get(before)));
        ui.label(RichText::new(format!("{} of {}", place + 1, names.len())).size(12.0).weak());
        go(ui, ">", "The next text", names.get(place + 1));
    });
}

fn race(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let focused = touch.focus.and_then(|focus| view.race.sequences.iter().position(|name| *name == focus));
    let place = focused.unwrap_or(0);
    let Some(&name) = view.race.sequences.get(place) else { return };
    if view.race.sequences.len() > 1 {
        chooser(ui, touch, &view.race.sequences, place);
    }
    let mut one = |ui: &mut Ui, contestant: Contestant| {
        let turn = view.race.turn == Some(contestant);
        look::title(ui, called(contestant), if turn { "its turn" } else { "" });
        let key = (name, Some(contestant));
        if let Some(sequence) = view.sequences.get(&key) {
            coloured(ui, view, touch, key, sequence, &view.race.prompt);
        }
    };
    let [first, second] = view.race.contestants();
    if ui.available_width() < 520.0 {
        one(ui, first);
        ui.add_space(12.0);
        one(ui, second);
    } else {
        ui.spacing_mut().item_spacing.x = 24.0;
        ui.columns_const(|[left, right]| {
            one(left, first);
            one(right, second);
        });
    }
}

/// Where each token of a text begins, in characters.
struct Places(Vec<(usize, usize)>);

impl Places {
    /// The token at a character.
    fn token(&self, character: usize) -> Option<usize> {
        let after = self.0.partition_point(|(start, _)| *start <= character);
        self.0.get(after.checked_sub(1)?).map(|(_, token)| *token)
    }

    /// The rectangles behind tokens: one for each line that a token stands on.
    fn blocks(&self, galley: &Galley, corner: Pos2) -> Vec<(usize, Rect)> {
        let mut blocks: Vec<(usize, Rect)> = Vec::with_capacity(self.0.len());
        let mut character = 0;
        for row in &galley.rows {
            let middle = corner.y + row.pos.y + row.row.size.y / 2.0;
            let mut last = None;
            // A space that ends a line belongs to the token of the next, and is not shown.
            let shown = row.row.glyphs.iter().rposition(|glyph| !glyph.chr.is_whitespace()).map_or(0, |last| last + 1);
            for (place, glyph) in row.row.glyphs.iter().enumerate() {
                let token = self.token(character);
                character += 1;
                let Some(token) = token.filter(|_| place < shown) else { continue };
                let left = corner.x + row.pos.x + glyph.pos.x;
                let right = left + glyph.advance_width;
                match blocks.last_mut().filter(|_| last == Some(token)) {
                    Some((_, block)) => block.max.x = right,
                    None => {
                        let half = 0.66 * glyph.font_height;
                        blocks.push((token, Rect::from_x_y_ranges(left..=right, middle - half..=middle + half)));
                    }
                }
                last = Some(token);
            }
            character += usize::from(row.ends_with_newline);
        }
        blocks
    }
}

fn lay_out(ui: &Ui, view: &View, sequence: &Sequence, before: &str) -> (LayoutJob, Places) {
    let size = if ui.available_width() < 420.0 { 16.0 } else { 17.0 };
    let plain = TextFormat {
        font_id: FontId::proportional(size),
        color: ui.visuals().weak_text_color(),
        line_height: Some(size * 1.62),
        ..TextFormat::default()
    };
    let mut job = LayoutJob::default();
    job.wrap.max_width = ui.available_width();
    job.append(before, 0.0, plain.clone());
    let mut places = Vec::with_capacity(sequence.tokens.len());
    let mut characters = before.chars().count();
    let rounds = view.rounds();
    for (index, token) in sequence.tokens.iter().enumerate().filter(|(_, token)| !token.text.is_empty()) {
        places.push((characters, index));
        characters += token.text.chars().count();
        let format = TextFormat { color: look::on_depth(token.depth, rounds), ..plain.clone() };
        job.append(&token.text, 0.0, format);
    }
    job.append(&sequence.tail, 0.0, plain);
    (job, Places(places))
}

/// A text, each token on the colour of its depth; hovering, tapping and arrow keys tell more of a token.
fn coloured(ui: &mut Ui, view: &View, touch: &mut Touch, key: Key, sequence: &Sequence, before: &str) {
    let width = ui.available_width();
    let (job, places) = lay_out(ui, view, sequence, before);
    let galley = ui.painter().layout_job(job);
    let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::click());
    let label = format!("{before}{}", sequence.text());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Paragraph, true, &label));
    let blocks = places.blocks(&galley, rect.min);
    for (index, block) in &blocks {
        let Some(token) = sequence.tokens.get(*index) else { continue };
        let colour = look::of_depth(token.depth, view.rounds());
        guesses::block(ui.painter(), block.shrink2(vec2(0.5, 0.0)), 3.0, colour, token);
    }
    if let Some((_, newest)) = blocks.last().filter(|(index, _)| index + 1 == sequence.tokens.len()) {
        guesses::refused(ui, sequence, *newest, rect.left() + width);
    }
    ui.painter().galley(rect.min, galley, ui.visuals().text_color());
    let under = response.hover_pos().and_then(|at| {
        blocks.iter().find(|(_, block)| block.expand2(vec2(0.0, 4.0)).contains(at)).map(|(index, _)| *index)
    });
    if let Some(index) = under {
        touch.hovered = Some((key, index));
        if response.clicked() {
            response.request_focus();
            touch.pinned = if touch.pinned == touch.hovered { None } else { touch.hovered };
        }
    } else if touch.hovered.is_some_and(|(other, _)| other == key) && !response.hovered() {
        touch.hovered = touch.hovered.filter(|_| !ui.input(|input| input.pointer.is_moving()));
    }
    if response.has_focus() {
        walk(ui, touch, key, sequence, &response);
    }
    for marked in [touch.hovered, touch.pinned].into_iter().flatten().filter(|(other, _)| *other == key) {
        let stroke = Stroke::new(2.0, ui.visuals().text_color());
        for (_, block) in blocks.iter().filter(|(index, _)| *index == marked.1) {
            ui.painter().rect_stroke(*block, 3.0, stroke, egui::StrokeKind::Outside);
        }
    }
    if let Some(token) = under.and_then(|index| sequence.tokens.get(index)) {
        response.on_hover_ui_at_pointer(|ui| token::card(ui, view, token));
    }
    if let Some(reason) = sequence.end {
        ending(ui, sequence, reason);
    } else if sequence.tokens.is_empty() {
        let (done, total) = sequence.prompt;
        let say = if total == 0 { "waiting for a lane".to_owned() } else { format!("reading {done} of {total}") };
        ui.label(RichText::new(say).size(12.0).weak());
    }
}

/// Arrow keys go from token to token.
fn walk(ui: &Ui, touch: &mut Touch, key: Key, sequence: &Sequence, response: &egui::Response) {
    let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    let moved = ui.input(|input| {
        let pressed = |event: &Event| match event {
            Event::Key { key: Button::ArrowRight, pressed: true, .. } => 1,
            Event::Key { key: Button::ArrowLeft, pressed: true, .. } => -1,
            _ => 0isize,
        };
        input.events.iter().map(pressed).sum::<isize>()
    });
    if moved != 0 && !sequence.tokens.is_empty() {
        let last = sequence.tokens.len() - 1;
        let next = match touch.pinned.filter(|(other, _)| *other == key) {
            Some((_, index)) => index.saturating_add_signed(moved).min(last),
            None => last,
        };
        touch.pinned = Some((key, next));
    }
}

fn ending(ui: &mut Ui, sequence: &Sequence, reason: FinishReason) {
    let tokens = sequence.forgotten + sequence.tokens.len();
    let depths: u64 = sequence.tokens.iter().map(|token| u64::from(token.depth)).sum();
    let mean = depths as f64 / sequence.tokens.len().max(1) as f64;
    let why = match reason {
        FinishReason::EndOfSequence => "the model ended it",
        FinishReason::Stop => "a stop text came",
        FinishReason::Length => "the length asked for",
        FinishReason::ContextFull => "the context is full",
        FinishReason::Cancelled => "cancelled",
    };
    ui.label(RichText::new(format!("{tokens} tokens, mean depth {mean:.2}, {why}")).size(12.0).weak());
}

impl Panel {
    /// Where prompts are written and sent.
    pub(super) fn prompt_box(&mut self, ui: &mut Ui) {
        let ready = self.live.facts.is_some() && !self.live.ended;
        let frame = Frame::new().fill(look::surface(ui.visuals())).corner_radius(10).inner_margin(Margin::same(12));
        frame.stroke(Stroke::new(1.0, look::line(ui.visuals()))).show(ui, |ui| {
            let hint = if self.controls.chat { "Say something" } else { "Write a beginning" };
            let edit = egui::TextEdit::multiline(&mut self.prompt)
                .id_salt("prompt")
                .hint_text(hint)
                .font(FontId::proportional(16.0))
                .desired_rows(2)
                .desired_width(f32::INFINITY)
                .frame(Frame::new())
                .return_key(egui::KeyboardShortcut::new(egui::Modifiers::SHIFT, Button::Enter));
            let response = ui.name_inputs("Prompt", |ui| ui.add(edit));
            let entered =
                response.has_focus() && ui.input(|input| input.key_pressed(Button::Enter) && !input.modifiers.shift);
            ui.horizontal_wrapped(|ui| self.prompt_buttons(ui, ready, entered));
        });
    }

    fn prompt_buttons(&mut self, ui: &mut Ui, ready: bool, entered: bool) {
        let racing = self.live.race.running;
        let sendable = ready && !racing && !self.prompt.trim().is_empty();
        let send = look::primary(ui, sendable, if self.controls.chat { "Send" } else { "Continue" });
        if send.on_hover_text("Enter").clicked() || (entered && sendable) {
            self.send(None);
        }
        ui.label(RichText::new("times").weak());
        let copies = egui::DragValue::new(&mut self.controls.copies).range(1..=256);
        ui.name_inputs("Sequences at once", |ui| ui.add(copies))
            .on_hover_text("So many sequences begin with this prompt and go on side by side, each with its own seed");
        let can_race = ready && !racing && !self.live.is_busy() && !self.prompt.trim().is_empty();
        let race = ui.add_enabled(can_race && self.live.rounds() > 1, egui::Button::new("Race"));
        let hint = "The same sequences in turns: as deep as the model decides, and all rounds for every token";
        let keys = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, Button::R);
        let pressed = race.enabled() && ui.input_mut(|input| input.consume_shortcut(&keys));
        if race.on_hover_text(format!("{hint} (Ctrl R)")).clicked() || pressed {
            self.send(Some(Contest::Depth { rounds: self.live.rounds() }));
        }
        if self.live.facts.as_ref().is_some_and(|facts| facts.most_guesses > 0) {
            let race = ui.add_enabled(can_race, egui::Button::new("Race guesses"));
            if race.on_hover_text("The same sequences in turns: with guesses, and without").clicked() {
                self.send(Some(self.guesses_contest()));
            }
        }
        if self.live.is_busy() && ui.button("Stop").on_hover_text("Escape").clicked() {
            self.touch.command(Command::CancelAll);
        }
    }
}
