//! A row of the table: everything that was measured of one test, and how it is written.

use isobath::bench::ledger::Outcome;
use isobath::bench::median;
use isobath::bench::statistics::{spread, warnings};
use isobath::engine::{Engine, HostTime};
use isobath::gpu::traits::Kind;
use isobath::runtime::tick::Order;
use serde::Serialize;
use serde_json::Value;

/// What does not change while a model is measured on an adapter.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    pub model: String,
    pub adapter: String,
    #[serde(rename = "adapter_kind")]
    pub kind: &'static str,
    pub driver: String,
    pub backend: String,
    /// Optional features that the adapter has, separated by blanks.
    pub features: String,
    pub copy_gb_per_second: f64,
}

/// What came of guesses, in rows that are about them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Guessed {
    /// Guesses behind each token.
    pub guesses: Option<u32>,
    /// Chance that one is right, as it was set.
    pub right: Option<f64>,
    /// Share of the guesses that were checked and saved a pass.
    pub accepted: Option<f64>,
    pub tokens_per_check: Option<f64>,
    /// The same as the cost model expects it.
    pub expected_per_check: Option<f64>,
    /// Of a pass with so many guesses, in passes without.
    pub pass_cost: Option<f64>,
    /// Rows at which a pass costs 1.5 times one over a row.
    pub rows_at_half_more: Option<f64>,
}

/// What was measured of one test.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub test: String,
    #[serde(flatten)]
    pub setting: Setting,
    pub lanes: u32,
    pub context: u32,
    pub lane_bytes: u64,
    pub order: Order,
    pub repetitions: usize,
    pub tokens_per_second: f64,
    pub spread: f64,
    pub ms_per_tick: f64,
    pub gb_per_second: f64,
    pub share_of_copy: f64,
    pub gflop_per_second: f64,
    pub mean_depth: f64,
    pub submissions_per_tick: f64,
    pub dispatches_per_tick: f64,
    /// Planning and recording.
    pub host_us_per_tick: f64,
    /// Handing over.
    pub submit_us_per_tick: f64,
    /// Telling what came of it.
    pub telling_us_per_tick: f64,
    /// Share of the time at most: the device was certainly at work in the rest.
    pub idle_at_most: f64,
    /// How that is known.
    pub idle_from: &'static str,
    pub hash: String,
    /// What it is compared with.
    pub against: Option<&'static str>,
    pub against_order: Option<Order>,
    pub against_tokens_per_second: Option<f64>,
    pub against_spread: Option<f64>,
    pub against_hash: Option<String>,
    #[serde(flatten)]
    pub guessed: Guessed,
    pub realised: Option<f64>,
    pub realised_spread: Option<f64>,
    pub ceiling: Option<f64>,
    pub efficiency: Option<f64>,
    pub warnings: Vec<String>,
    pub seconds: Vec<f64>,
}

/// Repetitions of one thing, with their rates.
#[derive(Debug, Clone)]
pub struct Repeated {
    pub order: Order,
    pub outcomes: Vec<Outcome>,
    pub tokens_per_second: Vec<f64>,
    pub gb_per_second: Vec<f64>,
    pub gflop_per_second: Vec<f64>,
}

impl Repeated {
    /// What was slowed less by others counts: the middle one.
    pub fn median(&self) -> f64 {
        median(&self.tokens_per_second)
    }

    pub fn hash(&self) -> String {
        self.outcomes.first().map(|outcome| format!("{:016x}", outcome.hash)).unwrap_or_default()
    }

    pub fn seconds(&self) -> Vec<f64> {
        self.outcomes.iter().map(|outcome| outcome.seconds).collect()
    }

    fn mean(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        spread(&self.outcomes.iter().map(figure).collect::<Vec<_>>()).0
    }

    /// As a row that is compared with nothing yet.
    pub fn row(&self, test: String, setting: &Setting, lanes: u32, engine: &Engine) -> Row {
        let ticks = |outcome: &Outcome| outcome.engine.ticks.max(1) as f64;
        // Where processors are shared the driver computes while it is waited for, or within the call that submits.
        let shared = Kind::of_name(setting.kind).shares_processors();
        let busy = |outcome: &Outcome| {
            let HostTime { submitting, waiting, .. } = outcome.engine.host;
            (waiting + if shared { submitting } else { 0 }) as f64
        };
        let (tokens_per_second, deviation) = spread(&self.tokens_per_second);
        let gb_per_second = spread(&self.gb_per_second).0;
        Row {
            test,
            lanes,
            context: engine.context(),
            lane_bytes: engine.memory().lane,
            order: self.order,
            repetitions: self.outcomes.len(),
            tokens_per_second,
            spread: deviation,
            ms_per_tick: self.mean(|one| 1e3 * one.seconds / ticks(one)),
            gb_per_second,
            share_of_copy: gb_per_second / setting.copy_gb_per_second,
            gflop_per_second: spread(&self.gflop_per_second).0,
            mean_depth: self.mean(|one| one.mean_depth),
            submissions_per_tick: self.mean(|one| one.engine.submissions as f64 / ticks(one)),
            dispatches_per_tick: self.mean(|one| one.engine.dispatches as f64 / ticks(one)),
            host_us_per_tick: self.mean(|one| one.engine.host.recording as f64 / 1e3 / ticks(one)),
            submit_us_per_tick: self.mean(|one| one.engine.host.submitting as f64 / 1e3 / ticks(one)),
            telling_us_per_tick: self.mean(|one| one.engine.host.reporting as f64 / 1e3 / ticks(one)),
            idle_at_most: self.mean(|one| (1.0 - busy(one) / 1e9 / one.seconds).max(0.0)),
            idle_from: if shared { "waiting and submitting" } else { "waiting" },
            hash: self.hash(),
            against: None,
            against_order: None,
            against_tokens_per_second: None,
            against_spread: None,
            against_hash: None,
            guessed: Guessed::default(),
            realised: None,
            realised_spread: None,
            ceiling: None,
            efficiency: None,
            warnings: warnings(&self.seconds()),
            seconds: self.seconds(),
            setting: setting.clone(),
        }
    }
}

impl Row {
    /// Adds what it is compared with. Ratios are of neighbours in time, of which the median counts: a busy machine slows both.
    pub fn compare(&mut self, own: &Repeated, other: &Repeated, against: &'static str, ceiling: Option<f64>) {
        let pairs = own.tokens_per_second.iter().zip(&other.tokens_per_second);
        let ratios: Vec<f64> = pairs.map(|(own, other)| own / other).collect();
        let (mean, deviation) = spread(&other.tokens_per_second);
        self.against = Some(against);
        self.against_order = Some(other.order);
        self.against_tokens_per_second = Some(mean);
        self.against_spread = Some(deviation);
        self.against_hash = Some(other.hash());
        self.realised = Some(median(&ratios));
        self.realised_spread = Some(spread(&ratios).1);
        self.ceiling = ceiling;
        self.efficiency = ceiling.map(|ceiling| median(&ratios) / ceiling);
        self.warnings.extend(warnings(&other.seconds()).into_iter().map(|warning| format!("{against}: {warning}")));
    }

    /// Columns of the Markdown table.
    pub fn columns(&self) -> Vec<(String, String)> {
        let mut columns: Vec<(String, String)> = vec![];
        let mut add = |name: &str, value: String| columns.push((name.to_owned(), value));
        let rate = |mean: f64, deviation: f64| format!("{mean:.1} ± {deviation:.1}");
        add("test", self.test.clone());
        add("order", name(self.order));
        add("tok/s", rate(self.tokens_per_second, self.spread));
        if let (Some(against), Some(mean), Some(deviation)) =
            (self.against, self.against_tokens_per_second, self.against_spread)
        {
            add(&format!("{against} tok/s"), rate(mean, deviation));
            add("its order", self.against_order.map(name).unwrap_or_default());
        }
        add("mean depth", format!("{:.3}", self.mean_depth));
        let mut figure =
            |name: &str, value: Option<f64>| value.iter().for_each(|value| add(name, format!("{value:.3}")));
        figure("accepted", self.guessed.accepted);
        figure("tokens/check", self.guessed.tokens_per_check);
        figure("expected", self.guessed.expected_per_check);
        figure("pass costs", self.guessed.pass_cost);
        figure("ceiling", self.ceiling);
        if let (Some(realised), Some(deviation)) = (self.realised, self.realised_spread) {
            add("realised", format!("{realised:.3} ± {deviation:.3}"));
        }
        let mut figure =
            |name: &str, value: Option<f64>| value.iter().for_each(|value| add(name, format!("{value:.3}")));
        figure("efficiency", self.efficiency);
        add("ms/tick", format!("{:.2}", self.ms_per_tick));
        add("GB/s", format!("{:.3}", self.gb_per_second));
        add("of copy", format!("{:.0} %", 100.0 * self.share_of_copy));
        add("GFLOP/s", format!("{:.2}", self.gflop_per_second));
        add("submissions/tick", format!("{:.2}", self.submissions_per_tick));
        add("dispatches/tick", format!("{:.0}", self.dispatches_per_tick));
        add("host µs/tick", format!("{:.0}", self.host_us_per_tick));
        add("submit µs/tick", format!("{:.0}", self.submit_us_per_tick));
        add("idle at most", format!("{:.1} %", 100.0 * self.idle_at_most));
        add("hash", self.hash.clone());
        if let Some(hash) = &self.against_hash {
            add("its hash", hash.clone());
        }
        columns
    }

    /// Names and values of the CSV table: the same for every row, numbers in full.
    pub fn values(&self) -> serde_json::Result<(Vec<String>, Vec<String>)> {
        let Value::Object(fields) = serde_json::to_value(self)? else { return Ok((vec![], vec![])) };
        let cell = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            Value::Array(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned)).collect();
                quoted(&items.join("; "))
            }
            other => other.to_string(),
        };
        Ok(fields.iter().map(|(name, value)| (name.clone(), cell(value))).unzip())
    }
}

/// As RFC 4180 wants it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn name(order: Order) -> String {
    match order {
        Order::Waves => "waves".to_owned(),
        Order::Mixed => "mixed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_quotes_are_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a, b"), "\"a, b\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
    }
}
