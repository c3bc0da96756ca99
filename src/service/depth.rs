//! Who decides on depth: commands that change it, and the same on a device that takes a lost one's place.

use super::message::{FailureKind, Update};
use super::serve::Server;
use crate::depth::policy::Rule;
use crate::engine::Engine;
use crate::error::Error;

/// What was set, in place of what the model brings.
#[derive(Debug, Default)]
pub(super) struct Decides {
    gate: Option<String>,
    thresholds: Option<Vec<f32>>,
    rule: Option<Rule>,
}

impl Decides {
    /// Sets it again.
    pub async fn on(&self, engine: &mut Engine) -> Result<(), Error> {
        if let Some(gate) = &self.gate {
            engine.set_gate(gate).await?;
        }
        if let Some(thresholds) = &self.thresholds {
            engine.set_thresholds(thresholds)?;
        }
        if let Some(rule) = self.rule {
            engine.set_rule(rule)?;
        }
        Ok(())
    }
}

impl Server<'_> {
    /// Another gate, with its own thresholds and rule.
    pub(super) async fn set_gate(&mut self, gate: String) {
        match self.engine.set_gate(&gate).await {
            Ok(()) => {
                self.decides = Decides { gate: Some(gate.clone()), ..Decides::default() };
                (self.send)(Update::Gate { gate: Some(gate) });
            }
            Err(error) => self.failed(FailureKind::Refused, None, error.to_string()),
        }
    }

    pub(super) fn set_thresholds(&mut self, thresholds: Vec<f32>) {
        match self.engine.set_thresholds(&thresholds) {
            Ok(()) => {
                self.decides.thresholds = Some(thresholds.clone());
                (self.send)(Update::Thresholds { thresholds });
            }
            Err(error) => self.failed(FailureKind::Refused, None, error.to_string()),
        }
    }

    pub(super) fn set_rule(&mut self, rule: Rule) {
        match self.engine.set_rule(rule) {
            Ok(()) => {
                self.decides.rule = Some(rule);
                (self.send)(Update::Rule { rule });
            }
            Err(error) => self.failed(FailureKind::Refused, None, error.to_string()),
        }
    }
}
