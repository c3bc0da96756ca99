//! Who waits: first come, first served within a priority, and nobody overtaken for ever.

use super::request::{SequenceId, Submission};

/// So many sequences that were submitted later may begin before one that waits; then it comes first.
pub const OVERTAKEN: u32 = 64;

/// A sequence with everything that outlives its stay in a lane.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub submission: Submission,
    /// Order of submission.
    pub ordinal: u64,
    /// Prompt, and tokens written and told.
    pub tokens: Vec<u32>,
    /// Later sequences that began while it waited.
    pub overtaken: u32,
    /// Tokens of the prompt that were told as read.
    pub reported: u32,
}

impl Sequence {
    pub fn new(submission: Submission, ordinal: u64) -> Self {
        let tokens = submission.prompt.clone();
        Self { submission, ordinal, tokens, overtaken: 0, reported: 0 }
    }

    /// Tokens written and told.
    pub fn written(&self) -> u32 {
        (self.tokens.len() - self.submission.prompt.len()) as u32
    }

    /// Whether its last token was told before, and enters a lane again; only where layers are put off.
    pub fn enters(&self, defers: bool) -> bool {
        defers && self.written() > 0
    }

    /// Tokens to be read before it writes.
    pub fn reads(&self, defers: bool) -> u32 {
        self.tokens.len() as u32 - u32::from(self.enters(defers))
    }

    /// Most tokens that it may ever have.
    pub fn longest(&self, context: u32) -> u32 {
        (self.submission.prompt.len() as u32).saturating_add(self.submission.max_tokens).min(context)
    }
}

/// Sequences without a lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    waiting: Vec<Sequence>,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether rows of some prompt must be read together.
    pub fn any_together(&self) -> bool {
        self.waiting.iter().any(|sequence| sequence.submission.together > 0)
    }

    pub fn contains(&self, id: SequenceId) -> bool {
        self.waiting.iter().any(|sequence| sequence.submission.id == id)
    }

    /// A preempted sequence keeps its ordinal and thereby stands before all later ones of its priority.
    pub fn push(&mut self, sequence: Sequence) {
        self.waiting.push(sequence);
    }

    pub fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        let at = self.waiting.iter().position(|sequence| sequence.submission.id == id)?;
        Some(self.waiting.remove(at))
    }

    /// Who comes next: the oldest that was overtaken too often, else the oldest of the highest priority.
    pub fn first(&self) -> Option<&Sequence> {
        self.waiting.iter().min_by_key(|sequence| {
            let patient = sequence.overtaken < OVERTAKEN;
            let priority = if patient { u8::MAX - sequence.submission.priority } else { 0 };
            (patient, priority, sequence.ordinal)
        })
    }

    /// Takes out the sequence that comes next: it overtakes all older ones.
    pub fn pop(&mut self) -> Option<Sequence> {
        let id = self.first()?.submission.id;
        let first = self.remove(id)?;
        for other in self.waiting.iter_mut().filter(|other| other.ordinal < first.ordinal) {
            other.overtaken += 1;
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(ordinal: u64, priority: u8) -> Sequence {
        let submission = Submission {
            id: SequenceId(ordinal),
            prompt: vec![1],
            max_tokens: 1,
            depth: None,
            priority,
            key: 0,
            together: 0,
            shared: u32::MAX,
        };
        Sequence::new(submission, ordinal)
    }

    #[test]
    fn first_come_first_served_within_a_priority() {
        let mut queue = Queue::default();
        [(0, 0), (1, 2), (2, 0), (3, 2)]
            .iter()
            .for_each(|&(ordinal, priority)| queue.push(sequence(ordinal, priority)));
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop().map(|first| first.ordinal)).collect();
        assert_eq!(order, [1, 3, 0, 2]);
    }

    #[test]
    fn the_patience_of_those_who_wait_is_bounded() {
        let mut queue = Queue::default();
        queue.push(sequence(0, 0));
        queue.push(sequence(1, 0));
        let order: Vec<u64> = (2..)
            .take(OVERTAKEN as usize + 2)
            .map(|ordinal| {
                queue.push(sequence(ordinal, 9));
                queue.pop().unwrap().ordinal
            })
            .collect();
        assert_eq!(order[..OVERTAKEN as usize], (2..2 + u64::from(OVERTAKEN)).collect::<Vec<_>>());
        assert_eq!(order[OVERTAKEN as usize..], [0, 1]);
    }

    #[test]
    fn a_preempted_sequence_stands_before_later_ones() {
        let mut queue = Queue::default();
        [4, 5].into_iter().for_each(|ordinal| queue.push(sequence(ordinal, 0)));
        queue.push(sequence(3, 0));
        assert_eq!(queue.pop().unwrap().ordinal, 3);
    }
}
