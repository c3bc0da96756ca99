//! Depth made visible: a colour per token on a terminal, a mark behind it elsewhere.
//!
//! The palette is laid behind the text, which is black or white by contrast, so that it reads on dark and light
//! terminals.

use std::env;

use isobath::depth::palette;

/// How depth is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// `token·depth`.
    Marked,
    /// In one of 256 colours.
    Colours256,
    /// In 24-bit colours.
    TrueColour,
}

impl Style {
    /// The style that suits stdout and the environment.
    pub fn choose(show_depth: bool, terminal: bool) -> Self {
        let true_colour = env::var("COLORTERM").is_ok_and(|value| value == "truecolor" || value == "24bit");
        Self::suited(show_depth, terminal && !is_set("NO_COLOR"), true_colour)
    }

    fn suited(show_depth: bool, colours: bool, true_colour: bool) -> Self {
        match (show_depth, colours, true_colour) {
            (false, ..) => Self::Plain,
            (true, false, _) => Self::Marked,
            (true, true, false) => Self::Colours256,
            (true, true, true) => Self::TrueColour,
        }
    }
}

/// A text that stands back behind what follows it, where that can be seen.
pub fn dimmed(text: &str, terminal: bool) -> String {
    set_back(text, terminal && !is_set("NO_COLOR"))
}

fn set_back(text: &str, seen: bool) -> String {
    if seen && !text.is_empty() { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Writes tokens in a style, for a model of so many rounds.
#[derive(Debug, Clone, Copy)]
pub struct Painter {
    style: Style,
    rounds: u32,
}

impl Painter {
    /// A painter for depths `1..=rounds`.
    pub fn new(style: Style, rounds: u32) -> Self {
        Self { style, rounds: rounds.max(1) }
    }

    /// The token's text as it is to be written.
    pub fn token(&self, text: &str, depth: u32) -> String {
        if text.is_empty() {
            return String::new();
        }
        match self.style {
            Style::Plain => text.to_owned(),
            Style::Marked => {
                let body = text.trim_end_matches(['\n', '\r']);
                format!("{body}·{depth}{}", &text[body.len()..])
            }
            Style::Colours256 | Style::TrueColour => {
                // A colour that is still on at a line's end would fill the rest of the next line.
                let (on, off) = (self.colour(depth), "\x1b[0m");
                let lines: Vec<String> = text
                    .split('\n')
                    .map(|line| if line.is_empty() { String::new() } else { format!("{on}{line}{off}") })
                    .collect();
                lines.join("\n")
            }
        }
    }

    /// What the colours or marks mean; `None` where depth is not shown.
    pub fn legend(&self) -> Option<String> {
        match self.style {
            Style::Plain => None,
            Style::Marked => Some(format!("depth: token·rounds, 1 to {}", self.rounds)),
            Style::Colours256 | Style::TrueColour => {
                let steps: Vec<String> =
                    (1..=self.rounds.min(32)).map(|depth| format!("{} {depth} \x1b[0m", self.colour(depth))).collect();
                Some(format!("depth: {} rounds", steps.join("")))
            }
        }
    }

    /// The escape sequence that sets the colours of a depth.
    fn colour(&self, depth: u32) -> String {
        let rgb = palette::of_depth(depth, self.rounds);
        let light = palette::is_light(rgb);
        if self.style == Style::TrueColour {
            let text = if light { "0;0;0" } else { "255;255;255" };
            format!("\x1b[48;2;{};{};{};38;2;{text}m", rgb[0], rgb[1], rgb[2])
        } else {
            format!("\x1b[48;5;{};38;5;{}m", nearest_of_256(rgb), if light { 16 } else { 231 })
        }
    }
}

/// The nearest colour of the 6 x 6 x 6 cube that terminals with 256 colours have.
fn nearest_of_256(rgb: [u8; 3]) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest =
        |value: u8| (0..6u8).min_by_key(|&level| LEVELS[usize::from(level)].abs_diff(value)).unwrap_or_default();
    let [r, g, b] = rgb.map(nearest);
    16 + 36 * r + 6 * g + b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_can_be_seen() {
        assert_eq!(Style::suited(false, true, true), Style::Plain);
        assert_eq!(Style::suited(true, false, true), Style::Marked);
        assert_eq!(Style::suited(true, true, false), Style::Colours256);
        assert_eq!(Style::suited(true, true, true), Style::TrueColour);
    }

    #[test]
    fn a_prompt_stands_back_where_that_can_be_seen() {
        assert_eq!(set_back("Once", true), "\x1b[2mOnce\x1b[0m");
        assert_eq!((set_back("Once", false), set_back("", true)), ("Once".into(), String::new()));
    }

    #[test]
    fn marks_stand_behind_the_token_and_before_its_line_end() {
        let painter = Painter::new(Style::Marked, 3);
        assert_eq!(painter.token(" time", 2), " time·2");
        assert_eq!(painter.token("end.\n\n", 3), "end.·3\n\n");
        assert_eq!(painter.token("", 3), "", "an incomplete character is no token yet");
    }

    #[test]
    fn without_a_style_the_text_is_untouched() {
        assert_eq!(Painter::new(Style::Plain, 3).token("a\nb", 1), "a\nb");
        assert_eq!(Painter::new(Style::Plain, 3).legend(), None);
    }

    #[test]
    fn a_colour_ends_before_the_line_does() {
        let painted = Painter::new(Style::TrueColour, 3).token("a\nb\n", 3);
        assert_eq!(painted, "\x1b[48;2;253;231;37;38;2;0;0;0ma\x1b[0m\n\x1b[48;2;253;231;37;38;2;0;0;0mb\x1b[0m\n");
    }

    #[test]
    fn depths_have_different_colours_from_dark_to_light() {
        for style in [Style::Colours256, Style::TrueColour] {
            for rounds in 2..=6 {
                let painter = Painter::new(style, rounds);
                let mut colours: Vec<String> = (1..=rounds).map(|depth| painter.colour(depth)).collect();
                colours.dedup();
                assert_eq!(colours.len(), rounds as usize, "{style:?} {rounds}");
            }
        }
    }

    #[test]
    fn a_depth_outside_the_palette_takes_its_nearest_end() {
        let painter = Painter::new(Style::TrueColour, 3);
        assert_eq!(painter.colour(0), painter.colour(1));
        assert_eq!(painter.colour(9), painter.colour(3));
    }
}
