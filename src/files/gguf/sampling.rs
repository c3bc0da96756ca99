//! How the author of a GGUF file would have tokens drawn.

use crate::error::{ModelError, refuse};
use crate::files::gguf::Gguf;
use crate::network::generation::{Generation, Suggestion};

impl Gguf<'_> {
    /// The keys `general.sampling.*`, which hold what a generation_config.json would. Where texts end is in the config.
    ///
    /// # Errors
    /// A key of another type than it should have, or out of range.
    pub fn generation(&self) -> Result<Generation, ModelError> {
        let key = |name: &str| format!("general.sampling.{name}");
        let number = |name: &str, low: f64, high: f64| match self.float(&key(name))? {
            Some(number) if !(low..=high).contains(&number) => {
                Err(refuse(format!("metadata `{}` is {number}; it must be from {low} to {high}", key(name))))
            }
            found => Ok(found.map(|number| number as f32)),
        };
        let suggestion = Suggestion {
            temperature: number("temp", 0.0, 100.0)?,
            top_k: number("top_k", f64::from(i32::MIN), f64::from(i32::MAX))?.map(|k| k.max(0.0) as u32),
            top_p: number("top_p", 0.0, 1.0)?.map(|share| share.max(f32::MIN_POSITIVE)),
            min_p: number("min_p", 0.0, 1.0)?,
            repeat_penalty: number("penalty_repeat", 0.01, 100.0)?,
        };
        let mut unfollowed = vec![];
        for (name, idle) in [("mirostat", 0.0), ("xtc_probability", 0.0)] {
            if let Some(value) = self.float(&key(name))?.filter(|value| *value != idle) {
                unfollowed.push(format!("{name} {value}"));
            }
        }
        Ok(Generation {
            origin: "general.sampling of the file",
            end_tokens: None,
            suggestion,
            unfollowed,
            notes: vec![],
        })
    }
}
