//! Which low-rank adapters a file holds, and whether they can be used.
//!
//! **Invariant:** adapters come in pairs, A `[rank, in]` and B `[out, rank]`, on linears of unrolled recursive
//! layers; anything else is an error, because an adapter that is left out changes the output in silence.

use crate::error::{ModelError, refuse};
use crate::network::config::ModelConfig;
use crate::network::names::{Linear, MOST_ERRORS, lora_a, lora_b};
use crate::tensor::TensorSource;

/// Rank of the adapter of one linear, `None` where it has none; an error where the pair cannot be used.
pub fn rank(
    config: &ModelConfig,
    source: &dyn TensorSource,
    layer: u32,
    linear: Linear,
) -> Result<Option<usize>, ModelError> {
    let (name_a, name_b) = (lora_a(layer, linear), lora_b(layer, linear));
    let (a, b) = match (source.info(&name_a)?, source.info(&name_b)?) {
        (Some((_, a)), Some((_, b))) => (a, b),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(lonely(name_a, &name_b)),
        (Some(_), None) => return Err(lonely(name_b, &name_a)),
    };
    let [out, input] = linear.shape(config);
    let rank = a.first().copied().unwrap_or(0).max(1);
    if a != [rank, input] {
        return Err(ModelError::Shape { name: name_a, found: a, expected: vec![rank, input] });
    }
    if b != [out, rank] {
        return Err(ModelError::Shape { name: name_b, found: b, expected: vec![out, rank] });
    }
    Ok(Some(rank))
}

fn lonely(name: String, partner: &str) -> ModelError {
    ModelError::MissingTensor { name, because: format!("`isobath.lora` is set and the file holds `{partner}`") }
}

/// Adds what is wrong with the adapters to `errors`, up to the limit.
pub(crate) fn check(config: &ModelConfig, source: &dyn TensorSource, errors: &mut Vec<ModelError>) {
    let mut pairs = 0;
    for name in source.names().iter().filter(|name| name.contains(".lora_")) {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        let Some((layer, linear, is_a)) = parse(name).filter(|(layer, ..)| config.recursion_of(*layer).is_some())
        else {
            errors.push(refuse(format!(
                "tensor `{name}` is an adapter that cannot be used; adapters are for the seven linears of recursive \
                 layers, as in `{}`",
                lora_a(1, Linear::Query)
            )));
            continue;
        };
        if config.lora.is_none() {
            errors.push(refuse(format!("the file holds the adapter `{name}`, but `isobath.lora` is not set")));
            return;
        }
        // A pair is looked at once: through its A, or through a B that stands alone.
        if !is_a && !matches!(source.info(&lora_a(layer, linear)), Ok(None)) {
            continue;
        }
        match rank(config, source, layer, linear) {
            Ok(_) => pairs += 1,
            Err(error) => errors.push(error),
        }
    }
    if config.lora.is_some() && pairs == 0 && errors.len() < MOST_ERRORS {
        errors.push(refuse(format!(
            "`isobath.lora` is set, but the file holds no pair of adapters such as `{}` and `{}`",
            lora_a(1, Linear::Query),
            lora_b(1, Linear::Query)
        )));
    }
}

/// Layer, linear, and whether it is the A of its pair.
fn parse(name: &str) -> Option<(u32, Linear, bool)> {
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let linear = *Linear::ALL.iter().find(|linear| rest.starts_with(linear.path()))?;
    [true, false]
        .into_iter()
        .find(|is_a| name == if *is_a { lora_a(layer, linear) } else { lora_b(layer, linear) })
        .map(|is_a| (layer, linear, is_a))
}
