//! The experiments: adaptive depth against full depth, and gates against none.

use isobath::bench::ledger::Outcome;
use isobath::bench::work::{Work, WorkDepth};
use isobath::engine::Engine;
use isobath::network::flops::TokenFlops;
use isobath::runtime::tick::Order;
use pollster::block_on;

use super::super::args::Experiment;
use super::super::progress::Progress;
use super::choice::Group;
use super::row::{Repeated, Setting};
use super::table::Table;
use super::{Bencher, With, repeated};

/// One of the things that run in turns.
#[derive(Debug, Clone, Copy)]
struct Variant {
    engine: usize,
    order: Order,
    work: Work,
}

impl Bencher<'_> {
    /// Tokens of the longest sequence that is likely.
    pub(super) fn longest(&self) -> u32 {
        self.command.prompt.max(1) + self.command.mean + 4 * self.deviation()
    }

    fn deviation(&self) -> u32 {
        self.command.deviation.unwrap_or(self.command.mean / 4)
    }

    pub(super) fn experiments(
        &self,
        group: &Group,
        engine: &mut Engine,
        setting: &Setting,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        if self.command.experiment.contains(&Experiment::Depth) {
            self.depth_experiment(engine, setting, table)?;
        }
        if self.command.gateless {
            let mut gateless = self.load(group, With { gates: false, ..self.usual() })?;
            self.gateless_experiment(engine, &mut gateless, setting, table)?;
        }
        Ok(())
    }

    fn work(&self, engine: &Engine, depth: WorkDepth) -> Work {
        Work {
            requests: engine.lanes() * self.command.requests,
            prompt: self.command.prompt,
            mean: self.command.mean as f32,
            deviation: self.deviation() as f32,
            seed: 1,
            depth,
        }
    }

    /// Orders to try: the one that was asked for, or all that the model can follow.
    fn orders(&self, engine: &Engine) -> Vec<Order> {
        match (self.command.order, engine.can_mix()) {
            (Some(_), _) => vec![engine.order()],
            (None, true) => vec![Order::Waves, Order::Mixed],
            (None, false) => vec![Order::Waves],
        }
    }

    /// Both in the order that is best for each: the baseline is the fastest full depth that this engine has.
    fn depth_experiment(&self, engine: &mut Engine, setting: &Setting, table: &mut Table) -> anyhow::Result<()> {
        let adaptive = self.work(engine, self.depth()?);
        let full = Work { depth: WorkDepth::Fixed(engine.plan().n_rounds()), ..adaptive };
        let orders = self.orders(engine);
        let variant = |work: Work| orders.iter().map(move |&order| Variant { engine: 0, order, work });
        let variants: Vec<Variant> = variant(adaptive).chain(variant(full)).collect();
        let name = format!("depth x{}", engine.lanes());
        let mut outcomes = self.in_turns(&name, &mut [&mut *engine], &variants)?.into_iter();
        let mut best = |_: &str| -> anyhow::Result<Repeated> {
            let mut all = vec![];
            for (&order, outcomes) in orders.iter().zip(outcomes.by_ref()) {
                all.push(repeated(engine, order, outcomes, adaptive.mean_context(), false)?);
            }
            if let Some(pair) = all.windows(2).find(|pair| pair[0].hash() != pair[1].hash()) {
                anyhow::bail!("another order gave other tokens: {} and {}", pair[0].hash(), pair[1].hash());
            }
            all.into_iter()
                .max_by(|a, b| a.median().total_cmp(&b.median()))
                .ok_or_else(|| anyhow::anyhow!("there is no order to measure"))
        };
        let (own, other) = (best("adaptive")?, best("full depth")?);
        let flops = TokenFlops::of(engine.config(), engine.plan(), adaptive.mean_context());
        let mut row = own.row(name, setting, engine.lanes(), engine);
        let ceiling = flops.ceiling(row.mean_depth);
        row.compare(&own, &other, "full depth", Some(ceiling));
        table.row(&row)
    }

    /// Every order with itself: what a gate costs is another matter than what an order costs.
    fn gateless_experiment(
        &self,
        engine: &mut Engine,
        gateless: &mut Engine,
        setting: &Setting,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let full = self.work(engine, WorkDepth::Fixed(engine.plan().n_rounds()));
        for order in self.orders(engine) {
            let variants = [0, 1].map(|engine| Variant { engine, order, work: full });
            let name = format!("gates x{}", engine.lanes());
            let mut outcomes = self.in_turns(&name, &mut [&mut *engine, &mut *gateless], &variants)?.into_iter();
            let mut next = |engine: &Engine| {
                repeated(engine, order, outcomes.next().unwrap_or_default(), full.mean_context(), false)
            };
            let (own, other) = (next(engine)?, next(gateless)?);
            let mut row = own.row(name, setting, engine.lanes(), engine);
            // Full depth on both sides: without gates it would be reached.
            row.compare(&own, &other, "no gates", Some(1.0));
            table.row(&row)?;
        }
        Ok(())
    }

    /// Repeats each variant beside the others; whoever goes first changes from one repetition to the next.
    fn in_turns(
        &self,
        name: &str,
        engines: &mut [&mut Engine],
        variants: &[Variant],
    ) -> anyhow::Result<Vec<Vec<Outcome>>> {
        let start = self.start;
        let clock = || start.elapsed().as_secs_f64();
        let mut run = |variant: &Variant, short: bool| -> anyhow::Result<Outcome> {
            let engine = &mut *engines[variant.engine];
            block_on(engine.set_order(variant.order))?;
            let work = variant.work;
            let warm_up = Work { requests: engine.lanes(), mean: 4.0, deviation: 0.0, ..work };
            Ok(block_on(if short { warm_up } else { work }.run(engine, &clock))?)
        };
        for variant in variants {
            run(variant, true)?;
        }
        self.turns(name, variants.len(), |which| run(&variants[which], false))
    }

    /// Runs so many things in turns, as often as is asked for; what came of each.
    pub(super) fn turns<T: Clone>(
        &self,
        name: &str,
        things: usize,
        mut run: impl FnMut(usize) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<Vec<T>>> {
        let bar = Progress::counting(self.loading.quiet, name);
        let mut outcomes = vec![vec![]; things];
        for repetition in 0..self.command.repetitions as usize {
            for turn in 0..things {
                let done = repetition * things + turn;
                bar.set(done as u64, u64::from(self.command.repetitions) * things as u64);
                let which = (repetition + turn) % things;
                outcomes[which].push(run(which)?);
            }
        }
        bar.end();
        Ok(outcomes)
    }
}
