//! The first and the last line: the model, what the colours mean, pause and replay.

use egui::{Align, Layout, RichText, Sense, Slider, Stroke, Ui, vec2};

use super::{Panel, guesses, look};
use crate::service::{Command, Progress, Step};

impl Panel {
    /// Moves a replay on by the time that has passed.
    pub(super) fn play(&mut self, ui: &Ui) {
        let Some(replay) = self.replay.as_mut().filter(|replay| replay.playing) else { return };
        let passed = f64::from(ui.input(|input| input.stable_dt).min(0.1));
        replay.seek(replay.position + passed * f64::from(replay.speed));
        ui.ctx().request_repaint();
    }

    pub(super) fn header(&mut self, ui: &mut Ui) {
        let narrow = ui.available_width() < 600.0;
        ui.horizontal(|ui| {
            mark(ui);
            ui.label(RichText::new("Isobath").size(18.0).strong());
            if !narrow {
                ui.add_space(8.0);
                self.model(ui);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.buttons(ui));
        });
        if narrow {
            ui.horizontal_wrapped(|ui| self.model(ui));
        }
        self.messages(ui);
        self.replay_bar(ui);
    }

    fn model(&self, ui: &mut Ui) {
        let view = self.replay.as_ref().map_or(&self.live, |replay| &replay.view);
        if let Some(Progress { step, done, total }) = view.loading {
            let share = if total > 0 { done as f32 / total as f32 } else { 0.0 };
            ui.add(egui::ProgressBar::new(share).desired_width(160.0).desired_height(6.0));
            let about = match step {
                _ if total == 0 => "opening".to_owned(),
                Step::Weights => format!("loading {}B of {}B", look::short(done as f64), look::short(total as f64)),
                Step::Kernels => format!("compiling kernels, {done} of {total}"),
            };
            ui.label(RichText::new(about).weak());
            return;
        }
        let Some(facts) = &view.facts else {
            ui.label(RichText::new("no model").weak());
            return;
        };
        ui.label(RichText::new(&facts.name).size(15.0));
        let parameters = look::short(facts.parameters as f64);
        let about = match ui.ctx().content_rect().width() < 600.0 {
            true => parameters,
            false => format!("{parameters} parameters, {} rounds", facts.rounds),
        };
        let response = ui.label(RichText::new(about).weak());
        if let Some(note) = &facts.note {
            response.on_hover_text(note);
        }
        legend(ui, facts.rounds);
        // On narrow screens the line goes on below, on wide ones the buttons stand behind it.
        let narrow = ui.ctx().content_rect().width() < 600.0;
        let room = if narrow { f32::INFINITY } else { ui.available_width() - 260.0 };
        guesses::line(ui, view, room);
    }

    /// From right to left.
    fn buttons(&mut self, ui: &mut Ui) {
        let dark = ui.visuals().dark_mode;
        let theme = ui.button(if dark { "Light" } else { "Dark" }).on_hover_text("Colours of the window");
        if theme.clicked() {
            ui.ctx().set_theme(if dark { egui::Theme::Light } else { egui::Theme::Dark });
        }
        if ui.selectable_label(self.controls.open, "Settings").clicked() {
            self.controls.open = !self.controls.open;
        }
        if self.replay.is_some() {
            return;
        }
        if self.live.loading.is_some() {
            if ui.button("Cancel").clicked() {
                self.touch.command(Command::CancelAll);
            }
            return;
        }
        let pressed = |ui: &Ui, key| ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, key));
        let paused = self.live.paused;
        if paused {
            let step = ui.button("Tick").on_hover_text("Run a single tick (F10)");
            if step.clicked() || pressed(ui, egui::Key::F10) {
                self.touch.command(Command::Tick);
            }
        }
        let pause = ui.selectable_label(paused, if paused { "Go on" } else { "Pause" });
        if pause.on_hover_text("Stop between two ticks (F9)").clicked() || pressed(ui, egui::Key::F9) {
            self.touch.command(Command::Pause { paused: !paused });
        }
    }

    fn messages(&mut self, ui: &mut Ui) {
        let mut dismissed = false;
        if let Some(failure) = self.live.failures.back() {
            ui.horizontal_wrapped(|ui| {
                ui.label(RichText::new(&failure.message).color(ui.visuals().error_fg_color));
                if self.live.ended && ui.button("Load again").clicked() {
                    self.touch.actions.push(super::Action::Reload);
                }
                dismissed = ui.small_button("Dismiss").clicked();
            });
        } else if self.live.ended {
            ui.horizontal_wrapped(|ui| {
                ui.label(RichText::new("Loading was broken off.").weak());
                if ui.button("Load again").clicked() {
                    self.touch.actions.push(super::Action::Reload);
                }
            });
        }
        if dismissed {
            self.live.failures.pop_back();
        }
        for cut in self.live.facts.iter().flat_map(|facts| &facts.cuts) {
            ui.label(RichText::new(cut).color(ui.visuals().warn_fg_color));
        }
    }

    fn replay_bar(&mut self, ui: &mut Ui) {
        let mut close = false;
        let Some(replay) = &mut self.replay else { return };
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("A saved run").strong());
            let label = if replay.playing { "Stop" } else { "Play" };
            if ui.button(label).clicked() {
                if !replay.playing && replay.position >= replay.length() {
                    replay.seek(0.0);
                }
                replay.playing = !replay.playing;
            }
            if ui.button("Tick").on_hover_text("To the end of the next tick").clicked() {
                replay.playing = false;
                replay.step();
            }
            let length = replay.length();
            let mut position = replay.position;
            let slider = Slider::new(&mut position, 0.0..=length).suffix(" s").fixed_decimals(2);
            if ui.name_inputs("Time", |ui| ui.add(slider)).changed() {
                replay.seek(position);
            }
            for speed in [0.1, 0.5, 1.0, 2.0] {
                ui.selectable_value(&mut replay.speed, speed, format!("{speed}x"));
            }
            close = ui.button("Close").clicked();
        });
        if close {
            self.replay = None;
            self.touch.hovered = None;
            self.touch.pinned = None;
        }
    }

    pub(super) fn status_line(&self, ui: &mut Ui) {
        let view = self.replay.as_ref().map_or(&self.live, |replay| &replay.view);
        let mut parts = Vec::new();
        if let Some(facts) = &view.facts {
            parts.push(format!("{} ({})", facts.adapter.name, facts.adapter.backend));
            parts.push(format!("{} lanes, {} order", facts.lanes, facts.order));
        }
        if let Some(tick) = &view.tick {
            let each = tick.dispatches as f64 / tick.number.max(1) as f64;
            parts.push(format!("tick {}, {each:.0} dispatches each", tick.number));
        }
        if let Some(facts) = &view.facts {
            let mut cache = format!("cache {}B", look::short(facts.cache_bytes as f64));
            // Runs that were saved before do not tell.
            if facts.cache_sequences > 0 {
                cache += &format!(" for {} x {} tokens", facts.cache_sequences, facts.context);
            }
            if let Some(tick) = &view.tick {
                cache += &format!(", {:.0} % in use, {:.0} % kept", 100.0 * tick.cache[0], 100.0 * tick.cache[1]);
            }
            parts.push(cache);
        }
        if !self.status.is_empty() {
            parts.push(self.status.clone());
        }
        ui.label(RichText::new(parts.join("   ·   ")).size(11.5).weak());
    }
}

/// Lines of equal depth.
fn mark(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(26.0, 24.0), Sense::hover());
    for (radius, depth) in [(11.0, 1), (7.5, 2), (4.0, 3)] {
        ui.painter().circle_stroke(rect.center(), radius, Stroke::new(2.0, look::of_depth(depth, 3)));
    }
    ui.painter().circle_filled(rect.center(), 1.5, look::of_depth(3, 3));
}

/// What the colours mean.
fn legend(ui: &mut Ui, rounds: u32) {
    ui.add_space(6.0);
    ui.label(RichText::new("depth").size(12.0).weak());
    ui.spacing_mut().item_spacing.x = 2.0;
    let shown = rounds.min(8);
    for place in 0..shown {
        // With many rounds the legend shows some of them, the first and the last among these.
        let depth = if shown < 2 { 1 } else { 1 + place * (rounds - 1) / (shown - 1) };
        let (rect, response) = ui.allocate_exact_size(vec2(24.0, 18.0), Sense::hover());
        ui.painter().rect_filled(rect, 3.0, look::of_depth(depth, rounds));
        let font = egui::FontId::proportional(12.0);
        let colour = look::on_depth(depth, rounds);
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, depth, font, colour);
        let say = if depth == 1 { "1 round".to_owned() } else { format!("{depth} rounds") };
        response.on_hover_text(format!("The token before which it was predicted ran {say} of {rounds}"));
    }
    ui.spacing_mut().item_spacing.x = look::UNIT;
}
