//! What the person sets.

use egui::{ComboBox, DragValue, RichText, Slider, Ui};

use super::sampling::{self, Own};
use super::view::View;
use super::{Action, Choice, Touch, drafting, look};
use crate::depth::policy::Rule;
use crate::service::{Command, Drafting, ModelFacts, Settings};

/// What the person set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Controls {
    /// How sequences are written.
    pub settings: Settings,
    /// Which of them the person has chosen; unknown where an older version kept them.
    pub own: Option<Own>,
    /// Who guesses, and how many guesses are checked.
    pub drafting: Drafting,
    /// A conversation is held, instead of a text continued.
    pub chat: bool,
    /// Sequences for each prompt.
    pub copies: u32,
    /// Lanes of the next loading.
    pub lanes: u32,
    /// Adapter of the next loading; `None` takes the best.
    pub adapter: Option<String>,
    /// The settings are shown.
    pub open: bool,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            settings: sampling::usual(),
            own: None,
            drafting: Drafting::AUTO,
            chat: false,
            copies: 32,
            lanes: 32,
            adapter: None,
            open: true,
        }
    }
}

impl Controls {
    /// Takes back what another model allowed and this one does not.
    pub(super) fn suit(&mut self, facts: &ModelFacts) {
        self.settings.depth = self.settings.depth.map(|depth| depth.clamp(1, facts.rounds));
        self.chat = facts.chat;
        self.settings.max_tokens = self.settings.max_tokens.min(facts.context);
        let own = *self.own.get_or_insert_with(|| Own::between(&self.settings, &sampling::usual()));
        own.complete(&mut self.settings, &facts.suggestion);
    }

    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        view: &View,
        touch: &mut Touch,
        adapters: &[String],
        choices: &[Choice],
        address: Option<&mut String>,
    ) {
        self.depth(ui, view, touch);
        ui.add_space(14.0);
        drafting::draw(ui, view, touch);
        ui.add_space(14.0);
        self.sampling(ui, view);
        ui.add_space(14.0);
        self.loading(ui, view, touch, adapters, choices, address);
        ui.add_space(14.0);
    }

    fn depth(&mut self, ui: &mut Ui, view: &View, touch: &mut Touch) {
        look::title(ui, "Depth", "");
        let rounds = view.rounds();
        let mut fixed = self.settings.depth.is_some();
        ui.horizontal(|ui| {
            ui.selectable_value(&mut fixed, false, "The model decides");
            ui.selectable_value(&mut fixed, true, "Fixed");
        });
        if fixed {
            let mut depth = self.settings.depth.unwrap_or(rounds);
            labelled(ui, "Rounds", |ui| ui.add(Slider::new(&mut depth, 1..=rounds)));
            self.settings.depth = Some(depth);
            return;
        }
        self.settings.depth = None;
        gates(ui, view, touch);
        if !view.has_thresholds() {
            return;
        }
        let known = view.gate_facts();
        let mut rule = view.rule;
        ui.horizontal(|ui| {
            ui.label(RichText::new("Its score").weak());
            for known in [known.map_or(Rule::AtLeast, |gate| gate.rule), Rule::Rising] {
                let (name, asked) = in_words(known);
                ui.selectable_value(&mut rule, known, name)
                    .on_hover_text(format!("A token runs a round where its score {asked}"));
            }
        });
        if rule != view.rule {
            touch.command(Command::Rule { rule });
        }
        if view.thresholds.len() > 12 {
            return;
        }
        let (_, asked) = in_words(rule);
        let (own, (least, most)) = known.map_or((0.0, (-12.0, 12.0)), |gate| (gate.threshold, gate.range));
        let mut thresholds = view.thresholds.clone();
        let mut moved = false;
        for (round, threshold) in (1u32..).zip(&mut thresholds) {
            moved |= labelled(ui, &format!("Threshold {round}"), |ui| {
                ui.add(Slider::new(threshold, least..=most).fixed_decimals(if most - least > 2.0 { 1 } else { 3 }))
            })
            .on_hover_text(format!("A token runs round {round} where its score {asked}"))
            .changed();
        }
        let back = if own == 0.0 { "As trained" } else { "As it came" };
        if view.thresholds.iter().any(|threshold| *threshold != own) && ui.button(back).clicked() {
            thresholds.fill(own);
            moved = true;
        }
        if moved {
            touch.command(Command::Thresholds { thresholds });
        }
    }

    fn sampling(&mut self, ui: &mut Ui, view: &View) {
        let settings = &mut self.settings;
        let mut own = self.own.unwrap_or_else(|| Own::between(settings, &sampling::usual()));
        sampling::draw(ui, settings, &mut own, view.facts.as_deref());
        self.own = Some(own);
        labelled(ui, "Seed", |ui| ui.add(DragValue::new(&mut settings.seed)));
        labelled(ui, "Tokens", |ui| ui.add(DragValue::new(&mut settings.max_tokens).range(1..=100_000)));
        ui.checkbox(&mut settings.ignore_end, "Write on behind the end");
        ui.checkbox(&mut self.chat, "Hold a conversation");
    }

    fn loading(
        &mut self,
        ui: &mut Ui,
        view: &View,
        touch: &mut Touch,
        adapters: &[String],
        choices: &[Choice],
        address: Option<&mut String>,
    ) {
        look::title(ui, "Model", "");
        ui.horizontal_wrapped(|ui| {
            for choice in choices {
                if ui.button(choice.label()).clicked() {
                    touch.actions.push(Action::Choose(*choice));
                }
            }
        });
        for warning in view.facts.iter().flat_map(|facts| &facts.warnings) {
            ui.label(RichText::new(warning).size(12.0).color(ui.visuals().warn_fg_color));
        }
        if let Some(address) = address {
            ui.horizontal(|ui| {
                let hint = "address of a model";
                let field = egui::TextEdit::singleline(address).hint_text(hint).desired_width(146.0);
                let response = ui.name_inputs("Address", |ui| ui.add(field));
                let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                let given = !address.trim().is_empty();
                if (ui.add_enabled(given, egui::Button::new("Fetch")).clicked() || entered) && given {
                    touch.actions.push(Action::Fetch(address.trim().to_owned()));
                }
            });
        }
        labelled(ui, "Lanes", |ui| {
            let combo = ComboBox::from_id_salt("lanes").width(72.0).selected_text(self.lanes.to_string());
            combo
                .show_ui(ui, |ui| {
                    for lanes in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
                        ui.selectable_value(&mut self.lanes, lanes, lanes.to_string());
                    }
                })
                .response
        });
        if adapters.len() > 1 {
            let text = self.adapter.clone().unwrap_or_else(|| "the best".into());
            labelled(ui, "Adapter", |ui| {
                let combo = ComboBox::from_id_salt("adapter").width(120.0).truncate().selected_text(text);
                combo
                    .show_ui(ui, |ui| {
                        ui.selectable_value(&mut self.adapter, None, "the best");
                        for adapter in adapters {
                            ui.selectable_value(&mut self.adapter, Some(adapter.clone()), adapter);
                        }
                    })
                    .response
            });
        }
        let loaded = view.facts.as_ref().map(|facts| facts.lanes);
        // Where the device has no room for more it would be of no use.
        let cut = view.facts.as_ref().is_some_and(|facts| !facts.cuts.is_empty());
        if loaded.is_some_and(|lanes| lanes != self.lanes) && !cut {
            ui.label(RichText::new("Other lanes take a new loading.").size(12.0).weak());
        }
        if loaded.is_some() && ui.button("Load again").clicked() {
            touch.actions.push(Action::Reload);
        }
    }
}

/// Which gate decides, where there is a choice.
fn gates(ui: &mut Ui, view: &View, touch: &mut Touch) {
    let Some(facts) = view.facts.as_ref().filter(|facts| facts.gates.len() > 1) else { return };
    let mut chosen = view.gate.clone().unwrap_or_default();
    labelled(ui, "Gate", |ui| {
        let list = ComboBox::from_id_salt("gate").selected_text(&chosen).width(118.0);
        list.show_ui(ui, |ui| {
            for gate in &facts.gates {
                ui.selectable_value(&mut chosen, gate.name.clone(), &gate.name).on_hover_text(&gate.says);
            }
        })
        .response
    })
    .on_hover_text("What decides whether a token runs a further round");
    if view.gate.as_ref() != Some(&chosen) && !chosen.is_empty() {
        touch.command(Command::Gate { gate: chosen });
    }
}

/// A rule's name, and what it asks of a score.
fn in_words(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::AtLeast => ("is", "is at least the threshold; 0 is as trained"),
        Rule::Rising => ("rises by", "has risen by at least the threshold since the round before"),
        Rule::AtMost => ("is at most", "is at most the threshold; above it stops"),
        Rule::Below => ("is below", "is below the threshold; from there on it stops"),
    }
}

/// A control with its name before it, for eyes and screen readers.
pub(super) fn labelled(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> egui::Response) -> egui::Response {
    ui.horizontal(|ui| {
        ui.spacing_mut().slider_width = 72.0;
        let size = egui::vec2(84.0, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
            ui.set_min_width(84.0);
            ui.label(RichText::new(name).weak());
        });
        ui.name_inputs(name, control)
    })
    .inner
}
