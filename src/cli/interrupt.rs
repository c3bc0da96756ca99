//! Ctrl-C: ends what is being written, keeps what was written; without anything being written it ends the program.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::failure;

/// The flag that Ctrl-C raises.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    writing: AtomicBool,
    requested: AtomicBool,
}

impl Interrupt {
    /// Listens for Ctrl-C from now on. The second one during an answer ends the program at once.
    pub fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        ctrlc::set_handler(move || {
            if heard.hit() {
                process::exit(i32::from(failure::INTERRUPTED));
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Runs `write`, during which Ctrl-C only raises the flag. The flag tells whether it was raised.
    pub fn while_writing<T>(&self, write: impl FnOnce(&Self) -> T) -> (T, bool) {
        self.flags.requested.store(false, Ordering::SeqCst);
        self.flags.writing.store(true, Ordering::SeqCst);
        let result = write(self);
        self.flags.writing.store(false, Ordering::SeqCst);
        (result, self.requested())
    }

    /// Ctrl-C was pressed since writing began.
    pub fn requested(&self) -> bool {
        self.flags.requested.load(Ordering::SeqCst)
    }

    /// Ctrl-C is pressed; true if the program is to end at once.
    fn hit(&self) -> bool {
        let again = self.flags.requested.swap(true, Ordering::SeqCst);
        again || !self.flags.writing.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_survives_the_first_ctrl_c() {
        assert!(Interrupt::default().hit(), "nothing is being written: the program ends");
        let interrupt = Interrupt::default();
        let ((first, second), raised) = interrupt.while_writing(|interrupt| (interrupt.hit(), interrupt.hit()));
        assert_eq!((first, second, raised), (false, true, true));
        let ((), raised) = interrupt.while_writing(|_| ());
        assert!(!raised, "the next answer starts afresh");
    }
}
