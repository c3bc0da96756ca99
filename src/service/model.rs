//! A model on a GPU, as whoever uses the library meets it: prompts in, events out.

use super::load::Files;
use super::prompt::{Prompt, Settings};
use crate::engine::event::{Event, FinishReason};
use crate::engine::request::Request;
use crate::engine::{Engine, EngineOptions, SequenceId};
use crate::error::{Error, TextError};
use crate::gpu::Gpu;
use crate::network::generation::Generation;
use crate::text::{ChatTemplate, Message, Tokenizer};

/// A model on a GPU.
///
/// [`Model::generate`] and [`Model::chat`] write one sequence, [`Model::submit`] and [`Model::next`] many side by side. It
/// is `Send`: it may move to another thread. Its futures are not, for the device's caches are used through shared
/// references: on an executor with many threads give the model a thread of its own.
pub struct Model {
    /// What runs it: depths, thresholds, statistics, and requests by the token.
    pub engine: Engine,
    /// How conversations are written, where the model was made for them.
    pub template: Option<ChatTemplate>,
    /// What the model's author says of writing.
    pub generation: Generation,
    /// What a person should know although the model runs, a sentence each.
    pub warnings: Vec<String>,
    /// Numbers in the files, those that are shared counted once.
    pub parameters: u64,
}

impl Model {
    /// Reads a model's files and puts it on a GPU. [`Files::read`] and
    /// [`Parts::load`](super::Parts::load) do the same in two steps, with a clock for chat templates and with progress.
    ///
    /// # Errors
    /// What is wrong with the files, or what the GPU has no room for.
    pub async fn load(files: &Files, gpu: Gpu, options: EngineOptions) -> Result<Self, Error> {
        files.read(None).await?.load(gpu, options, &mut |_| {}).await
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.engine.tokenizer()
    }

    /// [`Settings`] as the model's author would have them, where the author says so.
    pub fn settings(&self) -> Settings {
        Settings::default().suggested(&self.generation.suggestion)
    }

    /// The request that the engine is given for a prompt.
    ///
    /// # Errors
    /// As [`Prompt::request`].
    pub fn request(&self, prompt: impl Into<Prompt>, settings: &Settings) -> Result<Request, TextError> {
        prompt.into().request(settings, self.tokenizer(), self.template.as_ref())
    }

    /// Goes on with a prompt: events as they come. Other sequences go on beside it.
    ///
    /// # Errors
    /// A prompt or settings that cannot be followed.
    pub fn generate(&mut self, prompt: impl Into<Prompt>, settings: &Settings) -> Result<Writing<'_>, Error> {
        let sequence = self.submit(prompt, settings)?;
        Ok(Writing { engine: &mut self.engine, sequence, ended: false })
    }

    /// Answers the last turn of a conversation. A model without a chat template is given it as `User:` and `Assistant:`
    /// lines.
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn chat(&mut self, messages: &[Message], settings: &Settings) -> Result<Writing<'_>, Error> {
        self.generate(messages, settings)
    }

    /// Queues a sequence; [`Model::next`] tells what becomes of it. As many run side by side as the engine has lanes, the
    /// others wait.
    ///
    /// # Errors
    /// A prompt or settings that cannot be followed.
    pub fn submit(&mut self, prompt: impl Into<Prompt>, settings: &Settings) -> Result<SequenceId, Error> {
        let request = self.request(prompt, settings)?;
        Ok(self.engine.submit(request)?)
    }

    /// The next event of any sequence; `None` when all have ended. Events of one sequence come in order.
    ///
    /// # Errors
    /// What the GPU reports; events told before stand.
    pub async fn next(&mut self) -> Result<Option<(SequenceId, Event)>, Error> {
        self.engine.next().await
    }

    /// [`Model::next`] for programs that may wait.
    ///
    /// # Errors
    /// As there.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&mut self) -> Result<Option<(SequenceId, Event)>, Error> {
        pollster::block_on(self.next())
    }

    /// Ends a sequence wherever it stands; its last event says so. `false` where it has ended already.
    pub fn cancel(&mut self, sequence: SequenceId) -> bool {
        self.engine.cancel(sequence)
    }
}

/// A sequence that is being written. Natively it is an iterator that waits for each event; in code that must not wait,
/// [`Writing::event`] is awaited instead. Dropped early, it ends the sequence.
pub struct Writing<'m> {
    engine: &'m mut Engine,
    sequence: SequenceId,
    ended: bool,
}

impl Writing<'_> {
    /// Its name among all sequences of the engine.
    pub fn sequence(&self) -> SequenceId {
        self.sequence
    }

    /// The next event; `None` behind the last.
    ///
    /// # Errors
    /// What the GPU reports; events told before stand.
    pub async fn event(&mut self) -> Result<Option<Event>, Error> {
        if self.ended {
            return Ok(None);
        }
        let event = self.engine.next_of(self.sequence).await;
        self.ended = !matches!(event, Ok(Event::Prefill { .. } | Event::Token(_)));
        if event.is_err() {
            self.engine.forget(self.sequence);
        }
        event.map(Some)
    }

    /// Waits for the end: the whole text, and why it ended there.
    ///
    /// # Errors
    /// As [`Writing::event`].
    pub async fn finish(mut self) -> Result<(String, FinishReason), Error> {
        let mut whole = String::new();
        let mut end = FinishReason::Cancelled;
        while let Some(event) = self.event().await? {
            match event {
                Event::Prefill { .. } => {}
                Event::Token(token) => whole.push_str(&token.text),
                Event::Finished { reason, text, .. } => {
                    whole.push_str(&text);
                    end = reason;
                }
            }
        }
        Ok((whole, end))
    }

    /// [`Writing::finish`] for programs that may wait: the whole text.
    ///
    /// # Errors
    /// As [`Writing::event`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn text(self) -> Result<String, Error> {
        pollster::block_on(self.finish()).map(|(text, _)| text)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Iterator for Writing<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        pollster::block_on(self.event()).transpose()
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.forget(self.sequence);
        }
    }
}
