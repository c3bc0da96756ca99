//! The experiments with guesses: those of a drafter that is right as often as is wanted, and `auto`, each against none.

use isobath::bench::drafting::{Texts, tokens_per_check};
use isobath::bench::ledger::Outcome;
use isobath::bench::median;
use isobath::engine::Engine;
use isobath::engine::drafters::DraftSource;
use isobath::engine::guessing::{Counts, Guesses};
use isobath::error::RequestError;
use isobath::runtime::tick::Order;
use pollster::block_on;

use super::super::args::{Experiment, OrderChoice};
use super::choice::Group;
use super::row::{Guessed, Setting};
use super::table::Table;
use super::{Bencher, With, repeated};

/// Guesses that are tried, where none are asked for; with the next token they fill rows of a power of two.
const TRIED: [u32; 3] = [1, 3, 7];

/// Tokens of prompts that repeat themselves.
const REPEATING: u32 = 48;

/// Two engines of the same model: one without room for guesses, as where nobody guesses, and one with.
struct Pair {
    off: Engine,
    on: Engine,
    texts: Texts,
    setting: Setting,
    /// Most tokens that a tick writes for a lane.
    span: u32,
}

/// One way to guess.
#[derive(Debug, Clone, PartialEq)]
struct Way {
    source: DraftSource,
    guesses: Guesses,
}

/// What came of a way to guess in one turn, and what was counted.
type Turn = (Outcome, Counts);

impl Bencher<'_> {
    fn texts(&self, repeat: bool) -> Texts {
        let prompt = self.command.prompt.max(if repeat { REPEATING } else { 1 });
        Texts { prompt, tokens: self.command.mean, repeat }
    }

    /// Tokens that the texts of a group's experiments take.
    pub(super) fn texts_context(&self, group: &Group, chunk: u32) -> u32 {
        let most = self.tried().into_iter().max().unwrap_or(0);
        let context = |repeat| self.texts(repeat).context(group.lanes, chunk, 1 + most);
        if group.guesses.is_empty() { 0 } else { context(true).max(context(false)).min(self.config.context_length) }
    }

    fn tried(&self) -> Vec<u32> {
        self.loading.guesses.map_or(TRIED.to_vec(), |guesses| vec![guesses])
    }

    /// Shares of right guesses, in which none is always among: it tells what a pass costs.
    fn shares(&self) -> Result<Vec<f32>, RequestError> {
        let mut shares = self.command.acceptance.clone();
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            let range = "a chance, between 0 and 1".to_owned();
            return Err(RequestError::Setting { name: "acceptance", value: share.to_string(), range });
        }
        shares.sort_by(f32::total_cmp);
        if shares.first() != Some(&0.0) {
            shares.insert(0, 0.0);
        }
        shares.dedup();
        Ok(shares)
    }

    pub(super) fn guess_experiments(&mut self, group: &Group, table: &mut Table) -> anyhow::Result<()> {
        if group.guesses.is_empty() {
            return Ok(());
        }
        if self.command.order == Some(OrderChoice::Mixed) {
            let range = "waves, for experiments with guesses: lanes of different rounds have nothing to check together";
            return Err(RequestError::Setting { name: "order", value: "mixed".into(), range: range.into() }.into());
        }
        // Refused before anything is loaded, or written.
        self.shares()?;
        let with = With { gates: true, guesses: 0, order: Some(Order::Waves) };
        let most = self.tried().into_iter().max().unwrap_or(0);
        let off = self.load(group, with)?;
        let setting = self.setting(&off, table)?;
        let on = self.load(group, With { guesses: most, ..with })?;
        let mut pair = Pair { off, on, texts: self.texts(false), setting, span: 1 + most };
        if group.guesses.contains(&Experiment::Draft) {
            self.draft_experiment(&mut pair, table)?;
        }
        if group.guesses.contains(&Experiment::Auto) {
            for repeat in [false, true] {
                pair.texts = self.texts(repeat);
                self.auto_experiment(&mut pair, table)?;
            }
        }
        Ok(())
    }

    /// Guesses that are right with each chance, for each number of them.
    fn draft_experiment(&mut self, pair: &mut Pair, table: &mut Table) -> anyhow::Result<()> {
        let (shares, lanes, depth) = (self.shares()?, pair.off.lanes(), self.depth()?);
        let scripts = block_on(pair.texts.scripts(&mut pair.off, pair.span, depth))?;
        for guesses in self.tried() {
            let recall = |right: &f32| DraftSource::Recall { scripts: scripts.clone(), right: *right, seed: 1 };
            let way = |right: &f32| Way { source: recall(right), guesses: Guesses::Fixed(guesses) };
            let ways: Vec<Way> = shares.iter().map(way).collect();
            let turns = self.against_none(&format!("draft x{lanes}, {guesses} guesses"), pair, &ways)?;
            let cost = 1.0 / median(&ratios(&turns[0], &turns[1]));
            self.costs.add(lanes, lanes * (1 + guesses), cost);
            for (right, turn) in shares.iter().zip(&turns[1..]) {
                let right = f64::from(*right);
                let (per_check, accepted) = per_check(turn);
                let guessed = Guessed {
                    guesses: Some(guesses),
                    right: Some(right),
                    accepted,
                    tokens_per_check: Some(per_check),
                    expected_per_check: Some(tokens_per_check(right, guesses)),
                    pass_cost: Some(cost),
                    rows_at_half_more: self.costs.rows_at(1.5),
                };
                let name = format!("draft x{lanes}, {guesses} guesses, {:.0} % right", 100.0 * right);
                self.tell(name, pair, (&turns[0], turn), (guessed, Some(per_check / cost)), table)?;
            }
        }
        if let Some(rows) = self.costs.rows_at(1.5).filter(|_| !self.loading.quiet) {
            eprintln!("a pass costs 1.5 times one over a single row at {rows:.1} rows");
        }
        Ok(())
    }

    /// What `--draft auto` checks, which begins each time with nothing known: guesses of the text itself, and such as are right
    /// with each chance.
    fn auto_experiment(&self, pair: &mut Pair, table: &mut Table) -> anyhow::Result<()> {
        let (lanes, depth) = (pair.off.lanes(), self.depth()?);
        let guesses = self.loading.guesses.map_or(Guesses::Auto, Guesses::Fixed);
        let mut ways = vec![(None, Way { source: DraftSource::LOOKUP, guesses })];
        let text = if pair.texts.repeat {
            "a prompt that repeats"
        } else {
            let scripts = block_on(pair.texts.scripts(&mut pair.off, pair.span, depth))?;
            let recall = |right: f32| DraftSource::Recall { scripts: scripts.clone(), right, seed: 1 };
            let way = |right: f32| (Some(f64::from(right)), Way { source: recall(right), guesses });
            ways.extend(self.shares()?.into_iter().map(way));
            "drawn"
        };
        let all: Vec<Way> = ways.iter().map(|(_, way)| way.clone()).collect();
        let turns = self.against_none(&format!("auto x{lanes}, {text}"), pair, &all)?;
        for ((right, _), turn) in ways.iter().zip(&turns[1..]) {
            let (per_check, accepted) = per_check(turn);
            let guessed = Guessed { right: *right, accepted, tokens_per_check: Some(per_check), ..Guessed::default() };
            let who = right.map_or("lookup".to_owned(), |right| format!("{:.0} % right", 100.0 * right));
            let name = format!("auto x{lanes}, {text}, {who}");
            self.tell(name, pair, (&turns[0], turn), (guessed, None), table)?;
        }
        Ok(())
    }

    /// Writes the texts without guesses and in these ways, in turns; what came of none first.
    fn against_none(&self, name: &str, pair: &mut Pair, ways: &[Way]) -> anyhow::Result<Vec<Vec<Turn>>> {
        let (start, depth, span) = (self.start, self.depth()?, pair.span);
        let clock = || start.elapsed().as_secs_f64();
        let mut run = |which: usize, texts: Texts| -> anyhow::Result<Turn> {
            let Some(way) = which.checked_sub(1).map(|way| &ways[way]) else {
                return Ok((block_on(texts.run(&mut pair.off, span, depth, &clock))?, Counts::default()));
            };
            block_on(pair.on.set_drafting(std::slice::from_ref(&way.source), way.guesses))?;
            let before = pair.on.guesses();
            let outcome = block_on(texts.run(&mut pair.on, span, depth, &clock))?;
            Ok((outcome, since(before, pair.on.guesses())))
        };
        for which in 0..=ways.len() {
            run(which, Texts { tokens: 4, ..pair.texts })?;
        }
        let texts = pair.texts;
        let turns = self.turns(name, 1 + ways.len(), |which| run(which, texts))?;
        for (way, turn) in ways.iter().zip(&turns[1..]) {
            if let Some((none, guessed)) = turns[0].iter().zip(turn).find(|(a, b)| a.0.hash != b.0.hash) {
                let (none, guessed) = (none.0.hash, guessed.0.hash);
                let guesses = way.guesses;
                anyhow::bail!(
                    "{name}: guesses ({guesses:?}) changed the text: {guessed:016x}, and {none:016x} without"
                );
            }
        }
        Ok(turns)
    }

    fn tell(
        &self,
        name: String,
        pair: &Pair,
        (none, own): (&[Turn], &[Turn]),
        (guessed, ceiling): (Guessed, Option<f64>),
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let context = f64::from(pair.texts.prompt) + f64::from(pair.texts.tokens) / 2.0;
        let outcomes = |turns: &[Turn]| turns.iter().map(|turn| turn.0.clone()).collect();
        let other = repeated(&pair.off, Order::Waves, outcomes(none), context, false)?;
        let own = repeated(&pair.on, Order::Waves, outcomes(own), context, false)?;
        let mut row = own.row(name, &pair.setting, pair.on.lanes(), &pair.on);
        row.compare(&own, &other, "no guesses", ceiling);
        row.guessed = guessed;
        table.row(&row)
    }
}

/// Rates with guesses in rates without, of neighbours in time.
fn ratios(none: &[Turn], own: &[Turn]) -> Vec<f64> {
    let rate = |turn: &Turn| turn.0.tokens_per_second();
    none.iter().zip(own).map(|(none, own)| rate(own) / rate(none)).collect()
}

/// Tokens of a check, and the share of guesses that saved a pass; none where none was checked.
fn per_check(turns: &[Turn]) -> (f64, Option<f64>) {
    let sum = |figure: fn(&Counts) -> u64| turns.iter().map(|turn| figure(&turn.1)).sum::<u64>() as f64;
    let (checks, checked, accepted) = (sum(|all| all.checks), sum(|all| all.checked), sum(|all| all.accepted));
    (1.0 + accepted / checks.max(1.0), (checked > 0.0).then(|| accepted / checked))
}

fn since(before: Counts, after: Counts) -> Counts {
    Counts {
        checks: after.checks - before.checks,
        guessed_checks: after.guessed_checks - before.guessed_checks,
        checked: after.checked - before.checked,
        accepted: after.accepted - before.accepted,
    }
}
