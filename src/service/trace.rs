//! A run that can be played again: one [`Stamped`] update per line, as JSON.

use super::message::{Stamped, Update};

/// Longest trace that is read, in updates: a day's worth would not be looked at.
pub const MOST_UPDATES: usize = 1_000_000;

/// Why a text is no trace.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the trace: {why}; a trace is what the panel saved, one update per line")]
pub struct TraceError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// The text of a trace.
pub fn write<'u>(updates: impl IntoIterator<Item = &'u Stamped>) -> String {
    let mut text = String::new();
    for stamped in updates {
        // Plain data with string keys always has a text.
        if let Ok(line) = serde_json::to_string(stamped) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// The updates of a trace, in order of time.
///
/// # Errors
/// A line that is no update, a time that goes backwards, more than [`MOST_UPDATES`], or nothing at all.
pub fn read(text: &str) -> Result<Vec<Stamped>, TraceError> {
    let mut updates: Vec<Stamped> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let stamped: Stamped =
            serde_json::from_str(text).map_err(|error| TraceError { line, why: error.to_string() })?;
        let last = updates.last().map_or(f64::NEG_INFINITY, |last| last.at);
        if !stamped.at.is_finite() || stamped.at < last {
            return Err(TraceError { line, why: format!("the time {} comes after {last}", stamped.at) });
        }
        if updates.len() == MOST_UPDATES {
            return Err(TraceError { line, why: format!("there are more than {MOST_UPDATES} updates") });
        }
        updates.push(stamped);
    }
    if !updates.iter().any(|stamped| matches!(stamped.update, Update::Ready(_))) {
        return Err(TraceError { line: 1, why: "no update says which model ran".into() });
    }
    Ok(updates)
}
