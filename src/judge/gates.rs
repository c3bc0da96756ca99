//! Rounds and gates, one row after the other.

use super::{Judge, Outcome, Sequence};
use crate::kernels::Granted;
use crate::kernels::exits::head_statistic::{self, Statistic};
use crate::kernels::exits::{cosine, scorer, select_top_k};
use crate::kernels::products::matvec;
use crate::kernels::rows::combine;
use crate::network::gate::{Change, Gate, HeadStatistic, Measure, Moment, Over, Scorer};
use crate::network::plan::Residual;
use crate::runtime::gates::gate_settings;
use crate::runtime::step::Depth;

/// What gates keep of the rows from round to round.
struct Rows {
    /// Factors of what a round adds.
    weights: Vec<f32>,
    /// The stream at the measure before.
    before: Vec<Vec<f32>>,
}

impl Judge<'_> {
    /// All rounds over the rows of a call.
    pub(super) fn rounds(&self, sequence: &mut Sequence, depth: Depth, hidden: &mut [Vec<f32>], outcome: &mut Outcome) {
        let together = self.plan.together.as_ref().filter(|_| depth == Depth::Together);
        let gate = together.or(self.gate.as_ref());
        let everyone: Vec<usize> = (0..hidden.len()).collect();
        let mut rows = Rows { weights: vec![0.0; hidden.len()], before: vec![vec![]; hidden.len()] };
        let mut active = everyone.clone();
        let mut work = hidden.to_vec();
        let most = self.plan.n_rounds();
        for round in 0..if let Depth::Fixed(fixed) = depth { fixed.min(most) } else { most } {
            match gate {
                Some(gate) if gate.asks(round) => {
                    self.ask(gate, (depth, round), &active, hidden, &mut rows, outcome);
                    active.retain(|&row| outcome.granted[row] > round);
                }
                Some(_) => active.retain(|&row| outcome.granted[row] > round),
                None => outcome.granted.fill(round + 1),
            }
            // Where deeper rounds attend to the first, every row leaves its keys and values there.
            let all_leave_keys = round == 0 && gate.is_some() && !self.plan.compact();
            let running = if all_leave_keys { &everyone } else { &active };
            match self.plan.residual {
                Residual::Replace => self.round(sequence, round, running, hidden, outcome),
                Residual::Add { once: true, .. } => self.round(sequence, round, running, &mut work, outcome),
                Residual::Add { once: false, .. } => {
                    work = hidden.to_vec();
                    self.round(sequence, round, running, &mut work, outcome);
                    self.add(&active, &work, &rows, hidden);
                }
            }
        }
        if matches!(self.plan.residual, Residual::Add { once: true, .. }) && depth != Depth::Fixed(0) {
            self.add(&everyone, &work, &rows, hidden);
        }
    }

    fn add(&self, running: &[usize], work: &[Vec<f32>], rows: &Rows, hidden: &mut [Vec<f32>]) {
        let weighed = matches!(self.plan.residual, Residual::Add { weight: Some(_), .. });
        let mode = if weighed { combine::ADD_WEIGHED } else { combine::ADD };
        for &row in running {
            combine::cpu(mode, &work[row], rows.weights[row], &mut hidden[row]);
        }
    }

    /// Scores the active rows before a round and grants it to some of them.
    fn ask(
        &self,
        gate: &Gate,
        (depth, round): (Depth, u32),
        active: &[usize],
        hidden: &[Vec<f32>],
        rows: &mut Rows,
        outcome: &mut Outcome,
    ) {
        for &row in active {
            let x = &hidden[row];
            for (index, scorer) in self.plan.scorers.iter().enumerate() {
                let verdict = self.verdict(gate, scorer, x, (depth, round));
                if gate.reported() == Some(index) {
                    let first = if gate.moment == Moment::Once { 0 } else { round as usize };
                    outcome.scores[row][first..][..verdict.scores.len()].copy_from_slice(&verdict.scores);
                }
                if matches!(self.plan.residual, Residual::Add { weight, .. } if weight == Some(index)) {
                    rows.weights[row] = verdict.factor;
                }
                if gate.decider() == Some(index) {
                    outcome.granted[row] = verdict.granted;
                }
            }
            if let Some(score) = self.measure(gate.measure, round, x, &rows.before[row]) {
                let previous = outcome.scores[row][round.saturating_sub(1) as usize];
                outcome.scores[row][round as usize] = score;
                let goes = gate.rule.goes_on(score, previous, self.thresholds[round as usize], round);
                let open = if let Depth::Fixed(fixed) = depth { round < fixed } else { round == 0 || goes };
                outcome.granted[row] = round + u32::from(open);
            }
            rows.before[row].clone_from(x);
        }
        if let (Some(keep), Over::Text { lowest, .. }) = (gate.over.keeps(round, hidden.len()), &gate.over) {
            let score = |row: &usize| outcome.scores[*row][round as usize];
            let ranked: Vec<f32> = active.iter().map(|row| if *lowest { -score(row) } else { score(row) }).collect();
            for place in select_top_k::cpu(&ranked, keep as usize) {
                outcome.granted[active[place]] = round + 1;
            }
        }
    }

    /// What a gate that is no scorer measures before a round; nothing is known before the first.
    fn measure(&self, measure: Measure, round: u32, x: &[f32], before: &[f32]) -> Option<f32> {
        match measure {
            Measure::Scorer(_) | Measure::Accumulated(_) => None,
            Measure::Head(_) | Measure::Change(_) if round == 0 => Some(0.0),
            Measure::Head(HeadStatistic::TopTwoGap) => Some(head_statistic::cpu(Statistic::TopTwoGap, &self.logits(x))),
            Measure::Change(Change::Cosine) => Some(cosine::cpu(x, before)),
            Measure::Head(_) | Measure::Change(_) => None,
        }
    }

    fn verdict(&self, gate: &Gate, scorer: &Scorer, input: &[f32], (depth, round): (Depth, u32)) -> scorer::Verdict {
        let matrices = &scorer.tensors[(round as usize).min(scorer.tensors.len() - 1)];
        let Some(((last, _), first)) = matrices.split_last() else {
            return scorer::Verdict { scores: vec![], factor: 0.0, granted: 0 };
        };
        let inner = first.iter().fold(input.to_vec(), |x, (name, _)| matvec::cpu(self.tensor(name), &x));
        let params = gate_settings(gate, scorer, self.plan.n_rounds(), depth);
        let bias = match &scorer.bias {
            Some(name) => self.tensor(name).to_vec(),
            None => self.thresholds.iter().map(|threshold| -threshold).collect(),
        };
        scorer::cpu(&params, &inner, self.tensor(last), &bias, Granted { rounds: round, forced: 0 })
    }
}
