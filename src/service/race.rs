//! A race: the same sequences again and again, in turns as deep as the model decides and at full depth.
//!
//! Both run on one engine, one after the other, so that neither disturbs the other's time.

use super::message::{Contestant, Heat, Settings};
use super::meter::Meter;

/// A race under way.
#[derive(Debug, Clone)]
pub struct Race {
    /// Names and prompts, as tokens.
    pub prompts: Vec<(u64, Vec<u32>)>,
    /// How they are written.
    pub settings: Settings,
    /// Number of the heat, the warm-up's two before 0 are not told.
    pub number: u32,
    /// Heats until times count: pipelines are made and caches warmed before.
    pub warm_up: u32,
    /// No pause so far in this heat.
    pub undisturbed: bool,
}

impl Race {
    /// A race that has not begun.
    pub fn new(prompts: Vec<(u64, Vec<u32>)>, settings: Settings) -> Self {
        Self { prompts, settings, number: 0, warm_up: 2, undisturbed: true }
    }

    /// Whose turn it is: whoever goes first changes from one pair to the next.
    pub fn contestant(&self) -> Contestant {
        if matches!(self.number % 4, 0 | 3) { Contestant::Adaptive } else { Contestant::Full }
    }

    /// How the heat's sequences are written: both of a pair draw from the same seeds.
    pub fn heat_settings(&self, rounds: u32) -> Settings {
        let depth = (self.contestant() == Contestant::Full).then_some(rounds);
        let seed = self.settings.seed.wrapping_add(u64::from(self.number / 2) * self.prompts.len() as u64);
        Settings { depth, seed, ..self.settings.clone() }
    }

    /// The heat is over; what it took.
    pub fn end_heat(&mut self, meter: &Meter, now: f64, ceiling: f64) -> Heat {
        let heat = Heat {
            contestant: self.contestant(),
            number: self.number,
            seconds: now - meter.began,
            tokens: meter.tokens,
            mean_depth: meter.mean_depth(),
            ceiling,
            counts: self.warm_up == 0 && self.undisturbed,
        };
        self.number += 1;
        self.warm_up = self.warm_up.saturating_sub(1);
        self.undisturbed = true;
        heat
    }
}

#[test]
fn pairs_share_their_seeds_and_change_their_order() {
    let mut race = Race::new(vec![(7, vec![1]), (8, vec![1])], Settings { seed: 5, ..Settings::default() });
    let mut seen = Vec::new();
    for _ in 0..6 {
        let settings = race.heat_settings(3);
        let heat = race.end_heat(&Meter::begin(1.0), 3.0, 1.0);
        seen.push((heat.contestant, settings.seed, settings.depth, heat.counts));
    }
    use Contestant::{Adaptive, Full};
    let adaptive = |seed, counts| (Adaptive, seed, None, counts);
    let full = |seed, counts| (Full, seed, Some(3), counts);
    assert_eq!(
        seen,
        [adaptive(5, false), full(5, false), full(7, true), adaptive(7, true), adaptive(9, true), full(9, true)]
    );
}
