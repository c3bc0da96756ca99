//! Commands as they come, while a model loads and after.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use futures_channel::mpsc::UnboundedReceiver;

use super::message::Command;

/// Where commands arrive.
pub(super) struct Inbox {
    receiver: UnboundedReceiver<Command>,
    /// What came while the model was loading.
    kept: VecDeque<Command>,
    /// Everybody who could send is gone.
    pub closed: bool,
}

impl Inbox {
    pub fn new(receiver: UnboundedReceiver<Command>) -> Self {
        Self { receiver, kept: VecDeque::new(), closed: false }
    }

    /// A command that has come already.
    pub fn try_next(&mut self) -> Option<Command> {
        if let Some(command) = self.kept.pop_front() {
            return Some(command);
        }
        match self.receiver.try_recv() {
            Ok(command) => Some(command),
            Err(error) => {
                self.closed |= error.is_closed();
                None
            }
        }
    }

    /// The next command; `None` where none can come any more.
    pub async fn next(&mut self) -> Option<Command> {
        if let Some(command) = self.kept.pop_front() {
            return Some(command);
        }
        let command = self.receiver.recv().await.ok();
        self.closed |= command.is_none();
        command
    }

    /// Waits for `work` unless a `CancelAll` comes first; what comes beside it is kept.
    pub async fn unless_cancelled<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.poll_cancelled(context) {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn poll_cancelled(&mut self, context: &mut Context<'_>) -> bool {
        while let Poll::Ready(command) = pin!(self.receiver.recv()).poll(context) {
            match command {
                Ok(Command::CancelAll) => {
                    self.kept.clear();
                    return true;
                }
                Ok(command) => self.kept.push_back(command),
                Err(_) => {
                    // What was asked is still done.
                    self.closed = true;
                    return false;
                }
            }
        }
        false
    }
}
