//! The plan that runs as a picture in text: what runs in which order, what shares weights, where gates stand.

use isobath::network::config::ModelConfig;
use isobath::network::names::{self, Linear, Norm};
use isobath::network::plan::{Operation, Plan};

use super::depth;

/// Consecutive layers that belong together.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Stage {
    /// `prologue`, `round 2`, `epilogue`; `rounds 1-30` where several differ in their layers alone.
    pub name: String,
    /// Unrolled layers in order.
    pub layers: Vec<u32>,
    /// The layers whose weights these use, in the same order.
    pub weights: Vec<u32>,
    /// What these layers have of their own although they share weights.
    pub own: Vec<&'static str>,
    /// What is decided before these layers run.
    pub gate: Option<String>,
    /// What is done to a row before the first of them.
    pub entry: Option<&'static str>,
    /// What is done to a row behind the last of them.
    pub end: Option<&'static str>,
    /// The rounds of the plan, from 0.
    #[serde(skip)]
    rounds: Vec<u32>,
}

/// All stages in order.
pub fn stages(config: &ModelConfig, plan: &Plan) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    stages.extend(stage(config, plan, plan.prologue.clone(), None, "prologue"));
    for (round, now) in (0u32..).zip(&plan.rounds) {
        let Some(mut stage) = stage(config, plan, now.layers.clone(), Some(round), "") else { continue };
        stage.gate = plan.gate.as_ref().and_then(|gate| depth::gate(plan, gate, round));
        (stage.entry, stage.end) = (now.entry.map(operation), now.end.map(operation));
        match stages.last_mut().filter(|last| !plan.shared && joins(last, &stage)) {
            Some(last) => {
                last.layers.extend(stage.layers);
                last.weights.extend(stage.weights);
                last.rounds.push(round);
            }
            None => stages.push(stage),
        }
    }
    for stage in stages.iter_mut().filter(|stage| !stage.rounds.is_empty()) {
        stage.name = match stage.rounds[..] {
            [one] => format!("round {}", one + 1),
            [first, .., last] => format!("rounds {}-{}", first + 1, last + 1),
            [] => continue,
        };
        if stage.repeats() {
            stage.own = own(config, &stage.layers);
        }
    }
    stages.extend(stage(config, plan, plan.epilogue.clone(), None, "epilogue"));
    stages
}

/// Layers of the plan, as round `round` runs them; `None` where there are none.
fn stage(
    config: &ModelConfig,
    plan: &Plan,
    range: std::ops::Range<usize>,
    round: Option<u32>,
    name: &str,
) -> Option<Stage> {
    let layers = plan.layers.get(range).filter(|layers| !layers.is_empty())?;
    let at = |unrolled: &[u32]| unrolled[(round.unwrap_or(0) as usize).min(unrolled.len() - 1)];
    // A layer that runs at several depths has the weights of the first; else the names of its tensors tell.
    let weights = |unrolled: &[u32]| if unrolled.len() > 1 { unrolled[0] } else { config.unique(unrolled[0]) };
    Some(Stage {
        name: name.to_owned(),
        layers: layers.iter().map(|layer| at(&layer.unrolled)).collect(),
        weights: layers.iter().map(|layer| weights(&layer.unrolled)).collect(),
        own: layers.first().map_or_else(Vec::new, |layer| own(config, &layer.unrolled)),
        gate: None,
        entry: None,
        end: None,
        rounds: round.into_iter().collect(),
    })
}

/// Whether a round goes into one line with those before it: all with the same weights, or each with its own.
fn joins(last: &Stage, next: &Stage) -> bool {
    let plain = |stage: &Stage| stage.gate.is_none() && stage.entry.is_none();
    let own = |stage: &Stage| stage.layers == stage.weights;
    let same = last.weights.iter().all(|weights| *weights == next.weights[0]);
    !last.rounds.is_empty() && plain(last) && plain(next) && (same || own(last) && own(next) && last.end == next.end)
}

/// What unrolled layers that share weights have of their own, by the names of their tensors.
fn own(config: &ModelConfig, layers: &[u32]) -> Vec<&'static str> {
    let differ = |name: &dyn Fn(u32) -> String| layers.windows(2).any(|pair| name(pair[0]) != name(pair[1]));
    let parts = [
        (differ(&|layer| names::linear(config, layer, Linear::Query)), "attention"),
        (differ(&|layer| names::norm(config, layer, Norm::BeforeFeedForward)), "norms"),
        (layers.len() > 1 && config.lora.is_some(), "LoRA"),
    ];
    parts.into_iter().filter_map(|(has, what)| has.then_some(what)).collect()
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Encode => "times its recursion encoding",
        Operation::Norm => "normalised",
        Operation::Mix => "mixed with what the prologue left",
    }
}

impl Stage {
    /// Several rounds that use one set of weights.
    fn repeats(&self) -> bool {
        self.rounds.len() > 1 && self.weights[0] == self.weights[1]
    }

    fn remark(&self) -> String {
        let mut parts = Vec::new();
        if self.repeats() {
            parts.push(format!("one set of weights, {} times in place", self.layers.len()));
        } else if self.layers != self.weights {
            parts.push(format!("weights of {}", spans(&self.weights)));
        }
        if self.rounds.len() > 1 && !self.repeats() {
            parts.push("one layer each".to_owned());
        }
        parts.extend(self.own.iter().map(|what| format!("own {what}")));
        parts.extend(self.entry.map(|entry| format!("first {entry}")));
        parts.extend(self.end.map(|end| format!("then {end}")));
        parts.join(", ")
    }
}

/// The picture, one line per stage. `tied` is whether the head uses the embedding's weights.
pub fn picture(config: &ModelConfig, plan: &Plan, tied: bool) -> String {
    let mut rows: Vec<(char, String, String, String)> = Vec::new();
    let mut row = |mark: char, name: &str, what: String, remark: String| {
        rows.push((mark, name.to_owned(), what, remark));
    };
    row('┌', "embedding", format!("{} tokens x {}", config.vocab_size, config.hidden_size), String::new());
    for stage in stages(config, plan) {
        if let Some(gate) = &stage.gate {
            row('◇', "gate", gate.clone(), String::new());
        }
        let mark = if stage.rounds.is_empty() { '│' } else { '├' };
        row(mark, &stage.name, spans(&stage.layers), stage.remark());
    }
    let head = if tied { "tied to the embedding" } else { "its own weights" };
    row('└', "norm, head", head.to_owned(), String::new());
    let width = rows.iter().filter(|row| !row.3.is_empty()).map(|row| row.2.chars().count()).max().unwrap_or(0);
    let line = |(mark, name, what, remark): &(char, String, String, String)| {
        format!("  {mark} {name:<11} {what:<width$}  {remark}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// `layers 1-10`, `layer 4`, `layers 1, 3, 5`, `layers 0-4, 6-10`.
pub fn spans(layers: &[u32]) -> String {
    if let [one] = layers {
        return format!("layer {one}");
    }
    let parts = layers.chunk_by(|a, b| a + 1 == *b);
    let part = |part: &[u32]| match part {
        [first, .., last] if part.len() > 2 || layers.len() == 2 => format!("{first}-{last}"),
        _ => part.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    };
    format!("layers {}", parts.map(part).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use isobath::network::config::{Lora, Sharing};

    use super::super::tests::{config, expert, recursion};
    use super::*;

    fn check(config: &ModelConfig, want: &[&str]) {
        let picture = picture(config, &Plan::of(config).unwrap(), true);
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
                "  ◇ gate        tokens go on whose score is at least 0, the others leave",
                "  ├ round 2     layers 3-4  weights of layers 1-2",
                "  ◇ gate        tokens go on whose score is at least 0, the others leave",
                "  ├ round 3     layers 5-6  weights of layers 1-2",
                "  │ epilogue    layer 7",
                "  └ norm, head  tied to the embedding",
            ],
        );
    }

    #[test]
    fn rounds_of_a_stack_are_one_line() {
        check(
            &config(3),
            &[
                "  ┌ embedding   100 tokens x 8",
                "  ├ rounds 1-3  layers 0-2  one layer each",
                "  └ norm, head  tied to the embedding",
            ],
        );
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
                "  ├ rounds 1-3  layers 1-3  one set of weights, 3 times in place",
                "  ├ rounds 4-6  layers 4-6  one set of weights, 3 times in place",
                "  │ epilogue    layer 7",
                "  └ norm, head  tied to the embedding",
            ],
        );
    }

    #[test]
    fn what_a_round_has_of_its_own_is_named() {
        let mut config = config(4);
        let own = isobath::network::config::Recursion { share_norms: false, ..recursion(2, Sharing::Cycle) };
        config.recursion = Some(isobath::network::config::Recursion { encoding: true, ..own });
        config.lora = Some(Lora { scale: 1.0 });
        let stages = stages(&config, &Plan::of(&config).unwrap());
        assert_eq!(stages.len(), 2);
        assert_eq!(stages[0].remark(), "own norms, own LoRA, then times its recursion encoding");
        assert_eq!(stages[1].remark(), "weights of layers 0-1, own norms, own LoRA, then times its recursion encoding");
    }

    #[test]
    fn layers_are_named_in_runs() {
        let spans = |layers: &[u32]| spans(layers).replace("layers ", "");
        assert_eq!(spans(&[4]), "layer 4");
        assert_eq!(spans(&[1, 2]), "1-2");
        assert_eq!(spans(&[1, 3, 5]), "1, 3, 5");
        assert_eq!(spans(&[0, 1, 2, 4, 5, 6, 7, 9]), "0-2, 4-7, 9");
    }
}
