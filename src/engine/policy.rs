//! Who goes deeper, set from outside: thresholds and rules of an expert-choice model.

use std::fmt::Debug;

use super::Engine;
use crate::depth::policy::{AT_LEAST, ExitPolicy, Rule};
use crate::error::{Error, RequestError};
use crate::kernels::exits::gate;
use crate::network::config::RouterKind;

impl Engine {
    /// Puts a policy in place of the model's own; it holds from the next tick on, for sequences under way too. What these computed
    /// under the policy before is shared with no later prompt.
    ///
    /// # Errors
    /// A model without an expert-choice router; [`GpuError::Pipeline`](crate::error::GpuError::Pipeline) with the
    /// compiler's words for a rule that is no WGSL. The policy before it stays.
    pub async fn set_policy(&mut self, policy: &dyn ExitPolicy) -> Result<(), Error> {
        let rule = policy.rule();
        if rule != AT_LEAST {
            self.gpu.try_pipeline("gate", &gate::source(rule)).await?;
        }
        let thresholds: Vec<f32> = (0..self.plan.n_rounds()).map(|round| policy.threshold(round)).collect();
        self.set_thresholds(&thresholds)?;
        self.weights.router_rule = rule;
        Ok(())
    }

    /// Puts one of the rules that come with this crate in place of the one before it; thresholds stay. Holds from the next
    /// tick on, for sequences under way too.
    ///
    /// # Errors
    /// A model without an expert-choice router.
    pub fn set_rule(&mut self, rule: Rule) -> Result<(), RequestError> {
        self.expert_choice("rule", &rule)?;
        // What is kept of earlier prompts was computed with other depths, and so is a part of what is under way.
        self.scheduler.policy_changed();
        self.weights.router_rule = rule.text();
        Ok(())
    }

    /// Refuses to set what only an expert-choice router asks for.
    fn expert_choice(&self, name: &'static str, value: &dyn Debug) -> Result<(), RequestError> {
        if self.config.router.as_ref().is_some_and(|router| router.kind == RouterKind::Expert) {
            return Ok(());
        }
        let range = "left alone: this model has no expert-choice router".into();
        Err(RequestError::Setting { name, value: format!("{value:?}"), range })
    }

    /// Shifts the threshold of each round of an expert-choice model: a token goes on where its score is at least this.
    /// Holds from the next tick on; a trained model's own threshold is 0.
    ///
    /// # Errors
    /// A model without an expert-choice router, or another number of rounds.
    pub fn set_thresholds(&mut self, thresholds: &[f32]) -> Result<(), RequestError> {
        self.expert_choice("threshold", &thresholds)?;
        if thresholds.len() != self.plan.rounds.len() || thresholds.iter().any(|x| x.is_nan()) {
            let range = format!("one number for each of {} rounds", self.plan.n_rounds());
            return Err(RequestError::Setting { name: "threshold", value: format!("{thresholds:?}"), range });
        }
        // Infinite numbers would make NaN of an infinite score.
        let bias: Vec<f32> = thresholds.iter().map(|x| -x.clamp(-1e30, 1e30)).collect();
        // What is kept of earlier prompts was computed with other depths, and so is a part of what is under way.
        self.scheduler.policy_changed();
        self.gpu.write(&self.weights.router_bias, 0, &bias);
        Ok(())
    }
}
