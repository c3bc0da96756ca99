//! From a kit to who guesses by it.

use crate::engine::guessing::{PathOrigin, PathSource, ReadoutSource};
use crate::error::RequestError;
use crate::network::kit::{Exit, Kit, Readout};

/// A guess that is less probable ends those of its sequence.
const LEAST_PROBABILITY: f32 = 0.15;

/// A part that can guess.
struct Part {
    name: String,
    from: PathOrigin,
    /// Tokens that a guess and its check write, for what they cost.
    worth: f64,
}

/// Of the whole model, a guess that costs so many layers, and one row more.
fn worth(agreement: Option<f64>, layers: f64, rounds: u32) -> f64 {
    let all = f64::from(rounds.max(1));
    (1.0 + agreement.unwrap_or(0.3)) * all / (1.05 * all + layers)
}

fn parts(kit: &Kit, rounds: u32) -> Vec<Part> {
    let jump = kit.jump.iter().map(|jump| Part {
        name: "jump".to_owned(),
        from: PathOrigin::Jump { weight: jump.weight.values.clone(), bias: jump.bias.values.clone() },
        // A matrix and a part of the head cost about as much as a layer.
        worth: worth(jump.calibration.agreement, 1.0, rounds),
    });
    let exits = kit.exits.iter().map(|exit| Part {
        name: format!("exit-{}", exit.depth),
        from: PathOrigin::Rounds { rounds: exit.depth, readout: readout(exit) },
        worth: worth(exit.calibration.agreement, f64::from(exit.depth + 1), rounds),
    });
    jump.chain(exits).collect()
}

fn readout(exit: &Exit) -> ReadoutSource {
    let norm = exit.norm.values.clone();
    match &exit.readout {
        Readout::State { weight, bias } => {
            ReadoutSource::Linear { norm, weight: weight.values.clone(), bias: bias.values.clone() }
        }
        Readout::Logits { head } => ReadoutSource::Head { norm, weight: head.values.clone() },
    }
}

/// Who guesses by a part of a kit: the one of that name, or the one that is worth most for a model of so many rounds.
pub(super) fn path_of(kit: &Kit, part: Option<&str>, rounds: u32) -> Result<PathSource, RequestError> {
    let parts = parts(kit, rounds);
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let chosen = match part {
        Some(name) => parts.into_iter().find(|part| part.name == name),
        None => parts.into_iter().max_by(|a, b| a.worth.total_cmp(&b.worth)),
    };
    let Some(Part { from, .. }) = chosen else {
        let range = if names.is_empty() {
            "another: nothing of this kit can guess (it has neither a jump nor exits)".to_owned()
        } else {
            format!("one of the kit's parts that can guess: {}", names.join(", "))
        };
        return Err(RequestError::Setting { name: "draft", value: part.unwrap_or("the kit").to_owned(), range });
    };
    Ok(PathSource { from, head_rows: Some(kit.head_rows), least_probability: LEAST_PROBABILITY })
}
