//! What a caller does with sequences: submit, cancel, listen.

use std::ops::ControlFlow;

use super::event::{Event, FinishReason};
use super::lane::Active;
use super::measure::Depths;
use super::request::Request;
use super::{Engine, Reported, SequenceId};
use crate::error::{Error, GpuError, RequestError};
use crate::runtime::step::Depth;
use crate::schedule::{Outcome, Refusal, Submission};
use crate::text::stream::TextStream;

impl Engine {
    /// Queues a sequence; [`Engine::next`] tells what becomes of it.
    ///
    /// # Errors
    /// A request that cannot be run.
    pub fn submit(&mut self, request: Request) -> Result<SequenceId, RequestError> {
        self.resume(request, &[])
    }

    /// Goes on with a sequence that another engine of the same model began and `written` is all that was told of; what
    /// follows is what would have followed there.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn resume(&mut self, request: Request, written: &[u32]) -> Result<SequenceId, RequestError> {
        let depth = self.check(&request, written.len())?;
        let vocabulary = self.config.vocab_size as usize;
        if let Some(&token) = written.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(RequestError::TokenOutOfRange { token, vocabulary });
        }
        let id = SequenceId(self.last_id + 1);
        let depths = self.depths_of(&request, depth);
        let mut submission = submission(id, &request, depth, depths.as_ref(), written);
        if self.exit_mode().is_some() || self.deferring().is_some() {
            // What is written may lack layers, which a prompt never does.
            submission.shared = request.prompt.len() as u32;
        }
        let mut stream = TextStream::new(self.tokenizer.clone(), &request.stop, !request.ignore_end);
        for token in written {
            stream.push(*token);
        }
        let written = written.len() as u32;
        let depths = depths.map(|depths| depths.rounds);
        let mut active = Active { request, depth, depths, stream: Some(stream), written, threshold: None, waiting: 0 };
        if submission.max_tokens == 0 {
            let event = active.finished(FinishReason::Length);
            self.push(id, None, event);
        } else {
            self.scheduler.submit(submission).map_err(refused)?;
            self.active.insert(id, active);
        }
        self.last_id = id.0;
        self.statistics.submitted += 1;
        Ok(id)
    }

    /// Ends a sequence wherever it stands; its last event says so. `false` where it has ended already.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        let Some(Outcome::Finished { lane, .. }) = self.scheduler.cancel(id) else { return false };
        self.finish(id, lane, FinishReason::Cancelled);
        true
    }

    /// Whether all sequences have ended and all their events are told.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty() && self.events.is_empty()
    }

    /// The next event of any sequence; `None` when all have ended. Events of one sequence come in order.
    ///
    /// # Errors
    /// What the GPU reports; events told before stand.
    pub async fn next(&mut self) -> Result<Option<(SequenceId, Event)>, Error> {
        while self.events.is_empty() && !self.is_idle() {
            self.turn().await?;
        }
        Ok(self.events.pop_front().map(|reported| (reported.sequence, reported.event)))
    }

    /// Goes on by one tick and tells all that is known after it. For callers that show every tick, or stop between two.
    ///
    /// # Errors
    /// As [`Engine::next`].
    pub async fn tick(&mut self) -> Result<Vec<Reported>, Error> {
        if self.events.is_empty() && !self.is_idle() {
            self.turn().await?;
        }
        Ok(self.take_events())
    }

    /// What has been told and not yet taken, without running anything.
    pub fn take_events(&mut self) -> Vec<Reported> {
        self.events.drain(..).collect()
    }

    /// Writes one sequence; `sink` is told of everything and may break it off. Others go on beside it.
    ///
    /// # Errors
    /// A request that cannot be run, or what the GPU reports. Events told before an error stand.
    pub async fn generate(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<FinishReason, Error> {
        let id = self.submit(request.clone())?;
        let mut cancelled = false;
        loop {
            let event = self.next_of(id).await?;
            // What was written behind the break is not told.
            let flow = if cancelled && !matches!(event, Event::Finished { .. }) { continue } else { sink(&event) };
            if let Event::Finished { reason, .. } = event {
                return Ok(reason);
            }
            if flow.is_break() {
                cancelled = true;
                self.cancel(id);
            }
        }
    }

    /// The next event of one sequence; those of others are kept for [`Engine::next`].
    ///
    /// # Errors
    /// What the GPU reports, or that its last event is told already.
    pub async fn next_of(&mut self, id: SequenceId) -> Result<Event, Error> {
        loop {
            let place = self.events.iter().position(|reported| reported.sequence == id);
            if let Some(Reported { event, .. }) = place.and_then(|place| self.events.remove(place)) {
                return Ok(event);
            }
            if !self.active.contains_key(&id) {
                let why = format!("sequence {} has ended, and its last event was told", id.0);
                return Err(GpuError::Internal { why }.into());
            }
            self.turn().await?;
        }
    }

    /// Ends a sequence of which nobody wants to hear any more.
    pub fn forget(&mut self, id: SequenceId) {
        self.cancel(id);
        self.events.retain(|reported| reported.sequence != id);
    }

    pub(super) fn push(&mut self, sequence: SequenceId, lane: Option<u32>, event: Event) {
        if matches!(event, Event::Finished { .. }) {
            self.statistics.finished += 1;
        }
        self.events.push_back(Reported { sequence, lane, event });
    }

    /// Tells of the end of a sequence, and forgets it.
    pub(super) fn finish(&mut self, id: SequenceId, lane: Option<u32>, reason: FinishReason) {
        let Some(mut active) = self.active.remove(&id) else { return };
        let event = active.finished(reason);
        self.push(id, lane, event);
    }
}

fn submission(id: SequenceId, request: &Request, depth: Depth, depths: Option<&Depths>, written: &[u32]) -> Submission {
    // What changes keys and values beside the tokens: how deep each of them goes.
    let key = match (depths, depth) {
        (Some(depths), _) => 1 << 63 | depths.key >> 1,
        (None, Depth::Model) => 0,
        (None, Depth::Fixed(rounds)) => u64::from(rounds),
        (None, Depth::Together) => 1 << 62,
    };
    Submission {
        id,
        prompt: [&request.prompt, written].concat(),
        max_tokens: request.max_tokens.saturating_sub(written.len() as u32),
        depth: request.depth,
        priority: request.priority,
        key,
        shared: u32::MAX,
        // Rows that compete must be read together; what was written did not compete.
        together: if depth == Depth::Together { request.prompt.len() as u32 } else { 0 },
    }
}

/// Most refusals are found before; what remains is the size of the cache.
fn refused(refusal: Refusal) -> RequestError {
    let range = match &refusal {
        Refusal::CacheTooSmall { .. } => "smaller, or the cache larger".to_owned(),
        _ => "one that can be scheduled".to_owned(),
    };
    RequestError::Setting { name: "the request", value: refusal.to_string(), range }
}
