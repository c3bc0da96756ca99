//! What is to be measured: tests and experiments, by the lanes of the engine that they need.

use isobath::bench::test::Test;
use isobath::error::RequestError;

use super::super::args::{Bench, Experiment};

/// Where nothing is chosen: about a minute with the bundled model on two cores.
const PREFILL: u32 = 256;
const DECODE: u32 = 32;
const AT: [u32; 2] = [0, 256];
const LANES: [u32; 3] = [1, 8, 32];
const EXPERIMENT_LANES: [u32; 1] = [32];
const DRAFT_LANES: [u32; 2] = [1, 4];

/// What one engine measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub lanes: u32,
    pub tests: Vec<Test>,
    /// The experiments with depth and gates, as well.
    pub experiments: bool,
    /// Those with guesses.
    pub guesses: Vec<Experiment>,
}

/// Everything that was chosen, grouped by lanes in the order in which they were named.
pub fn groups(command: &Bench) -> Result<Vec<Group>, RequestError> {
    let mut groups: Vec<Group> = vec![];
    let mut at = |lanes: u32| -> usize {
        groups.iter().position(|group| group.lanes == lanes).unwrap_or_else(|| {
            groups.push(Group { lanes, tests: vec![], experiments: false, guesses: vec![] });
            groups.len() - 1
        })
    };
    let tests = tests(command)?;
    let lanes: Vec<usize> = tests.iter().map(|test| at(test.lanes())).collect();
    let chosen = |otherwise: &[u32]| if command.lanes.is_empty() { otherwise.to_vec() } else { command.lanes.clone() };
    let usual = if depths(command) { chosen(&EXPERIMENT_LANES) } else { vec![] };
    let experiments: Vec<usize> = usual.into_iter().map(&mut at).collect();
    let mut guesses = vec![];
    for (experiment, otherwise) in [(Experiment::Draft, DRAFT_LANES.as_slice()), (Experiment::Auto, &LANES)] {
        if command.experiment.contains(&experiment) {
            guesses.extend(chosen(otherwise).into_iter().map(|lanes| (at(lanes), experiment)));
        }
    }
    for (group, test) in lanes.into_iter().zip(tests) {
        groups[group].tests.push(test);
    }
    experiments.into_iter().for_each(|group| groups[group].experiments = true);
    guesses.into_iter().for_each(|(group, experiment)| groups[group].guesses.push(experiment));
    Ok(groups)
}

/// Whether experiments with depth or gates were chosen.
fn depths(command: &Bench) -> bool {
    command.experiment.contains(&Experiment::Depth) || command.gateless
}

/// Whether single tests were named; those that are measured otherwise may be left out where the model is too small.
pub fn named(command: &Bench) -> bool {
    !(command.test.is_empty() && command.pp.is_empty() && command.tg.is_empty())
}

fn tests(command: &Bench) -> Result<Vec<Test>, RequestError> {
    let named = named(command);
    if !named && (command.gateless || !command.experiment.is_empty()) {
        return Ok(vec![]);
    }
    let or = |given: &[u32], otherwise: &[u32]| if given.is_empty() { otherwise.to_vec() } else { given.to_vec() };
    let mut tests: Vec<Test> = command.test.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let pp = if named { command.pp.clone() } else { vec![PREFILL] };
    tests.extend(pp.iter().map(|&tokens| Test::Prefill { tokens }));
    let tg = if named { command.tg.clone() } else { vec![DECODE] };
    let at = or(&command.at, if named { &[0] } else { &AT });
    for &lanes in &or(&command.lanes, if named { &[1] } else { &LANES }) {
        for &tokens in &tg {
            tests.extend(at.iter().map(|&at| Test::Decode { tokens, at, lanes }));
        }
    }
    // Flags say no more than a test's name could.
    tests.iter().try_for_each(|test| test.to_string().parse::<Test>().map(|_| ()))?;
    Ok(tests)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};

    fn check(words: &str, want: &str) {
        let words = ["isobath", "bench"].into_iter().chain(words.split_whitespace());
        let Command::Bench(bench) = Arguments::try_parse_from(words).unwrap().command else { panic!("no bench") };
        let read = match groups(&bench) {
            Err(error) => error.to_string(),
            Ok(groups) => {
                let group = |group: &Group| {
                    let mut names: Vec<String> = group.tests.iter().map(ToString::to_string).collect();
                    names.extend(group.experiments.then(|| "experiments".to_owned()));
                    names.extend(group.guesses.iter().map(|experiment| format!("{experiment:?}").to_lowercase()));
                    format!("{}: {}", group.lanes, names.join(", "))
                };
                groups.iter().map(group).collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(read, want);
    }

    #[test]
    fn tests_are_grouped_by_lanes() {
        check("", "1: pp256, tg32, tg32 @ d256; 8: tg32 x8, tg32 @ d256 x8; 32: tg32 x32, tg32 @ d256 x32");
        check("--pp 512,64", "1: pp512, pp64");
        check("--tg 128", "1: tg128");
        check("--tg 8 --at 0,512 --lanes 1,8", "1: tg8, tg8 @ d512; 8: tg8 x8, tg8 @ d512 x8");
        check("--lanes 4", "1: pp256; 4: tg32 x4, tg32 @ d256 x4");
        check("--test tg16x4,pp64", "4: tg16 x4; 1: pp64");
        check("--experiment depth", "32: experiments");
        check("--gateless --lanes 2,4", "2: experiments; 4: experiments");
        check("--experiment draft", "1: draft; 4: draft");
        check("--experiment draft,auto --lanes 2,4", "2: draft, auto; 4: draft, auto");
        check("--experiment depth --pp 64 --lanes 8", "1: pp64; 8: experiments");
    }

    #[test]
    fn what_is_no_test_is_refused() {
        let range = "it must be pp512, tg128, tg128 @ d512, tg32 x8 (1 to 256 lanes) or tg32 @ d512 x8";
        check("--test xx", &format!("test is xx; {range}"));
        check("--pp 0", &format!("test is pp0; {range}"));
        check("--tg 8 --lanes 300", &format!("test is tg8 x300; {range}"));
    }
}
