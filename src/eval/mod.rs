//! Judging a model by text it has not seen: loss, perplexity and bits per byte at every depth, and what depth buys.
//!
//! A text is cut into windows of equal length; each is judged on its own from its second token on, with nothing before it.
//!
//! **Invariant:** the same text, window and model give the same figures on the same adapter, in any order.

use crate::engine::Engine;
use crate::engine::score::Score;
use crate::error::{Error, RequestError};
use crate::runtime::step::Depth;
use crate::text::tokenizer::Tokenizer;

/// A text as it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Tokens of each window; the last may be shorter.
    pub windows: Vec<Vec<u32>>,
}

/// Who decides how deep the tokens of a text go.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The gate.
    Adaptive,
    /// All of them run this many rounds.
    Fixed(u32),
    /// The best scores of each window, as in the training of expert-choice models.
    TopK,
    /// The gate, with this threshold in place of its own.
    Threshold(f32),
}

/// What a way of deciding makes of a text.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figures {
    /// Which way.
    pub way: Way,
    /// Tokens that were judged.
    pub tokens: u64,
    /// Mean negative log-probability, nats per token.
    pub loss: f64,
    /// `exp(loss)`
    pub perplexity: f64,
    /// Bits per byte of the text that the judged tokens spell.
    pub bits_per_byte: f64,
    /// Mean rounds per token.
    pub mean_depth: f64,
    /// Share of tokens that ran 0, 1, .. rounds.
    pub depth_shares: Vec<f64>,
}

impl Windows {
    /// Cuts a text. Where documents are separated by the spelling of the model's end token, a line end behind it belongs
    /// to the separator, so that documents follow one another as in training.
    ///
    /// # Errors
    /// A text of less than two tokens, a window that holds less, or what the tokenizer refuses.
    pub fn of(
        tokenizer: &Tokenizer,
        end: Option<&str>,
        text: &str,
        window: u32,
        most: Option<u32>,
    ) -> Result<Self, Error> {
        if window < 2 {
            let range = "at least 2 tokens".to_owned();
            return Err(RequestError::Setting { name: "window", value: window.to_string(), range }.into());
        }
        let text = match end {
            Some(end) => text.replace(&format!("{end}\n"), end),
            None => text.to_owned(),
        };
        let tokens = tokenizer.encode(&text, true)?;
        let windows: Vec<Vec<u32>> = tokens
            .chunks(window as usize)
            .filter(|window| window.len() >= 2)
            .take(most.map_or(usize::MAX, |most| most as usize))
            .map(<[u32]>::to_vec)
            .collect();
        if windows.is_empty() {
            return Err(RequestError::EmptyPrompt.into());
        }
        Ok(Self { windows })
    }

    /// Judges all windows one way; `progress` hears of each window as it is done. Returns the scores of each window.
    ///
    /// # Errors
    /// What [`Engine::score`] reports. The thresholds from before hold again afterwards, whatever happened.
    pub async fn judge(
        &self,
        engine: &mut Engine,
        way: Way,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, Error> {
        let before = engine.thresholds().to_vec();
        if let Way::Threshold(threshold) = way {
            engine.set_thresholds(&vec![threshold; before.len()])?;
        }
        let scores = self.score(engine, way, progress).await;
        if matches!(way, Way::Threshold(_)) {
            engine.set_thresholds(&before)?;
        }
        scores
    }

    async fn score(
        &self,
        engine: &mut Engine,
        way: Way,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Score>>, Error> {
        let depth = match way {
            Way::Adaptive | Way::Threshold(_) => Depth::Model,
            Way::Fixed(rounds) => Depth::Fixed(rounds),
            Way::TopK => Depth::Together,
        };
        let mut all = Vec::with_capacity(self.windows.len());
        for (done, window) in self.windows.iter().enumerate() {
            all.push(engine.score(window, depth).await?);
            progress(done + 1);
        }
        Ok(all)
    }
}

impl Figures {
    /// Sums up; `rounds` is the greatest depth.
    pub fn of(way: Way, scores: &[Vec<Score>], tokenizer: &Tokenizer, rounds: u32) -> Self {
        let (mut nats, mut bytes, mut tokens) = (0.0, 0u64, 0u64);
        let mut counts = vec![0u64; rounds as usize + 1];
        for score in scores.iter().flatten() {
            nats -= f64::from(score.log_probability);
            tokens += 1;
            if !tokenizer.is_special(score.token) {
                bytes += tokenizer.token_bytes(score.token).len() as u64;
            }
            counts[score.depth.min(rounds) as usize] += 1;
        }
        let share = |count: &u64| *count as f64 / tokens.max(1) as f64;
        let loss = nats / tokens.max(1) as f64;
        let depth_shares: Vec<f64> = counts.iter().map(share).collect();
        Self {
            way,
            tokens,
            loss,
            perplexity: loss.exp(),
            bits_per_byte: nats / std::f64::consts::LN_2 / bytes.max(1) as f64,
            mean_depth: depth_shares.iter().zip(0u32..).map(|(share, depth)| share * f64::from(depth)).sum(),
            depth_shares,
        }
    }
}

/// How often the threshold decides as top-k did, over the tokens that were still under way; `top_k` are the scores of
/// a [`Way::TopK`] run. Round 1 is left out where it is free to all. `None` without an expert-choice router, or where an
/// auxiliary router decides, whose scores are not kept.
pub fn agreement(engine: &Engine, top_k: &[Vec<Score>]) -> Option<f64> {
    let gate = engine.gate().filter(|gate| gate.has_thresholds())?;
    if engine.plan().together.as_ref().is_none_or(|together| together.measure != gate.measure) {
        return None;
    }
    let first = usize::from(gate.first_free);
    let (mut same, mut all) = (0u64, 0u64);
    for score in top_k.iter().flatten() {
        for (round, value) in score.scores.iter().enumerate().skip(first) {
            same += u64::from((*value >= 0.0) == (score.depth as usize > round));
            all += 1;
        }
    }
    (all > 0).then(|| same as f64 / all as f64)
}

/// Thresholds that send evenly spaced shares of the tokens on, from the scores of an adaptive run: `count` of them, lowest
/// first, no two alike.
pub fn thresholds(adaptive: &[Vec<Score>], count: u32) -> Vec<f32> {
    // The first round's scores decide nothing where it is free; those of the second are known of every token.
    let mut values: Vec<f32> =
        adaptive.iter().flatten().filter_map(|score| score.scores.get(1)).copied().filter(|x| x.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let mut chosen: Vec<f32> = (0..count as usize)
        .filter_map(|i| values.get((i * values.len() + values.len() / 2) / count.max(1) as usize))
        .copied()
        .collect();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(log_probability: f32, depth: u32, scores: &[f32]) -> Score {
        let scores = scores.to_vec();
        Score {
            position: 1,
            token: 5,
            log_probability,
            depth,
            scores,
            best: 0,
            best_log_probability: 0.0,
            entropy: 0.0,
        }
    }

    #[test]
    fn figures_are_means_over_all_tokens_of_all_windows() {
        let tokenizer =
            Tokenizer::from_json(include_bytes!("../../tests/models/tiny/tokenizer.json")).expect("a tokenizer");
        let scores = [vec![score(-1.0, 1, &[]), score(-2.0, 3, &[])], vec![score(-3.0, 3, &[])]];
        let figures = Figures::of(Way::Adaptive, &scores, &tokenizer, 3);
        let bytes = 3.0 * tokenizer.token_bytes(5).len() as f64;
        assert_eq!((figures.tokens, figures.loss), (3, 2.0));
        assert!((figures.bits_per_byte - 6.0 / 2f64.ln() / bytes).abs() < 1e-12);
        assert!((figures.mean_depth - 7.0 / 3.0).abs() < 1e-12 && figures.depth_shares[3] == 2.0 / 3.0);
    }

    #[test]
    fn thresholds_part_the_tokens_evenly() {
        let scores: Vec<Score> = (0..100).map(|i| score(0.0, 1, &[9.0, i as f32])).collect();
        assert_eq!(thresholds(&[scores], 4), [12.0, 37.0, 62.0, 87.0]);
        assert!(thresholds(&[vec![score(0.0, 1, &[9.0])]], 4).is_empty());
    }
}
