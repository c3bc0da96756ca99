//! Floating-point operations by formula, a multiply and an add counted as two.

use crate::network::config::ModelConfig;
use crate::network::plan::Plan;

/// Operations of one decoded token.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenFlops {
    /// Prologue, epilogue and head: what every token runs.
    pub outside: f64,
    /// One round, the mean of them where they differ in length.
    pub round: f64,
    /// Number of rounds.
    pub rounds: f64,
}

impl TokenFlops {
    /// Operations with `context` entries to attend to.
    pub fn of(config: &ModelConfig, plan: &Plan, context: f64) -> Self {
        let wide = |x: u32| f64::from(x);
        let (hidden, head) = (wide(config.hidden_size), wide(config.head_dim));
        let queries = wide(config.n_heads) * head;
        let keys = wide(config.n_kv_heads) * head;
        let products =
            hidden * (queries + 2.0 * keys) + queries * hidden + 3.0 * hidden * wide(config.intermediate_size);
        let layer = 2.0 * products + 4.0 * context * queries;
        let outer = (plan.prologue.len() + plan.epilogue.len()) as f64;
        let inner: usize = plan.rounds.iter().map(|round| round.layers.len()).sum();
        let rounds = plan.rounds.len().max(1) as f64;
        Self { outside: outer * layer + Self::head(config), round: inner as f64 * layer / rounds, rounds }
    }

    /// Operations of the head alone.
    pub fn head(config: &ModelConfig) -> f64 {
        2.0 * f64::from(config.hidden_size) * f64::from(config.vocab_size)
    }

    /// Operations at a depth.
    pub fn at(&self, depth: f64) -> f64 {
        self.outside + depth * self.round
    }

    /// The speed-up over full depth that no engine can exceed.
    pub fn ceiling(&self, mean_depth: f64) -> f64 {
        self.at(self.rounds) / self.at(mean_depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::shape::Shape;

    #[test]
    fn the_paper_s_ceilings_are_near() {
        // Mean depths (N + 1) / 2; the paper's ceilings of 1.33, 1.5 and 1.6 leave out all that is not in a round.
        for (text, depth, block) in [("360M:mor2", 1.5, 1.333), ("360M:mor3", 2.0, 1.5), ("360M:mor4", 2.5, 1.6)] {
            let config = Shape::parse(text).expect("shape").config().expect("config");
            let plan = Plan::of(&config).expect("plan");
            let flops = TokenFlops::of(&config, &plan, 0.0);
            assert!((TokenFlops { outside: 0.0, ..flops }.ceiling(depth) - block).abs() < 1e-3);
            assert!(flops.ceiling(depth) < block && flops.ceiling(depth) > 1.2, "{}", flops.ceiling(depth));
        }
    }
}
