//! What a config says of depth, as values of the plan: a router becomes scorers, a gate, and a residual rule.
//!
//! **Invariant:** the only reader of [`Router`] beside the config itself and the names of tensors.

use crate::network::config::{KvMode, ModelConfig, Router, RouterFunction, RouterKind, RouterNetwork};
use crate::network::gate::{Gate, Moment, Over, ScoreFunction, Scorer, ScorerLayers};
use crate::network::names::{self, RouterRole};
use crate::network::plan::{MissingKeys, Residual};

/// The scorers that a model has; the first weighs, the last decides.
pub(super) fn scorers(config: &ModelConfig) -> Vec<Scorer> {
    let Some(router) = &config.router else { return vec![] };
    let rounds = 0..config.n_recursions();
    let main = match router.kind {
        RouterKind::Expert => rounds.clone().map(RouterRole::Expert).collect(),
        RouterKind::Token => vec![RouterRole::Token],
    };
    let mut scorers = vec![scorer(config, router, main)];
    if router.auxiliary {
        // The auxiliary router is trained on the undivided input.
        let roles = rounds.map(RouterRole::Auxiliary).collect();
        scorers.push(Scorer { temperature: 1.0, ..scorer(config, router, roles) });
    }
    scorers
}

fn scorer(config: &ModelConfig, router: &Router, roles: Vec<RouterRole>) -> Scorer {
    Scorer {
        layers: match router.network {
            RouterNetwork::Linear => ScorerLayers::Linear,
            RouterNetwork::Mlp => ScorerLayers::Mlp,
        },
        tensors: roles.into_iter().map(|role| names::router(config, router.network, role)).collect(),
        temperature: router.temperature,
        function: match router.function {
            RouterFunction::Identity => ScoreFunction::Identity,
            RouterFunction::Sigmoid => ScoreFunction::Sigmoid,
            RouterFunction::Tanh => ScoreFunction::Tanh,
            RouterFunction::Softmax => ScoreFunction::Softmax,
        },
        alpha: router.alpha,
        bias: (router.bias && router.kind == RouterKind::Token).then(|| names::ROUTER_BIAS.to_owned()),
    }
}

/// Who decides: the main router, or the auxiliary one where there is one, whose scores are not told.
pub(super) fn gate(config: &ModelConfig) -> Option<Gate> {
    let router = config.router.as_ref()?;
    let moment = match router.kind {
        RouterKind::Token => Moment::Once,
        RouterKind::Expert => Moment::EachRound,
    };
    let decider = usize::from(router.auxiliary);
    Some(Gate { reported: Some(0), moment, first_free: !router.gate_first, ..Gate::trained(decider) })
}

/// Top-k: the best of a text by the main router's scores, as the released code reads prompts.
pub(super) fn together(config: &ModelConfig) -> Option<Gate> {
    let router = config.router.as_ref().filter(|router| router.kind == RouterKind::Expert)?;
    let lowest = router.function != RouterFunction::Identity && router.alpha < 0.0;
    let over = Over::Text { share: router.capacity.clone(), lowest };
    Some(Gate { name: "top-k", over, first_free: !router.gate_first, ..Gate::trained(0) })
}

/// A router's rounds are added to the stream, each or all at once; without one a round leaves the stream as it made it.
pub(super) fn residual(config: &ModelConfig) -> Residual {
    match &config.router {
        None => Residual::Replace,
        Some(router) => Residual::Add { weight: router.weighted.then_some(0), once: router.kind == RouterKind::Token },
    }
}

/// What becomes of the keys and values of rounds that a token does not run; of recursive blocks.
pub(super) fn missing(config: &ModelConfig) -> MissingKeys {
    match (config.kv, &config.router) {
        (KvMode::Share { .. } | KvMode::Hybrid, _) => MissingKeys::FromFirst,
        (KvMode::Own, Some(_)) => MissingKeys::Holes,
        (KvMode::Own, None) => MissingKeys::Nothing,
    }
}
