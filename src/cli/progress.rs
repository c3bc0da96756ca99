//! The bar that is shown while one waits.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isobath::service::{self, Step};

/// The bar; draws nothing unless stderr is a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that appears with the first [`Progress::set`].
    pub fn new(quiet: bool) -> Self {
        Self::styled(quiet, "loading {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
    }

    /// A bar for bytes that are written.
    pub fn writing(quiet: bool) -> Self {
        Self::styled(quiet, "writing {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
    }

    /// A bar for bytes from elsewhere.
    #[cfg(feature = "hub")]
    pub fn fetching(quiet: bool) -> Self {
        Self::styled(quiet, "fetching {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    /// A bar that counts things of some name.
    pub fn counting(quiet: bool, name: &str) -> Self {
        Self::styled(quiet, &format!("{name} {{wide_bar}} {{pos}}/{{len}} {{eta}}"))
    }

    /// A sign of life while kernels are made.
    pub fn preparing(quiet: bool) -> Self {
        let progress =
            Self::styled(quiet, "{spinner} preparing kernels; the first time on a machine this takes some seconds");
        progress.bar.enable_steady_tick(Duration::from_millis(120));
        progress
    }

    fn styled(quiet: bool, template: &str) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(0),
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// How far a model is: its bytes, then its kernels.
    pub fn loading(&self, at: service::Progress) {
        if at.step == Step::Kernels
            && at.done == 1
            && let Ok(style) = ProgressStyle::with_template("compiling kernels {wide_bar} {pos}/{len}")
        {
            self.bar.set_style(style);
        }
        self.set(at.done, at.total);
    }

    /// So much of so much is done.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Removes the bar, so that nothing of it stays between messages.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
