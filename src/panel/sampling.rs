//! How tokens are drawn: what the person sets, and what the model's author would have where the person sets nothing.

use std::ops::RangeInclusive;

use egui::{DragValue, RichText, Slider, SliderClamping, Ui};

use super::controls::labelled;
use super::look;
use crate::network::generation::Suggestion;
use crate::service::{ModelFacts, Settings};

/// Settings that the person has chosen; the others follow the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Own {
    temperature: bool,
    top_k: bool,
    top_p: bool,
    min_p: bool,
    repeat_penalty: bool,
}

/// Where neither person nor model says anything. Small models repeat themselves without some chance.
pub(super) fn usual() -> Settings {
    Settings { max_tokens: 200, temperature: 0.8, min_p: 0.05, ..Settings::default() }
}

impl Own {
    /// Those that differ.
    pub(super) fn between(one: &Settings, other: &Settings) -> Self {
        Self {
            temperature: one.temperature != other.temperature,
            top_k: one.top_k != other.top_k,
            top_p: one.top_p != other.top_p,
            min_p: one.min_p != other.min_p,
            repeat_penalty: one.repeat_penalty != other.repeat_penalty,
        }
    }

    /// Sets what is not the person's as the model would have it.
    pub(super) fn complete(self, settings: &mut Settings, model: &Suggestion) {
        let usual = usual();
        if !self.temperature {
            settings.temperature = model.temperature.unwrap_or(usual.temperature);
        }
        if !self.top_k {
            settings.top_k = model.top_k.unwrap_or(usual.top_k);
        }
        if !self.top_p {
            settings.top_p = model.top_p.unwrap_or(usual.top_p);
        }
        if !self.min_p {
            settings.min_p = model.min_p.unwrap_or(usual.min_p);
        }
        if !self.repeat_penalty {
            settings.repeat_penalty = model.repeat_penalty.unwrap_or(usual.repeat_penalty);
        }
    }
}

/// The sliders; what is moved is the person's from then on.
pub(super) fn draw(ui: &mut Ui, settings: &mut Settings, own: &mut Own, facts: Option<&ModelFacts>) {
    look::title(ui, "Sampling", "");
    let slide = |ui: &mut Ui, name: &str, value: &mut f32, range: RangeInclusive<f32>| {
        // What is only shown is neither rounded nor clamped: it would no longer be what the model says.
        let mut shown = *value;
        let slider = Slider::new(&mut shown, range).fixed_decimals(2).clamping(SliderClamping::Edits);
        let moved = labelled(ui, name, |ui| ui.add(slider)).changed() && shown != *value;
        if moved {
            *value = shown;
        }
        moved
    };
    own.temperature |= slide(ui, "Temperature", &mut settings.temperature, 0.0..=2.0);
    own.top_p |= slide(ui, "Top-p", &mut settings.top_p, 0.01..=1.0);
    own.min_p |= slide(ui, "Min-p", &mut settings.min_p, 0.0..=1.0);
    own.repeat_penalty |= slide(ui, "Repetition", &mut settings.repeat_penalty, 1.0..=2.0);
    let mut top_k = settings.top_k;
    let drag = DragValue::new(&mut top_k).range(0..=1000).clamp_existing_to_range(false);
    if labelled(ui, "Top-k", |ui| ui.add(drag)).changed() && top_k != settings.top_k {
        settings.top_k = top_k;
        own.top_k = true;
    }
    if let Some((facts, words)) = facts.and_then(|facts| Some((facts, facts.suggestion.words()?))) {
        ui.label(RichText::new(format!("{} says: {words}", facts.suggested_by)).size(12.0).weak());
        if *own != Own::default() && ui.button("As the model says").clicked() {
            *own = Own::default();
            own.complete(settings, &facts.suggestion);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_decides_what_the_person_has_not() {
        let model = Suggestion { temperature: Some(0.6), top_k: Some(50), min_p: Some(0.0), ..Suggestion::default() };
        let mut settings = Settings { top_p: 0.5, temperature: 1.5, ..usual() };
        let own = Own::between(&settings, &usual());
        own.complete(&mut settings, &model);
        assert_eq!((settings.temperature, settings.top_p, settings.top_k, settings.min_p), (1.5, 0.5, 50, 0.0));
        // A model that says nothing does not leave another's settings behind.
        own.complete(&mut settings, &Suggestion::default());
        assert_eq!((settings.temperature, settings.top_p, settings.top_k, settings.min_p), (1.5, 0.5, 0, 0.05));
    }

    #[test]
    fn settings_that_are_only_shown_stay_as_the_model_says() {
        let odd = Suggestion {
            temperature: Some(2.5),
            top_k: Some(5000),
            top_p: Some(0.999),
            min_p: Some(0.005),
            repeat_penalty: Some(0.95),
        };
        let (mut settings, mut own) = (usual(), Own::default());
        own.complete(&mut settings, &odd);
        let before = settings.clone();
        let context = egui::Context::default();
        for _ in 0..3 {
            let mut drawn = context.run_ui(egui::RawInput::default(), |ui| draw(ui, &mut settings, &mut own, None));
            // Nobody shows it.
            drawn.textures_delta.clear();
        }
        assert_eq!((own, settings), (Own::default(), before));
    }
}
