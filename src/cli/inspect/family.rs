//! What a member of the Llama family has of its own, in a line.

use isobath::network::config::ModelConfig;
use isobath::network::family::{Architecture, RopeScaling};

/// The member's name and everything that a plain Llama model has not.
pub fn describe(config: &ModelConfig) -> String {
    let mut parts = vec![config.architecture.model_type().to_owned()];
    let biases = config.biases;
    let with_bias: Vec<&str> = [(biases.qkv, "q, k, v"), (biases.output, "o"), (biases.feed_forward, "feed-forward")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    if !with_bias.is_empty() {
        parts.push(format!("biases on {}", with_bias.join(", ")));
    }
    if config.architecture.head_norms() {
        parts.push("queries and keys normalised by head".into());
    }
    if config.architecture == Architecture::Gemma {
        parts.push("scaled embedding, GELU".into());
    }
    if let Some(window) = &config.window {
        let slides = window.layers.iter().filter(|slides| **slides).count();
        parts.push(format!("window of {} in {slides} of {} layers", window.entries, window.layers.len()));
    }
    parts.push(format!("rotary base {}{}", config.rope_theta, scaling(&config.rope_scaling)));
    parts.join("; ")
}

fn scaling(scaling: &RopeScaling) -> String {
    match scaling {
        RopeScaling::None => String::new(),
        RopeScaling::Linear { factor } => format!(", all frequencies divided by {factor}"),
        RopeScaling::Llama3 { factor, original, .. } => {
            format!(", slow frequencies divided by {factor} (Llama 3, from a context of {original})")
        }
        RopeScaling::Factors(factors) => {
            let largest = factors.iter().copied().fold(0.0, f32::max);
            format!(", frequencies divided by factors of up to {largest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use isobath::network::family::{Biases, Window};

    use super::*;

    #[test]
    fn every_setting_is_told() {
        let mut config = super::super::tests::config(4);
        assert_eq!(describe(&config), "llama; rotary base 10000");
        config.architecture = Architecture::Qwen3;
        config.biases = Biases { qkv: true, output: true, feed_forward: false };
        config.window = Some(Window { entries: 32, layers: vec![false, true, true, true] });
        config.rope_scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
        assert_eq!(
            describe(&config),
            "qwen3; biases on q, k, v, o; queries and keys normalised by head; window of 32 in 3 of 4 layers; \
             rotary base 10000, slow frequencies divided by 8 (Llama 3, from a context of 8192)"
        );
    }
}
