//! What can be run of a form: the one place that says no.
//!
//! A part that kernels learn leaves this list.

use crate::error::ModelError;
use crate::network::form::rotary::{Pairs, Rotary};
use crate::network::form::{Attention, EmbeddedPositions, Form, HeadNorms, LayerForm, Norm, NormKind, Positions, Sees};

/// A part that cannot be run, and what can in its place.
type Refusal = Option<(String, &'static str)>;

impl Form {
    /// Whether everything in it can be run.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] with the first part that cannot, its value, its layer, and what can.
    pub fn check(&self) -> Result<(), ModelError> {
        let outside = refused_outside(self).map(|refusal| (refusal, None));
        let layers = (0u32..).zip(&self.layers);
        let inside = || layers.into_iter().find_map(|(at, layer)| Some((refused_in(self, layer)?, Some(at))));
        let Some(((what, supported), layer)) = outside.or_else(inside) else { return Ok(()) };
        let place = layer.map_or_else(String::new, |layer| format!(" in layer {layer}"));
        Err(ModelError::Unsupported { what: format!("{what}{place}"), supported: supported.into() })
    }
}

fn refuse(is: bool, what: impl FnOnce() -> String, supported: &'static str) -> Refusal {
    is.then(|| (what(), supported))
}

fn refused_outside(form: &Form) -> Refusal {
    let positions = match form.embedding.positions {
        EmbeddedPositions::None => None,
        EmbeddedPositions::Learned => Some("learned positions"),
        EmbeddedPositions::Sinusoidal => Some("sinusoidal positions"),
    };
    let rotary = "rotary embeddings, or no positions";
    let norm = |what: &str, norm: Norm| refused_norm(norm).map(|kind| (format!("{kind} {what}"), RMS));
    None.or(positions.map(|what| (format!("{what} that are added to the embedding"), rotary)))
        .or_else(|| refuse(form.embedding.norm.is_some(), || "a norm behind the embedding".into(), "none"))
        .or_else(|| form.rotaries.iter().find_map(|rotary| refused_rotary(form, rotary)))
        .or_else(|| norm("in front of the head", form.final_norm))
        .or_else(|| form.logits.cap.map(|cap| (format!("logits capped at {cap}"), "logits as they are")))
}

fn refused_in(form: &Form, layer: &LayerForm) -> Refusal {
    let (attention, feed_forward) = (&layer.attention, layer.feed_forward);
    let norm = |what: &str, norm: Norm| refused_norm(norm).map(|kind| (format!("{kind} {what}"), RMS));
    let of_sum = layer.after.is_some_and(|after| after.of_sum);
    let sum = || "norms of the sum behind attention and feed-forward part".into();
    layer
        .before
        .and_then(|before| norm("in front of attention", before))
        .or_else(|| layer.after.and_then(|after| norm("behind attention", after.norm)))
        .or_else(|| refuse(of_sum, sum, "norms in front of them, or of what they add"))
        .or_else(|| refuse(layer.parallel, || "attention beside the feed-forward part".into(), "one after the other"))
        .or_else(|| {
            let what = || format!("a residual stream that takes {} of each part", layer.residual);
            refuse(layer.residual != 1.0, what, "the sum of the parts")
        })
        .or_else(|| refused_attention(form, attention))
        .or_else(|| {
            refuse(!feed_forward.glu, || "a feed-forward part without a gate".into(), "one with a gate (SwiGLU)")
        })
}

fn refused_attention(form: &Form, attention: &Attention) -> Refusal {
    let head_norms = match attention.head_norms {
        HeadNorms::None => None,
        HeadNorms::Each(norm) => refused_norm(norm).map(|kind| (format!("{kind} of queries and keys"), RMS)),
        HeadNorms::All(_) => Some(("a norm over all heads of queries and keys".to_owned(), "a norm of each head")),
    };
    let positions = match attention.positions {
        Positions::None => None,
        Positions::Rotary(index) if index < form.rotaries.len() => None,
        Positions::Rotary(index) => Some((format!("rotary embedding {index}"), "one of those that the form lists")),
        Positions::RelativeBias { .. } => Some(("a bias of scores by distance".to_owned(), "rotary embeddings")),
    };
    let scores = attention.scores;
    refuse(attention.sees == Sees::All, || "attention to later tokens".into(), "attention to earlier ones")
        .or_else(|| scores.cap.map(|cap| (format!("scores of attention capped at {cap}"), "scores as they are")))
        .or(head_norms)
        .or(positions)
}

const RMS: &str = "an RMS norm with weights";

/// The kind, if it cannot be run.
fn refused_norm(norm: Norm) -> Option<&'static str> {
    match norm.kind {
        NormKind::Rms | NormKind::RmsFromOne => None,
        NormKind::RmsUnweighted => Some("an RMS norm without weights"),
        NormKind::Layer => Some("a LayerNorm"),
        NormKind::LayerWithBias => Some("a LayerNorm with bias"),
    }
}

fn refused_rotary(form: &Form, rotary: &Rotary) -> Refusal {
    let part = form.head_dim != rotary.turned;
    refuse(part, || format!("a rotary embedding of {} of {} numbers", rotary.turned, form.head_dim), "the whole head")
        .or_else(|| {
            let what = || "a rotary embedding of neighbouring numbers".into();
            refuse(rotary.pairs == Pairs::Neighbours, what, "one of the two halves of a head")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::config::ModelConfig;
    use crate::network::family::FAMILIES;
    use crate::network::form::{After, Scores};

    fn form(model_type: &str) -> Form {
        let text = format!(
            r#"{{"model_type":"{model_type}","hidden_size":64,"intermediate_size":96,"num_hidden_layers":3,
                "num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"vocab_size":96}}"#
        );
        Form::of(&ModelConfig::from_json(&text).unwrap())
    }

    #[test]
    fn every_family_of_the_table_can_be_run() {
        for family in FAMILIES {
            form(family.model_type).check().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name_and_layer() {
        let refused = |change: &dyn Fn(&mut Form), parts: &[&str]| {
            let mut form = form("qwen3");
            change(&mut form);
            let message = form.check().expect_err(parts[0]).to_string();
            for part in parts {
                assert!(message.contains(part), "`{message}` lacks `{part}`");
            }
        };
        let norm = Norm { kind: NormKind::LayerWithBias, epsilon: 1e-5 };
        refused(&|form| form.embedding.positions = EmbeddedPositions::Learned, &["learned positions", "rotary"]);
        refused(&|form| form.embedding.positions = EmbeddedPositions::Sinusoidal, &["sinusoidal positions"]);
        refused(&|form| form.embedding.norm = Some(norm), &["norm behind the embedding"]);
        refused(&|form| form.final_norm = norm, &["LayerNorm with bias", "in front of the head", "RMS"]);
        refused(&|form| form.logits.cap = Some(30.0), &["logits capped at 30"]);
        refused(&|form| form.rotaries[0].turned = 8, &["8 of 16 numbers", "the whole head"]);
        refused(&|form| form.rotaries[0].pairs = Pairs::Neighbours, &["neighbouring numbers"]);
        refused(&|form| form.layers[1].before = Some(norm), &["LayerNorm with bias in front of attention in layer 1"]);
        refused(&|form| form.layers[1].after = Some(After { norm, of_sum: false }), &["behind attention in layer 1"]);
        let rms = Norm { kind: NormKind::Rms, epsilon: 1e-5 };
        refused(
            &|form| form.layers[2].after = Some(After { norm: rms, of_sum: true }),
            &["norms of the sum", "layer 2"],
        );
        refused(&|form| form.layers[0].parallel = true, &["beside the feed-forward part in layer 0"]);
        refused(&|form| form.layers[0].residual = 0.22, &["takes 0.22 of each part"]);
        refused(&|form| form.layers[2].attention.sees = Sees::All, &["later tokens in layer 2"]);
        let capped = Scores { scale: 0.25, cap: Some(50.0) };
        refused(&|form| form.layers[2].attention.scores = capped, &["attention capped at 50 in layer 2"]);
        refused(&|form| form.layers[2].attention.head_norms = HeadNorms::All(rms), &["over all heads", "each head"]);
        let bias = Positions::RelativeBias { buckets: 32, furthest: 128 };
        refused(&|form| form.layers[0].attention.positions = bias, &["bias of scores by distance"]);
        refused(&|form| form.layers[0].attention.positions = Positions::Rotary(1), &["rotary embedding 1"]);
        refused(&|form| form.layers[0].feed_forward.glu = false, &["without a gate in layer 0", "SwiGLU"]);
        let unweighted = Norm { kind: NormKind::RmsUnweighted, epsilon: 1e-5 };
        refused(&|form| form.layers[0].attention.head_norms = HeadNorms::Each(unweighted), &["without weights"]);
    }
}
