//! How a failure is told: the exit code, the chain of reasons, and what can be done about it.

use std::io;

use anyhow::Error;
use isobath::error::{self, GpuError, ModelError, RequestError, TextError};

/// Ended as asked.
pub const DONE: u8 = 0;
/// A failure that has no code of its own.
pub const FAILED: u8 = 1;
/// The model cannot be used.
pub const MODEL: u8 = 3;
/// No GPU, or it failed.
pub const GPU: u8 = 4;
/// The request was refused.
pub const REQUEST: u8 = 5;
/// Ended by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// The exit code for an error; [`DONE`] where the reader of stdout has simply gone.
pub fn exit_code(error: &Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<error::Error>() {
            return match error {
                error::Error::Model(_) | error::Error::Text(_) => MODEL,
                error::Error::Gpu(_) => GPU,
                error::Error::Request(_) => REQUEST,
                _ => FAILED,
            };
        }
        if cause.is::<ModelError>() || cause.is::<TextError>() {
            return MODEL;
        }
        if cause.is::<GpuError>() {
            return GPU;
        }
        if cause.is::<RequestError>() {
            return REQUEST;
        }
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return DONE;
        }
    }
    FAILED
}

/// All reasons on one line, outermost first; a reason that the one before it already tells is not repeated.
pub fn chain(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let reason = cause.to_string();
        if text.is_empty() {
            text = reason;
        } else if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
    }
    text
}

/// What to do, where the message itself does not say it.
pub fn help(error: &Error) -> Option<&'static str> {
    match exit_code(error) {
        MODEL => Some("`isobath inspect MODEL` lists everything that would not load"),
        GPU => Some("`isobath adapters` lists the GPUs; `--adapter` chooses one by index or name"),
        REQUEST => Some("`isobath run --help` lists the settings and what they may hold"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_has_its_code() {
        let text = || TextError::Template { why: "x".into() };
        let request = || RequestError::EmptyPrompt;
        let model = || ModelError::Config { why: "x".into() };
        assert_eq!(exit_code(&model().into()), MODEL);
        assert_eq!(exit_code(&error::Error::from(model()).into()), MODEL);
        assert_eq!(exit_code(&error::Error::from(text()).into()), MODEL);
        assert_eq!(exit_code(&error::Error::from(GpuError::NoAdapter).into()), GPU);
        assert_eq!(exit_code(&Error::from(GpuError::NoAdapter).context("while listing")), GPU);
        assert_eq!(exit_code(&error::Error::from(request()).into()), REQUEST);
        assert_eq!(exit_code(&anyhow::anyhow!("something else")), FAILED);
        assert_eq!(exit_code(&io::Error::from(io::ErrorKind::BrokenPipe).into()), DONE);
        assert_eq!(exit_code(&io::Error::from(io::ErrorKind::PermissionDenied).into()), FAILED);
    }

    #[test]
    fn a_reason_is_told_once() {
        let source = io::Error::new(io::ErrorKind::NotFound, "gone");
        let error = Error::from(ModelError::Read { path: "x".into(), source }).context("cannot start");
        assert_eq!(chain(&error), "cannot start: cannot read \"x\": gone");
    }
}
