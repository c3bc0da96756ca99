//! What a benchmark asks of an engine beside writing: a clock, another order, a cache without memories, sizes.

use super::request::Request;
use super::{Engine, SequenceId};
use crate::error::{Error, RequestError};
use crate::runtime::memory::Memory;
use crate::runtime::step::Depth;
use crate::runtime::tick::Order;
use crate::schedule::Scheduler;

/// Decides how deep tokens go, in place of the model: so a machine is measured without trained weights. Gates are computed
/// all the same. What is read runs all rounds.
pub struct DepthSource {
    /// Tells it from others: where it and the seed are equal, so are the depths.
    pub identity: u64,
    /// Rounds of the token at a position, by the seed of its request's [`Sampling`](super::request::Sampling): at least 1, and
    /// no more than the model has.
    pub rounds: Box<dyn Fn(u64, u32) -> u32 + Send>,
}

/// What a [`DepthSource`] says of a request.
pub(super) struct Depths {
    /// Rounds of each position.
    pub rounds: Vec<u32>,
    /// Equal for equal depths, whatever the number of tokens to write.
    pub key: u64,
}

impl Engine {
    /// From now on [`Statistics::host`](super::Statistics::host) tells where the host's time goes. The library has no
    /// clock; this one gives nanoseconds since any moment and never goes back.
    pub fn set_clock(&mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) {
        self.clock = Some(std::sync::Arc::new(clock));
    }

    /// The clock's time; always 0 without one.
    pub(super) fn now(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| clock())
    }

    /// From now on depths of sequences that are submitted are decided by another than the model, where their requests do not
    /// say how deep they are; none leaves it to the model again. For sequences under way nothing changes.
    pub fn set_depths(&mut self, source: Option<DepthSource>) {
        self.depths = source;
    }

    /// The rounds of each position up to the last that a request may reach, behind its prompt; none where the model decides.
    pub(super) fn depths_of(&self, request: &Request, depth: Depth) -> Option<Depths> {
        let source = self.depths.as_ref().filter(|_| request.depth.is_none() && matches!(depth, Depth::Fixed(_)))?;
        let (first, seed, most) = (request.prompt.len() as u32, request.sampling.seed, self.plan.n_rounds());
        let end = first.saturating_add(request.max_tokens).min(self.context());
        let rounds = |position| if position < first { most } else { (source.rounds)(seed, position).clamp(1, most) };
        // The prompt, which runs all rounds, is told from the rest by its length.
        let words = [source.identity, seed, u64::from(first)];
        let hash = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(29);
        Some(Depths {
            rounds: (0..end).map(rounds).collect(),
            key: words.into_iter().fold(0xcbf2_9ce4_8422_2325, hash),
        })
    }

    /// Makes the pipelines that steps and ticks of every size take, so that no text waits for one: natively several at once.
    /// `progress` is told how many of how many are made. Where pipelines are compiled only when they first run there is nothing
    /// to be gained, and nothing is made.
    ///
    /// # Errors
    /// Sequences under way, or a kernel that the device refuses.
    pub async fn prepare(&mut self, progress: &mut dyn FnMut(usize, usize)) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(RequestError::Busy.into());
        }
        if self.gpu.traits().compiles_at_once {
            let wanted = self.network().rehearse(self.order)?;
            self.gpu.prepare(&wanted, progress).await?;
            self.gpu.check().await?;
        }
        Ok(())
    }

    /// Whether lanes at different rounds can share a pass.
    pub fn can_mix(&self) -> bool {
        self.plan.mixable
    }

    /// Runs the rounds in another order from now on. What was kept for later prompts is forgotten.
    ///
    /// # Errors
    /// Sequences under way, an order that the model cannot follow, or what the GPU reports.
    pub async fn set_order(&mut self, order: Order) -> Result<(), Error> {
        if !self.is_idle() {
            return Err(RequestError::Busy.into());
        }
        if order == Order::Mixed && !self.can_mix() {
            return Err(cannot_mix().into());
        }
        if order == self.order {
            return Ok(());
        }
        for ahead in std::mem::take(&mut self.in_flight) {
            let _: Vec<u32> = self.gpu.finish(ahead.pending).await?;
        }
        // The new scheduler knows of no lane that is to be switched off.
        (0..self.lanes()).for_each(|lane| self.state.stop(&self.gpu, lane));
        self.lanes.fill(None);
        self.order = order;
        let prefix_cache = self.scheduler.keeps_prefixes();
        let shape = Self::shape(&self.plan, &self.state, order, prefix_cache);
        // Sizes that were fit for one order are fit for the other.
        self.scheduler = Scheduler::new(shape).map_err(|refusal| RequestError::Setting {
            name: "order",
            value: format!("{order:?}"),
            range: refusal.to_string(),
        })?;
        Ok(())
    }

    /// Forgets what was kept for later prompts that begin like earlier ones.
    pub fn forget_prefixes(&mut self) {
        self.scheduler.forget_prefixes();
    }

    /// What the model takes of the GPU's memory, and how much of it each lane.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.config, &self.plan, &self.weights, &self.state)
    }

    /// Ends all sequences and tells nothing more of them.
    pub fn cancel_all(&mut self) {
        let ids: Vec<SequenceId> = self.active.keys().copied().collect();
        for id in ids {
            self.cancel(id);
        }
        self.events.clear();
    }
}

/// Why a model keeps to waves.
pub(super) fn cannot_mix() -> RequestError {
    let range = "waves: rounds of this model do not share all their weights".to_owned();
    RequestError::Setting { name: "order", value: "mixed".into(), range }
}
