//! Colours, type and spacing of the panel.

use egui::{
    Color32, Context, CornerRadius, FontFamily, FontId, Margin, Response, RichText, Stroke, Style, TextStyle, Theme,
    Ui, Visuals, vec2,
};

use crate::depth::palette;

/// Side of the grid that everything stands on, in points.
pub const UNIT: f32 = 8.0;

/// The colour of a depth.
pub fn of_depth(depth: u32, rounds: u32) -> Color32 {
    let [r, g, b] = palette::of_depth(depth, rounds);
    Color32::from_rgb(r, g, b)
}

/// Black or white, whichever reads on the colour of a depth.
pub fn on_depth(depth: u32, rounds: u32) -> Color32 {
    if palette::is_light(palette::of_depth(depth, rounds)) { Color32::from_gray(16) } else { Color32::from_gray(245) }
}

/// What stands behind controls and pictures.
pub fn surface(visuals: &Visuals) -> Color32 {
    visuals.faint_bg_color
}

/// Thin lines and empty cells.
pub fn line(visuals: &Visuals) -> Color32 {
    visuals.widgets.noninteractive.bg_stroke.color
}

/// What asks to be pressed.
pub fn accent(visuals: &Visuals) -> Color32 {
    visuals.selection.bg_fill
}

/// Sets colours and type for both themes; call once.
pub fn install(context: &Context) {
    context.style_mut_of(Theme::Dark, |style| set(style, true));
    context.style_mut_of(Theme::Light, |style| set(style, false));
}

fn set(style: &mut Style, dark: bool) {
    let gray = |dark_rgb: [u8; 3], light_rgb: [u8; 3]| {
        let [r, g, b] = if dark { dark_rgb } else { light_rgb };
        Color32::from_rgb(r, g, b)
    };
    let text = gray([230, 233, 238], [27, 31, 36]);
    let weak = gray([139, 149, 163], [98, 106, 118]);
    let ground = gray([14, 17, 22], [252, 252, 250]);
    let raised = gray([22, 27, 34], [243, 243, 240]);
    let edge = gray([36, 43, 53], [226, 226, 220]);
    let press = gray([31, 38, 48], [234, 234, 229]);
    let visuals = &mut style.visuals;
    *visuals = if dark { Visuals::dark() } else { Visuals::light() };
    visuals.panel_fill = ground;
    visuals.window_fill = raised;
    visuals.window_stroke = Stroke::new(1.0, edge);
    visuals.extreme_bg_color = raised;
    visuals.text_edit_bg_color = Some(raised);
    visuals.faint_bg_color = raised;
    visuals.weak_text_color = Some(weak);
    visuals.hyperlink_color = gray([83, 199, 178], [22, 108, 118]);
    visuals.selection.bg_fill = gray([38, 130, 142], [31, 120, 132]);
    visuals.selection.stroke = Stroke::new(1.0, Color32::WHITE);
    visuals.error_fg_color = gray([255, 138, 122], [176, 42, 30]);
    visuals.warn_fg_color = gray([244, 196, 99], [138, 92, 0]);
    visuals.slider_trailing_fill = true;
    visuals.window_corner_radius = CornerRadius::same(10);
    visuals.menu_corner_radius = CornerRadius::same(8);
    let widgets = &mut visuals.widgets;
    for (widget, fill, foreground) in [
        (&mut widgets.noninteractive, ground, text),
        (&mut widgets.inactive, raised, text),
        (&mut widgets.hovered, press, text),
        (&mut widgets.active, edge, text),
        (&mut widgets.open, press, text),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, edge);
        widget.fg_stroke = Stroke::new(1.0, foreground);
        widget.corner_radius = CornerRadius::same(6);
        widget.expansion = 0.0;
    }
    widgets.inactive.bg_fill = edge;
    widgets.hovered.bg_stroke = Stroke::new(1.0, weak);
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(UNIT, UNIT);
    spacing.button_padding = vec2(11.0, 6.0);
    spacing.interact_size = vec2(36.0, 28.0);
    spacing.slider_rail_height = 4.0;
    spacing.window_margin = Margin::same(12);
    spacing.menu_margin = Margin::same(8);
    style.interaction.tooltip_delay = 0.1;
    style.interaction.show_tooltips_only_when_still = false;
    for (name, size) in [
        (TextStyle::Small, 11.5),
        (TextStyle::Body, 14.0),
        (TextStyle::Button, 14.0),
        (TextStyle::Monospace, 12.5),
        (TextStyle::Heading, 20.0),
    ] {
        let family = if name == TextStyle::Monospace { FontFamily::Monospace } else { FontFamily::Proportional };
        style.text_styles.insert(name, FontId::new(size, family));
    }
}

/// A section's name, and what is to be said beside it.
pub fn title(ui: &mut Ui, name: &str, beside: &str) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(name.to_uppercase()).size(11.0).extra_letter_spacing(1.2).strong());
        ui.label(RichText::new(beside).size(12.0).weak());
    });
}

/// The button that matters.
pub fn primary(ui: &mut Ui, enabled: bool, text: &str) -> Response {
    let fill = if enabled { accent(ui.visuals()) } else { surface(ui.visuals()) };
    let colour = if enabled { Color32::WHITE } else { ui.visuals().weak_text_color() };
    let button = egui::Button::new(RichText::new(text).color(colour)).fill(fill).stroke(Stroke::NONE);
    ui.add_enabled(enabled, button)
}

/// A number of things, short: 950, 12.3 k, 2.36 M.
pub fn short(number: f64) -> String {
    let (value, unit) = match number.abs() {
        big if big >= 1e9 => (number / 1e9, " G"),
        big if big >= 1e6 => (number / 1e6, " M"),
        big if big >= 1e4 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = match value.abs() {
        big if big >= 100.0 || unit.is_empty() => 0,
        big if big >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

#[test]
fn numbers_are_short() {
    assert_eq!([0.0, 950.4, 12_345.0, 2_361_600.0, 7.6e9].map(short), ["0", "950", "12.3 k", "2.36 M", "7.60 G"]);
}
