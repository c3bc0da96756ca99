//! Who goes how deep, in words: gates, scorers, and what becomes of results, keys and values.

use isobath::depth::policy::Rule;
use isobath::network::gate::{Change, Gate, HeadStatistic, Measure, Moment, Over, ScoreFunction, Scorer, ScorerLayers};
use isobath::network::plan::{Commitment, MissingKeys, Plan, PlanLayer, Residual, Writes};

/// All of it, from the plan that runs.
#[derive(Debug, serde::Serialize)]
pub struct Depth {
    /// The model's own small networks.
    pub scorers: Vec<String>,
    /// The gate over all rows of a text, where the model was trained so.
    pub together: Option<String>,
    /// What becomes of a round's result.
    pub residual: String,
    /// What becomes of the keys and values of rounds that a token does not run.
    pub missing_keys: &'static str,
    /// What a token is that leaves.
    pub commitment: &'static str,
    /// Classes of cache pages.
    pub cache_classes: u32,
    /// The caches of all layers, in the order of the plan.
    pub caches: Vec<CacheFact>,
}

/// The cache of a layer of the plan.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct CacheFact {
    /// The unrolled layers that it serves.
    pub layers: Vec<u32>,
    /// Index of the buffer.
    pub buffer: usize,
    /// Class of pages at each depth.
    pub classes: Vec<u32>,
    /// `always`, `first round` or `never`.
    pub writes: &'static str,
    /// Entries are counted by token that ran the round, not by position.
    pub compact: bool,
    /// Entries of the first round stand in for those that are not there.
    pub overlay: bool,
}

/// What the plan says of depth.
pub fn depth(plan: &Plan) -> Depth {
    Depth {
        scorers: plan.scorers.iter().map(scorer).collect(),
        together: plan.together.as_ref().map(together),
        residual: residual(plan),
        missing_keys: missing(plan.missing),
        commitment: match plan.commitment {
            Commitment::Final => "stands",
            Commitment::Guess => "is checked by more rounds",
        },
        cache_classes: plan.classes,
        caches: plan.layers.iter().map(cache).collect(),
    }
}

/// The lines under the picture; nothing of what a plain stack has.
pub fn text(plan: &Plan) -> String {
    let facts = depth(plan);
    let mut lines: Vec<(String, String)> = Vec::new();
    for (number, scorer) in (1..).zip(&facts.scorers) {
        lines.push((format!("scorer {number}"), scorer.clone()));
    }
    lines.extend(facts.together.map(|together| ("text at once".to_owned(), together)));
    if plan.residual != Residual::Replace {
        lines.push(("result".into(), facts.residual));
    }
    if plan.missing != MissingKeys::Nothing {
        lines.push(("left out".into(), facts.missing_keys.into()));
    }
    if plan.commitment != Commitment::Final {
        lines.push(("token".into(), facts.commitment.into()));
    }
    let shared = plan.layers.iter().filter(|layer| layer.cache.writes == Writes::Never).count();
    if plan.classes > 1 || shared > 0 {
        lines.push(("caches".into(), caches(plan, shared)));
    }
    lines.into_iter().map(|(name, line)| format!("    {name:<13} {line}\n")).collect()
}

/// What is decided before this round, counted from 0.
pub fn gate(plan: &Plan, gate: &Gate, round: u32) -> Option<String> {
    let before = if round == 0 { gate.moment == Moment::Once || !gate.first_free } else { gate.asks(round) };
    if !before {
        return None;
    }
    let which =
        |scorer: usize| if plan.scorers.len() > 1 { format!(" of scorer {}", scorer + 1) } else { String::new() };
    if gate.moment == Moment::Once {
        let scorer = if let Measure::Scorer(scorer) = gate.measure { which(scorer) } else { String::new() };
        return Some(format!("the largest score{scorer} is how many rounds each token runs"));
    }
    let measure = match gate.measure {
        Measure::Scorer(scorer) => format!("score{}", which(scorer)),
        Measure::Accumulated(scorer) => format!("sum of values{}", which(scorer)),
        Measure::Head(HeadStatistic::TopTwoGap) => "gap between the two most probable tokens".into(),
        Measure::Head(HeadStatistic::Largest) => "largest probability".into(),
        Measure::Head(HeadStatistic::Entropy) => "entropy".into(),
        Measure::Change(Change::Cosine) => "cosine with the round before".into(),
        Measure::Change(Change::Distance) => "distance from the round before".into(),
    };
    let rule = match gate.rule {
        Rule::AtLeast => "is at least",
        Rule::Rising => "has risen by at least",
        Rule::AtMost => "is at most",
        Rule::Below => "is below",
    };
    let (verb, others) = if round == 0 { ("enter", "") } else { ("go on", ", the others leave") };
    Some(format!("tokens {verb} whose {measure} {rule} {}{others}", gate.threshold))
}

fn scorer(scorer: &Scorer) -> String {
    let layers = match scorer.layers {
        ScorerLayers::Linear => "linear",
        ScorerLayers::Mlp => "MLP",
    };
    let number = if scorer.tensors.len() > 1 { "one per round" } else { "one for all rounds" };
    let value = match scorer.function {
        ScoreFunction::Identity => "score".to_owned(),
        ScoreFunction::Sigmoid => format!("{} sigmoid(score)", scorer.alpha),
        ScoreFunction::Tanh => format!("{} tanh(score)", scorer.alpha),
        ScoreFunction::Softmax => format!("{} softmax(scores)", scorer.alpha),
    };
    let mut text = format!("{layers}, {number}, value = {value}");
    if scorer.temperature != 1.0 {
        text += &format!(", temperature {}", scorer.temperature);
    }
    if scorer.bias.is_some() {
        text += ", with a bias per depth";
    }
    text
}

fn together(gate: &Gate) -> String {
    let Over::Text { share, lowest } = &gate.over else { return "each token by itself".into() };
    let best = if *lowest { "lowest" } else { "highest" };
    let shares: Vec<String> = share.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect();
    format!("{}, on request: the {best} scores of a prompt run, by round {}", gate.name, shares.join(", "))
}

fn residual(plan: &Plan) -> String {
    match plan.residual {
        Residual::Replace => "a round's result is the stream".into(),
        Residual::Add { weight, once } => {
            let whose = if once { "the last round's" } else { "each round's" };
            let times = weight.map_or_else(String::new, |scorer| match plan.scorers.len() {
                1 => ", times the scorer's value".into(),
                _ => format!(", times the value of scorer {}", scorer + 1),
            });
            format!("{whose} is added to the stream{times}")
        }
    }
}

fn missing(missing: MissingKeys) -> &'static str {
    match missing {
        MissingKeys::Nothing => "no keys and values are left out",
        MissingKeys::FromFirst => "keys and values of round 1 stand in for those of rounds that a token did not run",
        MissingKeys::Propagated => "keys and values of rounds that a token did not run are made from its last state",
        MissingKeys::Deferred => {
            "keys and values of rounds that a token did not run are made when a later one runs them"
        }
        MissingKeys::Holes => "later tokens attend to the keys and values of those that ran the round",
        MissingKeys::FromExit => "keys and values of a token's last round are copied to those it did not run",
        MissingKeys::LastWrite => "each layer keeps a token's keys and values of the last round that ran",
    }
}

fn writes(writes: Writes) -> &'static str {
    match writes {
        Writes::Always => "always",
        Writes::FirstRound => "first round",
        Writes::Never => "never",
    }
}

fn cache(layer: &PlanLayer) -> CacheFact {
    let cache = &layer.cache;
    CacheFact {
        layers: layer.unrolled.clone(),
        buffer: cache.buffer,
        classes: (0..layer.unrolled.len() as u32).map(|depth| cache.class_base + depth * cache.class_step).collect(),
        writes: writes(cache.writes),
        compact: cache.compact,
        overlay: cache.overlay,
    }
}

/// How many, and what their classes of pages are for.
fn caches(plan: &Plan, shared: usize) -> String {
    let mut text = match shared {
        0 => "one for each layer".to_owned(),
        _ => format!("{} for {} layers, {shared} of which read another's", plan.cache_buffers, plan.layers.len()),
    };
    match plan.classes {
        1 => {}
        2 => text += "; pages of class 0 outside the rounds, of class 1 for all rounds",
        classes => {
            text += &format!("; pages of class 0 outside the rounds, of classes 1-{} round by round", classes - 1)
        }
    }
    if plan.compact() {
        text += ", counted by tokens that ran the round";
    }
    text
}

#[cfg(test)]
mod tests {
    use isobath::network::config::{KvMode, ModelConfig, RouterFunction, RouterKind, Sharing};
    use isobath::network::gate::GATES;

    use super::super::tests::{config, expert, recursion};
    use super::*;

    fn recursive(change: impl Fn(&mut ModelConfig)) -> Plan {
        let mut config = config(8);
        config.recursion = Some(recursion(3, Sharing::MiddleCycle));
        config.router = Some(expert());
        config.router.as_mut().unwrap().capacity = vec![1.0, 0.5, 0.25];
        change(&mut config);
        Plan::of(&config).unwrap()
    }

    #[test]
    fn a_mixture_of_recursions_is_told_in_full() {
        let plan = recursive(|_| ());
        assert_eq!(
            text(&plan),
            "    scorer 1      linear, one per round, value = 0.1 sigmoid(score)\n    \
                 text at once  top-k, on request: the highest scores of a prompt run, by round 100 %, 50 %, 25 %\n    \
                 result        each round's is added to the stream, times the scorer's value\n    \
                 left out      later tokens attend to the keys and values of those that ran the round\n    \
                 caches        one for each layer; pages of class 0 outside the rounds, of classes 1-3 round by round, \
                 counted by tokens that ran the round\n"
        );
        let facts = depth(&plan);
        let cache = CacheFact {
            layers: vec![1, 3, 5],
            buffer: 1,
            classes: vec![1, 2, 3],
            writes: "always",
            compact: true,
            overlay: false,
        };
        assert_eq!(facts.caches[1], cache);
    }

    #[test]
    fn a_plain_stack_needs_no_words() {
        assert_eq!(text(&Plan::of(&config(3)).unwrap()), "");
    }

    #[test]
    fn gates_stand_where_they_are_asked() {
        let gates =
            |plan: &Plan| (0..3).map(|round| gate(plan, plan.gate.as_ref().unwrap(), round)).collect::<Vec<_>>();
        let on = Some("tokens go on whose score is at least 0, the others leave".to_owned());
        assert_eq!(gates(&recursive(|_| ())), [None, on.clone(), on.clone()]);
        let first = recursive(|config| config.router.as_mut().unwrap().gate_first = true);
        assert_eq!(gates(&first)[0].as_deref(), Some("tokens enter whose score is at least 0"));
        let second = recursive(|config| config.router.as_mut().unwrap().auxiliary = true);
        assert!(gates(&second)[1].as_ref().unwrap().contains("score of scorer 2 is"), "{:?}", gates(&second));
        let token = recursive(|config| {
            let router = config.router.as_mut().unwrap();
            (router.kind, router.function, router.capacity) = (RouterKind::Token, RouterFunction::Softmax, vec![]);
        });
        assert_eq!(gates(&token), [Some("the largest score is how many rounds each token runs".into()), None, None]);
        assert!(text(&token).contains("the last round's is added"), "{}", text(&token));
        let words = GATES.map(|other| gate(&first, &other, 1).unwrap());
        assert!(words[0].contains("gap between the two most probable tokens is at most 0.9"), "{words:?}");
        assert!(words[1].contains("cosine with the round before is below 0.99"), "{words:?}");
    }

    #[test]
    fn keys_that_stand_in_are_told() {
        let share = recursive(|config| config.kv = KvMode::Share { count: 3, sharing: Sharing::MiddleCycle });
        let said = text(&share);
        for part in ["round 1 stand in", "class 1 for all rounds"] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        let mut config = config(6);
        config.kv = KvMode::Share { count: 3, sharing: Sharing::Sequence };
        assert!(text(&Plan::of(&config).unwrap()).contains("2 for 6 layers, 4 of which read another's"));
    }
}
