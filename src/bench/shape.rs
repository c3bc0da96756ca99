//! Shapes of published models with random weights: `360M:mor3`, so that a machine is measured without a download.

use serde_json::{Value, json};

use crate::error::{ModelError, RequestError};
use crate::network::config::ModelConfig;

/// A size (MoR paper, table 6) and a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    size: Size,
    kind: Kind,
    recursions: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    name: &'static str,
    layers: u32,
    hidden: u32,
    heads: u32,
    kv_heads: u32,
    wide: u32,
    vocabulary: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vanilla,
    Recursive,
    Mor,
}

const SIZES: [Size; 6] = [
    // Two of our own for small machines; the others are the paper's.
    Size { name: "1M", layers: 8, hidden: 128, heads: 4, kv_heads: 2, wide: 384, vocabulary: 1024 },
    Size { name: "10M", layers: 14, hidden: 256, heads: 4, kv_heads: 2, wide: 768, vocabulary: 4096 },
    Size { name: "135M", layers: 30, hidden: 576, heads: 9, kv_heads: 3, wide: 1536, vocabulary: 49152 },
    Size { name: "360M", layers: 32, hidden: 960, heads: 15, kv_heads: 5, wide: 2560, vocabulary: 49152 },
    Size { name: "730M", layers: 26, hidden: 1536, heads: 24, kv_heads: 8, wide: 4096, vocabulary: 49152 },
    Size { name: "1.7B", layers: 24, hidden: 2048, heads: 32, kv_heads: 32, wide: 8192, vocabulary: 49152 },
];

impl Shape {
    /// `SIZE:KIND`, where KIND is `vanilla`, `recursive2` to `recursive4`, or `mor2` to `mor4`.
    ///
    /// # Errors
    /// [`RequestError::Setting`] with what is known.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let refuse = || {
            let sizes: Vec<&str> = SIZES.iter().map(|size| size.name).collect();
            let kinds = "vanilla, recursive2, recursive3, recursive4, mor2, mor3 or mor4";
            let range = format!("SIZE:KIND with a size of {} and a kind of {kinds}", sizes.join(", "));
            RequestError::Setting { name: "random", value: text.to_owned(), range }
        };
        let (size, kind) = text.split_once(':').ok_or_else(refuse)?;
        let size = *SIZES.iter().find(|known| known.name.eq_ignore_ascii_case(size)).ok_or_else(refuse)?;
        let split = kind.find(|c: char| c.is_ascii_digit()).unwrap_or(kind.len());
        let (kind, recursions) = match (&kind[..split], &kind[split..]) {
            ("vanilla", "") => (Kind::Vanilla, 1),
            ("recursive", n @ ("2" | "3" | "4")) => (Kind::Recursive, n.parse().map_err(|_| refuse())?),
            ("mor", n @ ("2" | "3" | "4")) => (Kind::Mor, n.parse().map_err(|_| refuse())?),
            _ => return Err(refuse()),
        };
        Ok(Self { size, kind, recursions })
    }

    /// Its config: middle-cycle, expert-choice with a linear router and a cache per recursion, as the paper's best.
    ///
    /// # Errors
    /// None for the shapes that [`Shape::parse`] gives.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        let Size { layers, hidden, heads, kv_heads, wide, vocabulary, .. } = self.size;
        // Layers are added where the inner ones do not divide evenly, as the paper does for 4 recursions.
        let layers =
            if self.kind == Kind::Vanilla { layers } else { 2 + (layers - 2).next_multiple_of(self.recursions) };
        let recursion = json!({"count": self.recursions, "sharing": "middle_cycle"});
        let block: Value = match self.kind {
            Kind::Vanilla => json!({}),
            Kind::Recursive => json!({"recursion": recursion}),
            Kind::Mor => json!({"recursion": recursion, "router": {"kind": "expert"}}),
        };
        let config = json!({
            "model_type": "llama", "hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
            "max_position_embeddings": 2048, "isobath": block,
        });
        ModelConfig::from_json(&config.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_model_and_others_are_refused() {
        for size in SIZES {
            for kind in ["vanilla", "recursive2", "recursive3", "recursive4", "mor2", "mor3", "mor4"] {
                let text = format!("{}:{kind}", size.name);
                let config = Shape::parse(&text).map(|shape| shape.config().expect(&text));
                assert!(config.is_ok(), "{text}");
            }
        }
        for text in ["", "360M", "360M:mor5", "360M:mor", "5M:mor3", ":", "360M:vanilla2"] {
            assert!(Shape::parse(text).is_err(), "{text}");
        }
    }
}
