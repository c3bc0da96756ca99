//! The plan of a model as a picture in text: what runs in which order, what shares weights, where gates stand.

use isobath::network::config::{ModelConfig, RouterFunction, RouterKind, RouterNetwork, Sharing};

/// Consecutive layers that belong together.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Stage {
    /// `prologue`, `round 2`, `epilogue`; `repeated` for layers that repeat in place, `layers` without recursion.
    pub name: String,
    /// Unrolled layers in order.
    pub layers: Vec<u32>,
    /// The layers whose weights these use, in the same order.
    pub weights: Vec<u32>,
    /// What is decided before these layers run.
    pub gate: Option<&'static str>,
}

/// All stages in order.
pub fn stages(config: &ModelConfig) -> Vec<Stage> {
    let in_place = config
        .recursion
        .is_some_and(|recursion| matches!(recursion.sharing, Sharing::Sequence | Sharing::MiddleSequence));
    let mut stages: Vec<Stage> = Vec::new();
    for layer in 0..config.n_layers {
        let weights = config.unique(layer);
        let recursion = config.recursion_of(layer);
        let name = match recursion {
            None if config.recursion.is_none() => "layers".to_owned(),
            None if layer == 0 => "prologue".to_owned(),
            None => "epilogue".to_owned(),
            Some(_) if in_place => "repeated".to_owned(),
            Some(round) => format!("round {}", round + 1),
        };
        match stages.last_mut() {
            Some(last) if last.name == name && (!in_place || last.weights[0] == weights) => {
                last.layers.push(layer);
                last.weights.push(weights);
            }
            _ => {
                let gate = recursion.filter(|_| !in_place).and_then(|round| gate(config, round));
                stages.push(Stage { name, layers: vec![layer], weights: vec![weights], gate });
            }
        }
    }
    stages
}

/// What is decided before this round, counted from 0.
fn gate(config: &ModelConfig, round: u32) -> Option<&'static str> {
    let router = config.router.as_ref()?;
    match router.kind {
        RouterKind::Token if round == 0 => Some("the router chooses how many rounds each token runs"),
        RouterKind::Expert if round > 0 => Some("tokens go on whose logit is at least 0, the others leave"),
        RouterKind::Expert if router.gate_first => Some("tokens enter whose logit is at least 0"),
        RouterKind::Expert | RouterKind::Token => None,
    }
}

/// The router in words.
pub fn router(config: &ModelConfig) -> Option<String> {
    let router = config.router.as_ref()?;
    let kind = match router.kind {
        RouterKind::Expert => "expert-choice, one per round",
        RouterKind::Token => "token-choice, one for all rounds",
    };
    let network = match router.network {
        RouterNetwork::Linear => "linear",
        RouterNetwork::Mlp => "MLP",
    };
    let gate = match router.function {
        RouterFunction::Identity => "logit".to_owned(),
        RouterFunction::Sigmoid => format!("{} sigmoid(logit)", router.alpha),
        RouterFunction::Tanh => format!("{} tanh(logit)", router.alpha),
        RouterFunction::Softmax => format!("{} softmax(logits)", router.alpha),
    };
    let mut text = format!("{kind}, {network}, gate = {gate}");
    text += if router.weighted { ", multiplies the round's output" } else { ", only decides" };
    if router.temperature != 1.0 {
        text += &format!(", temperature {}", router.temperature);
    }
    if router.auxiliary {
        text += ", an auxiliary router decides";
    }
    if router.bias {
        text += ", with a bias per depth";
    }
    Some(text)
}

/// The picture, one line per stage. `tied` is whether the head uses the embedding's weights.
pub fn picture(config: &ModelConfig, tied: bool) -> String {
    let mut rows: Vec<(char, String, String, String)> = Vec::new();
    let mut row = |mark: char, name: &str, what: String, remark: String| {
        rows.push((mark, name.to_owned(), what, remark));
    };
    row('┌', "embedding", format!("{} tokens x {}", config.vocab_size, config.hidden_size), String::new());
    for stage in stages(config) {
        if let Some(gate) = stage.gate {
            row('◇', "gate", gate.to_owned(), String::new());
        }
        let round = stage.name.starts_with("round") || stage.name == "repeated";
        let mark = if round { '├' } else { '│' };
        row(mark, &stage.name, spans(&stage.layers), remark(config, &stage));
    }
    let head = if tied { "tied to the embedding" } else { "its own weights" };
    row('└', "norm, head", head.to_owned(), String::new());
    let width = rows.iter().filter(|row| !row.3.is_empty()).map(|row| row.2.chars().count()).max().unwrap_or(0);
    let line = |(mark, name, what, remark): &(char, String, String, String)| {
        format!("  {mark} {name:<11} {what:<width$}  {remark}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Whose weights a stage uses, and what it has of its own all the same.
fn remark(config: &ModelConfig, stage: &Stage) -> String {
    let Some(recursion) = config.recursion else { return String::new() };
    let mut parts = Vec::new();
    let repeats = stage.name == "repeated";
    if repeats && stage.layers.len() > 1 {
        parts.push(format!("one set of weights, {} times in place", stage.layers.len()));
    } else if stage.layers != stage.weights {
        parts.push(format!("weights of {}", spans(&stage.weights)));
    }
    if repeats || stage.name.starts_with("round") {
        let own = [
            (!recursion.share_attention, "own attention"),
            (!recursion.share_norms, "own norms"),
            (config.lora.is_some(), "own LoRA"),
            (recursion.encoding, "own recursion encoding"),
        ];
        parts.extend(own.iter().filter(|(has, _)| *has).map(|(_, what)| (*what).to_owned()));
    }
    parts.join(", ")
}

/// `layers 1-10`, `layer 4`, `layers 1, 3, 5`.
pub fn spans(layers: &[u32]) -> String {
    match layers {
        [one] => format!("layer {one}"),
        [first, .., last] if layers.windows(2).all(|pair| pair[1] == pair[0] + 1) => format!("layers {first}-{last}"),
        _ => format!("layers {}", layers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, expert, recursion};
    use super::*;

    fn check(config: &ModelConfig, want: &[&str]) {
        let picture = picture(config, true);
        assert_eq!(picture.lines().collect::<Vec<_>>(), want, "\n{picture}");
    }

    #[test]
    fn a_mixture_of_recursions_has_gates_between_its_rounds() {
        let mut config = config(8);
        config.recursion = Some(recursion(3, Sharing::MiddleCycle));
        config.router = Some(expert());
        check(
            &config,
            &[
                "  ┌ embedding   100 tokens x 8",
                "  │ prologue    layer 0",
                "  ├ round 1     layers 1-2",
                "  ◇ gate        tokens go on whose logit is at least 0, the others leave",
                "  ├ round 2     layers 3-4  weights of layers 1-2",
                "  ◇ gate        tokens go on whose logit is at least 0, the others leave",
                "  ├ round 3     layers 5-6  weights of layers 1-2",
                "  │ epilogue    layer 7",
                "  └ norm, head  tied to the embedding",
            ],
        );
        assert_eq!(
            router(&config).unwrap(),
            "expert-choice, one per round, linear, gate = 0.1 sigmoid(logit), multiplies the round's output"
        );
    }

    #[test]
    fn a_stack_is_one_stage() {
        check(
            &config(3),
            &["  ┌ embedding   100 tokens x 8", "  │ layers      layers 0-2", "  └ norm, head  tied to the embedding"],
        );
        assert_eq!(router(&config(3)), None);
    }

    #[test]
    fn layers_that_repeat_in_place_are_shown_as_groups() {
        let mut config = config(8);
        config.recursion = Some(recursion(3, Sharing::MiddleSequence));
        check(
            &config,
            &[
                "  ┌ embedding   100 tokens x 8",
                "  │ prologue    layer 0",
                "  ├ repeated    layers 1-3  one set of weights, 3 times in place",
                "  ├ repeated    layers 4-6  one set of weights, 3 times in place",
                "  │ epilogue    layer 7",
                "  └ norm, head  tied to the embedding",
            ],
        );
    }

    #[test]
    fn what_a_round_has_of_its_own_is_named() {
        let mut config = config(4);
        let own = isobath::network::config::Recursion { share_norms: false, ..recursion(2, Sharing::Cycle) };
        config.recursion = Some(own);
        config.lora = Some(isobath::network::config::Lora { scale: 1.0 });
        let stages = stages(&config);
        assert_eq!(stages.len(), 2);
        assert_eq!(remark(&config, &stages[0]), "own norms, own LoRA");
        assert_eq!(remark(&config, &stages[1]), "weights of layers 0-1, own norms, own LoRA");
    }

    #[test]
    fn token_choice_decides_once_and_a_gated_first_round_at_once() {
        let mut config = config(4);
        config.recursion = Some(recursion(2, Sharing::Cycle));
        let gates = |config: &ModelConfig| stages(config).iter().map(|stage| stage.gate.is_some()).collect::<Vec<_>>();
        config.router = Some(expert());
        assert_eq!(gates(&config), [false, true]);
        config.router.as_mut().unwrap().gate_first = true;
        assert_eq!(gates(&config), [true, true]);
        config.router.as_mut().unwrap().kind = RouterKind::Token;
        assert_eq!(gates(&config), [true, false]);
    }
}
