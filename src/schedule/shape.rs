//! Sizes of what is scheduled, and how the entries of the KV cache fall into classes.

use super::request::Refusal;

/// Entries in a page of the KV cache, and tokens in a block of the prefix cache. The same as `kernels::PAGE`.
pub const PAGE: u32 = 32;

/// Sizes that hold for the whole life of a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sequences side by side.
    pub lanes: u32,
    /// Most tokens of a sequence, those of its prompt included.
    pub context: u32,
    /// Most tokens of prompts that are read in one tick.
    pub chunk: u32,
    /// Classes of the KV cache: 0 for layers that every token runs; then one per round, or one for all rounds, or none.
    pub classes: u32,
    /// Greatest depth of a token.
    pub rounds: u32,
    /// Ticks that a token may take from its row's first round to its draw: 1, or the number of rounds where a tick runs one.
    pub ticks_per_token: u32,
    /// Most rows of a decoding lane in a tick: its next token, and guesses behind it. As many tokens may be told of it.
    pub span: u32,
    /// Class 1 + r has an entry for each token that ran round r; otherwise one for each position.
    pub compact: bool,
    /// Pages for class 0, and for all other classes together.
    pub pages: [u32; 2],
    /// Keep pages of what was computed for later prompts that begin alike.
    pub prefix_cache: bool,
}

impl Shape {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let wrong = |what: &'static str| Err(Refusal::Shape { what });
        if self.lanes == 0 || self.chunk == 0 || self.ticks_per_token == 0 || self.span == 0 {
            return wrong("there must be a lane with a row, a chunk of at least one token, and a tick for each token");
        }
        if self.context < 2 {
            return wrong("the context must hold a token to read and one to write");
        }
        if !(self.classes == 1 || self.classes == 1 + self.rounds || self.classes == 2 && !self.compact) {
            return wrong("there must be no class for rounds, one for each, or one for all of them by position");
        }
        if self.rounds > u32::from(u8::MAX) {
            return wrong("a depth must fit into a byte");
        }
        Ok(())
    }

    /// Greatest depth where `depth` is forced, or not.
    pub(super) fn limit(&self, depth: Option<u32>) -> u32 {
        depth.map_or(self.rounds, |depth| depth.min(self.rounds))
    }

    /// Whether a sequence of at most `limit` rounds has entries in the class.
    pub(super) fn uses(&self, class: u32, limit: u32) -> bool {
        class == 0 || class <= limit
    }

    /// Entries that a token of the given depth adds to a class.
    pub(super) fn adds(&self, class: u32, depth: u8, limit: u32) -> u32 {
        let ran = class <= u32::from(depth) || class == 0 || !self.compact;
        u32::from(ran && self.uses(class, limit))
    }

    /// Pages of both pools for so many entries in each class.
    pub(super) fn pages_for(&self, entries: u32, limit: u32) -> [u32; 2] {
        let mut pages = [0; 2];
        for class in (0..self.classes).filter(|&class| self.uses(class, limit)) {
            pages[pool_of(class)] += entries.div_ceil(PAGE);
        }
        pages
    }
}

/// The pool that a class takes its pages from.
pub(super) fn pool_of(class: u32) -> usize {
    usize::from(class > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOR: Shape = Shape {
        lanes: 4,
        context: 128,
        chunk: 16,
        classes: 4,
        rounds: 3,
        ticks_per_token: 1,
        span: 1,
        compact: true,
        pages: [16, 48],
        prefix_cache: true,
    };

    #[test]
    fn compact_classes_count_tokens_that_ran_the_round() {
        let adds = |depth| (0..4).map(|class| MOR.adds(class, depth, 3)).collect::<Vec<_>>();
        assert_eq!([adds(1), adds(2), adds(3)], [vec![1, 1, 0, 0], vec![1, 1, 1, 0], vec![1, 1, 1, 1]]);
        let by_position = Shape { compact: false, ..MOR };
        assert_eq!((0..4).map(|class| by_position.adds(class, 1, 2)).collect::<Vec<_>>(), [1, 1, 1, 0]);
    }

    #[test]
    fn a_forced_depth_needs_fewer_pages() {
        assert_eq!(MOR.pages_for(33, 3), [2, 6]);
        assert_eq!(MOR.pages_for(33, MOR.limit(Some(1))), [2, 2]);
        assert_eq!(MOR.limit(Some(9)), 3);
    }

    #[test]
    fn shapes_that_fit_no_model_are_refused() {
        assert!(MOR.check().is_ok());
        assert!(Shape { classes: 1, ..MOR }.check().is_ok());
        assert!(Shape { classes: 2, compact: false, ..MOR }.check().is_ok());
        assert!(Shape { classes: 2, ..MOR }.check().is_err());
        assert!(Shape { lanes: 0, ..MOR }.check().is_err());
        assert!(Shape { context: 1, ..MOR }.check().is_err());
        assert!(Shape { span: 0, ..MOR }.check().is_err());
    }
}
