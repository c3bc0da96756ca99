//! Who goes deeper, set from outside: the gate, its thresholds and its rule.

use super::Engine;
use crate::depth::policy::{AT_LEAST, ExitPolicy, Rule};
use crate::error::{Error, RequestError};
use crate::gpu::Source;
use crate::network::gate::Gate;
use crate::runtime::gates::{GateState, deciding};

/// Calls a rule and nothing else.
const RULE_ALONE: &str = "@compute @workgroup_size(1) fn rule_alone() { _ = goes_on(0.0, 0.0, 0.0, 0u); }";

impl Engine {
    /// The gate that decides on depth; `None` where every token runs all rounds.
    pub fn gate(&self) -> Option<&Gate> {
        self.weights.gate.gate.as_ref()
    }

    /// The threshold of each round, first round first; meaningless where the gate has none.
    pub fn thresholds(&self) -> &[f32] {
        &self.weights.gate.thresholds
    }

    /// Puts another gate in place of the one before it, by its name among [`Plan::gates`]; its own thresholds and rule hold.
    /// It decides from the next tick on, for sequences under way too, and what these computed before is shared with no later
    /// prompt.
    ///
    /// # Errors
    /// A name that is not known, a model that cannot be run with it, or no room for what it measures. The gate before it
    /// stays.
    ///
    /// [`Plan::gates`]: crate::network::plan::Plan::gates
    pub async fn set_gate(&mut self, name: &str) -> Result<(), Error> {
        if let Some(exit) = self.exit_mode() {
            let range = format!("left alone while tokens leave early by {}", exit.mode.name());
            return Err(RequestError::Setting { name: "gate", value: name.to_owned(), range }.into());
        }
        let gate = self.plan.gate_named(name)?;
        if self.deferring().is_some() {
            let range = "left alone while layers are put off".into();
            return Err(RequestError::Setting { name: "gate", value: name.into(), range }.into());
        }
        let state = GateState::of(&self.gpu, gate.measure, &self.state.sizes, self.config.vocab_size)?;
        self.gpu.check().await?;
        // Bind groups of the gate before would keep what it measured with.
        self.gpu.forget_bind_groups();
        self.weights.gate.state = state;
        self.weights.gate.rule = gate.rule.text();
        let thresholds: Option<Vec<f32>> = gate.has_thresholds().then(|| vec![gate.threshold; self.plan.rounds.len()]);
        self.weights.gate.gate = Some(gate);
        if let Some(thresholds) = thresholds {
            self.set_thresholds(&thresholds)?;
        }
        Ok(())
    }

    /// Puts a policy in place of the gate's own; it holds from the next tick on, for sequences under way too. What these computed
    /// under the policy before is shared with no later prompt.
    ///
    /// # Errors
    /// A model without a gate that is asked before each round; [`GpuError::Pipeline`](crate::error::GpuError::Pipeline) with
    /// the compiler's words for a rule that is no WGSL. The policy before it stays.
    pub async fn set_policy(&mut self, policy: &dyn ExitPolicy) -> Result<(), Error> {
        let rule = policy.rule();
        if let Some(gate) = self.gate().filter(|_| rule != AT_LEAST) {
            let (kernel, source) = deciding(gate.measure, rule);
            self.gpu.try_pipeline(kernel, &source).await?;
            // By itself, so that it names nothing of the kernel: what it could write there others use unchecked.
            self.gpu.try_pipeline("rule_alone", &Source { parts: vec![rule, RULE_ALONE], constants: vec![] }).await?;
        }
        let thresholds: Vec<f32> = (0..self.plan.n_rounds()).map(|round| policy.threshold(round)).collect();
        self.set_thresholds(&thresholds)?;
        self.weights.gate.rule = rule;
        Ok(())
    }

    /// Puts one of the rules that come with this crate in place of the one before it; thresholds stay. Holds from the next
    /// tick on, for sequences under way too.
    ///
    /// # Errors
    /// A model without a gate that is asked before each round.
    pub fn set_rule(&mut self, rule: Rule) -> Result<(), RequestError> {
        self.has_thresholds("rule", format!("{rule:?}"))?;
        // What is kept of earlier prompts was computed with other depths, and so is a part of what is under way.
        self.scheduler.policy_changed();
        self.weights.gate.rule = rule.text();
        Ok(())
    }

    /// Refuses to set what only a gate asks for that decides before each round.
    fn has_thresholds(&self, name: &'static str, value: String) -> Result<(), RequestError> {
        if self.gate().is_some_and(Gate::has_thresholds) {
            return Ok(());
        }
        let range = "left alone: this model has no gate that decides before each round".into();
        Err(RequestError::Setting { name, value, range })
    }

    /// Sets the threshold of each round, first round first; what it asks for is the rule's matter. Holds from the next tick
    /// on. The threshold of a gate that was trained is 0, and one where the first round is free for all counts for nothing.
    ///
    /// # Errors
    /// A model without a gate that is asked before each round, or another number of rounds.
    pub fn set_thresholds(&mut self, thresholds: &[f32]) -> Result<(), RequestError> {
        self.has_thresholds("threshold", format!("{thresholds:?}"))?;
        if thresholds.len() != self.plan.rounds.len() || thresholds.iter().any(|x| x.is_nan()) {
            let range = format!("one number for each of {} rounds", self.plan.n_rounds());
            return Err(RequestError::Setting { name: "threshold", value: format!("{thresholds:?}"), range });
        }
        // Infinite numbers would make NaN of an infinite score.
        let bias: Vec<f32> = thresholds.iter().map(|x| -x.clamp(-1e30, 1e30)).collect();
        // What is kept of earlier prompts was computed with other depths, and so is a part of what is under way.
        self.scheduler.policy_changed();
        self.gpu.write(&self.weights.gate.bias, 0, &bias);
        self.weights.gate.thresholds = thresholds.to_vec();
        Ok(())
    }
}
