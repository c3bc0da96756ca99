//! The form of a model's layers, line by line, where it is not the plain one.

use isobath::network::form::Form;
use isobath::network::form::differences::Difference;

use super::plan::spans;

/// Something that a plain Llama network has not.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct FormLine {
    /// `sees`, `norms`, `activation`, ...
    pub part: &'static str,
    /// What it is here.
    pub is: String,
    /// The unrolled layers in which it is so; none for what stands outside of layers.
    pub layers: Vec<u32>,
}

/// All lines, in the order in which a token meets them.
pub fn lines(form: &Form) -> Vec<FormLine> {
    let line = |Difference { part, is, layers }| FormLine { part, is, layers };
    form.differences().into_iter().map(line).collect()
}

/// The lines as text; layers are named where it is not all of them.
pub fn text(form: &Form) -> String {
    let n_layers = form.layers.len();
    let line = |line: FormLine| {
        let some = !line.layers.is_empty() && line.layers.len() < n_layers;
        let place = if some { format!(", in {}", spans(&line.layers)) } else { String::new() };
        format!("  {:<13} {}{place}\n", line.part, line.is)
    };
    lines(form).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use isobath::network::config::Window;
    use isobath::network::family::Family;
    use isobath::network::form::Biases;
    use isobath::network::form::rotary::RopeScaling;

    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let mut config = super::super::tests::config(4);
        assert_eq!(text(&Form::of(&config)), "");
        config.family = Family::named("qwen3").unwrap();
        config.biases = Biases { qkv: true, output: true, feed_forward: false };
        config.window = Some(Window { entries: 32, layers: vec![false, true, true, true] });
        config.rope_scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
        assert_eq!(
            text(&Form::of(&config)),
            "  sees          a window of 32, in layers 1-3\n  \
               heads         queries and keys normalised head by head\n  \
               positions     rotary base 10000, slow frequencies divided by 8 (Llama 3, from a context of 8192)\n  \
               biases        on q, k, v, o\n"
        );
        config.family = Family::named("gemma").unwrap();
        let lines = lines(&Form::of(&config));
        let parts: Vec<&str> = lines.iter().map(|line| line.part).collect();
        assert_eq!(
            parts,
            ["embedding", "norms", "sees", "positions", "activation", "biases", "final norm"],
            "{lines:#?}"
        );
        assert_eq!(lines[2].layers, [1, 2, 3]);
    }
}
