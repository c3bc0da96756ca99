//! Means of what is measured while it changes.

/// A mean that forgets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean {
    /// As far as is known.
    pub value: f64,
    /// How many numbers it stands for.
    pub weight: f64,
}

impl Mean {
    /// Of no number.
    pub const NOTHING: Self = Self { value: 0.0, weight: 0.0 };

    /// Of none, but thought to be so.
    pub const fn thought(value: f64) -> Self {
        Self { value, weight: 4.0 }
    }

    /// Takes in the sum of so many numbers; what came before weighs at most as much as `most` of them.
    pub fn learn(&mut self, sum: f64, count: f64, most: f64) {
        if count > 0.0 {
            let weight = self.weight.min(most);
            self.value += (sum - count * self.value) / (weight + count);
            self.weight = weight + count;
        }
    }
}
