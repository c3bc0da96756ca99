//! A race as it is shown: whose turn it is, and what the heats took.

use std::collections::VecDeque;

use crate::service::{Contestant, Heat};

/// Heats that are kept for each contestant.
const MOST_HEATS: usize = 64;

/// A race under way, or the last one.
#[derive(Debug, Clone, Default)]
pub struct RaceView {
    /// Still under way.
    pub running: bool,
    /// Guesses are compared with none; else depth as the model decides with full depth.
    pub guesses: bool,
    /// Whose turn it is.
    pub turn: Option<Contestant>,
    /// What was asked.
    pub prompt: String,
    /// Names of its sequences.
    pub sequences: Vec<u64>,
    /// Heats that count, oldest first.
    pub heats: VecDeque<Heat>,
}

impl RaceView {
    /// Who races: the one whose gain is asked for, and the other.
    pub fn contestants(&self) -> [Contestant; 2] {
        if self.guesses { [Contestant::Guessing, Contestant::Plain] } else { [Contestant::Adaptive, Contestant::Full] }
    }

    /// A heat begins.
    pub fn begins(&mut self, contestant: Contestant) {
        self.turn = Some(contestant);
        self.guesses = matches!(contestant, Contestant::Guessing | Contestant::Plain);
    }

    /// Keeps a heat that counts.
    pub fn add(&mut self, heat: &Heat) {
        if heat.counts {
            self.heats.push_back(*heat);
        }
        if self.heats.len() > 2 * MOST_HEATS {
            self.heats.drain(..2);
        }
    }

    /// Tokens per second of both, of the pair that gained the median: a machine that is busy elsewhere slows both of a pair.
    /// Of two in the middle, the one that gained less.
    pub fn rates(&self) -> Option<(f64, f64)> {
        let mut pairs = Vec::new();
        for heat in self.heats.iter().filter(|heat| heat.contestant.challenges()) {
            let is_partner = |other: &&Heat| !other.contestant.challenges() && other.number / 2 == heat.number / 2;
            let other = self.heats.iter().find(is_partner);
            pairs.extend(other.map(|other| (heat.tokens_per_second(), other.tokens_per_second().max(1e-9))));
        }
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        pairs.get(pairs.len().saturating_sub(1) / 2).copied()
    }

    /// The speed-up that no engine can exceed, by the heats of the one whose gain is asked for.
    pub fn ceiling(&self) -> Option<f64> {
        let own = self.heats.iter().filter(|heat| heat.contestant.challenges());
        let ceilings: Vec<f64> = own.map(|heat| heat.ceiling).collect();
        (!ceilings.is_empty()).then(|| crate::depth::median(&ceilings))
    }
}

#[test]
fn a_race_compares_neighbours_and_leaves_out_what_does_not_count() {
    use Contestant::{Adaptive, Full, Guessing, Plain};
    for [own, other] in [[Adaptive, Full], [Guessing, Plain]] {
        let mut race = RaceView::default();
        race.begins(other);
        assert_eq!(race.contestants(), [own, other]);
        for (number, contestant, seconds, counts) in [
            (0, own, 100.0, false),
            (2, other, 1.3, true),
            (3, own, 1.0, true),
            (4, own, 2.0, true),
            (5, other, 2.6, true),
            (6, own, 9.0, true),
        ] {
            race.add(&Heat { contestant, number, seconds, tokens: 100, mean_depth: 2.0, ceiling: 1.4, counts });
        }
        let (fast, slow) = race.rates().unwrap();
        assert!((fast / slow - 1.3).abs() < 1e-9, "{fast} {slow}");
        assert_eq!(race.ceiling(), Some(1.4));
    }
}
