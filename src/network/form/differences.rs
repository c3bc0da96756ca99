//! A form in words: only what differs from the plain case, which is Llama's.

use std::fmt;

use crate::network::form::rotary::{Pairs, RopeScaling, Rotary};
use crate::network::form::{
    Activation, EmbeddedPositions, Form, HeadNorms, LayerForm, Norm, NormKind, Positions, Scores, Sees,
};

/// Something that the plain case has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The part, in a word or two.
    pub part: &'static str,
    /// What it is here.
    pub is: String,
    /// The unrolled layers in which it is so; empty for what stands outside of layers.
    pub layers: Vec<u32>,
}

const POSITIONS: &str = "positions";

/// What a layer may differ in.
type Look = fn(&Form, &LayerForm) -> Option<String>;

/// Every part of a layer.
const PARTS: [(&str, Look); 10] = [
    ("norms", |_, layer| norms(layer)),
    ("sees", |_, layer| match layer.attention.sees {
        Sees::Past => None,
        Sees::Window(entries) => Some(format!("a window of {entries}")),
        Sees::All => Some("all rows, later ones too".into()),
    }),
    ("scores", |form, layer| scores(layer.attention.scores, 1.0 / (form.head_dim as f32).sqrt())),
    ("heads", |_, layer| match layer.attention.head_norms {
        HeadNorms::None => None,
        HeadNorms::Each(norm) => Some(format!("queries and keys normalised head by head{}", kind(norm))),
        HeadNorms::All(norm) => Some(format!("queries and keys normalised over all heads{}", kind(norm))),
    }),
    (POSITIONS, positions),
    ("feed-forward", |_, layer| (!layer.feed_forward.glu).then(|| "without a gate".into())),
    ("activation", |_, layer| match layer.feed_forward.activation {
        Activation::Silu => None,
        Activation::GeluTanh => Some("GELU (by tanh)".into()),
        Activation::Gelu => Some("GELU".into()),
        Activation::Relu => Some("ReLU".into()),
        Activation::ReluSquared => Some("squared ReLU".into()),
    }),
    ("order", |_, layer| layer.parallel.then(|| "attention and feed-forward part side by side".into())),
    ("residual", |_, layer| (layer.residual != 1.0).then(|| format!("each part times {}", layer.residual))),
    ("biases", |_, layer| {
        let biases = layer.biases;
        let parts = [(biases.qkv, "q, k, v"), (biases.output, "o"), (biases.feed_forward, "feed-forward part")];
        let parts: Vec<&str> = parts.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
        (!parts.is_empty()).then(|| format!("on {}", parts.join(", ")))
    }),
];

impl Form {
    /// What differs from the plain case: embedding, layers part by part, head. Empty for a plain Llama network.
    pub fn differences(&self) -> Vec<Difference> {
        let outside = |part, is: Option<String>| is.map(|is| Difference { part, is, layers: Vec::new() });
        let scale = self.embedding.scale;
        let positions = match self.embedding.positions {
            EmbeddedPositions::None => None,
            EmbeddedPositions::Learned => Some("plus learned positions"),
            EmbeddedPositions::Sinusoidal => Some("plus sinusoidal positions"),
        };
        let before = [
            outside("embedding", (scale != 1.0).then(|| format!("times {scale}"))),
            outside("embedding", positions.map(str::to_owned)),
            outside("embedding", self.embedding.norm.map(|norm| format!("normalised{}", kind(norm)))),
        ];
        let behind = [
            outside("final norm", kind_of(self.final_norm).map(str::to_owned)),
            outside("logits", scores(self.logits, 1.0)),
        ];
        let inside = PARTS.into_iter().flat_map(|(part, look)| self.in_layers(part, look));
        before.into_iter().flatten().chain(inside).chain(behind.into_iter().flatten()).collect()
    }

    /// The first of them that is not of positions: what a conversion that only moves weights about cannot follow.
    pub fn first_difference_but_of_positions(&self) -> Option<Difference> {
        self.differences().into_iter().find(|difference| difference.part != POSITIONS)
    }

    /// What a part is where it is not plain, each with its layers.
    fn in_layers(&self, part: &'static str, look: Look) -> Vec<Difference> {
        let mut found: Vec<Difference> = Vec::new();
        for (at, layer) in (0u32..).zip(&self.layers) {
            let Some(is) = look(self, layer) else { continue };
            match found.iter_mut().find(|difference| difference.is == is) {
                Some(difference) => difference.layers.push(at),
                None => found.push(Difference { part, is, layers: vec![at] }),
            }
        }
        found
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.part, self.is)
    }
}

/// Norms of a layer other than RMS in front of both parts.
fn norms(layer: &LayerForm) -> Option<String> {
    let before = match layer.before {
        None => Some("none in front".to_owned()),
        Some(norm) => kind_of(norm).map(str::to_owned),
    };
    let after = layer.after.map(|after| {
        let what = if after.of_sum { "of the sum behind each part" } else { "behind each part" };
        format!("{what}{}", kind(after.norm))
    });
    let parts: Vec<String> = [before, after].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn kind_of(norm: Norm) -> Option<&'static str> {
    match norm.kind {
        NormKind::Rms => None,
        NormKind::RmsFromOne => Some("weights count from 1"),
        NormKind::RmsUnweighted => Some("without weights"),
        NormKind::Layer => Some("LayerNorm"),
        NormKind::LayerWithBias => Some("LayerNorm with bias"),
    }
}

fn kind(norm: Norm) -> String {
    kind_of(norm).map_or_else(String::new, |kind| format!(" ({kind})"))
}

fn scores(scores: Scores, plain: f32) -> Option<String> {
    let scale = (scores.scale != plain).then(|| format!("times {}", scores.scale));
    let cap = scores.cap.map(|cap| format!("capped at {cap}"));
    let parts: Vec<String> = [scale, cap].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn positions(form: &Form, layer: &LayerForm) -> Option<String> {
    match layer.attention.positions {
        Positions::None => Some("none".into()),
        Positions::RelativeBias { buckets, furthest } => {
            Some(format!("a bias by distance, in {buckets} buckets up to {furthest}"))
        }
        Positions::Rotary(index) => {
            let rotary = form.rotaries.get(index)?;
            let words = rotary_words(rotary, form.head_dim);
            // A base alone differs from layer to layer or not at all.
            (index > 0 || !words.is_empty()).then(|| format!("rotary base {}{words}", rotary.base))
        }
    }
}

/// What differs in a rotary embedding, each with a comma in front.
fn rotary_words(rotary: &Rotary, head_dim: u32) -> String {
    let mut words = String::new();
    if rotary.turned != head_dim {
        words += &format!(", the first {} of {head_dim} numbers", rotary.turned);
    }
    if rotary.pairs == Pairs::Neighbours {
        words += ", neighbouring numbers";
    }
    words
        + &match &rotary.scaling {
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
