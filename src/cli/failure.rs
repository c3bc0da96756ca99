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

/// How settings are given that the tensors of a model do not tell.
pub const SETTINGS: &str =
    "`isobath import` takes a setting by `--set PATH=VALUE`, the training's by `--training YAML`";

fn asks_for_settings(text: &str) -> bool {
    text.contains("the training's settings") || text.contains("set num_attention_heads")
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
    if let Some(flag) = error.chain().find_map(missing) {
        return Some(flag);
    }
    match exit_code(error) {
        MODEL => Some("`isobath inspect MODEL` lists everything that would not load"),
        GPU => Some("`isobath adapters` lists the GPUs; `--adapter` chooses one by index or name"),
        REQUEST => Some("`isobath run --help` lists the settings and what they may hold"),
        _ => None,
    }
}

/// The flag that gives what the library says is missing.
fn missing(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let gpu = |error: &GpuError| match error {
        GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. } => {
            Some("`--context` asks for shorter sequences; `--adapter` chooses another GPU")
        }
        _ => None,
    };
    let request = |error: &RequestError| match error {
        RequestError::PromptTooLong { hint, .. } if hint.contains("larger context") => {
            Some("`--context` makes room for longer sequences")
        }
        _ => None,
    };
    let model = |error: &ModelError| match error {
        ModelError::Unsupported { supported, .. } if supported.contains("unroll a model") => {
            Some("`isobath convert --merge` unrolls a recursive model")
        }
        ModelError::Kit { .. } => Some("`isobath draft MODEL TEXT --out KIT` makes a kit for a model"),
        ModelError::Config { why } if asks_for_settings(why) => Some(SETTINGS),
        ModelError::Unsupported { supported, .. } if asks_for_settings(supported) => Some(SETTINGS),
        _ => None,
    };
    match cause.downcast_ref::<error::Error>() {
        Some(error::Error::Gpu(error)) => gpu(error),
        Some(error::Error::Request(error)) => request(error),
        Some(error::Error::Model(error)) => model(error),
        Some(_) => None,
        None => {
            let bare = cause.downcast_ref().and_then(gpu).or_else(|| cause.downcast_ref().and_then(request));
            bare.or_else(|| cause.downcast_ref().and_then(model))
        }
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
    fn what_is_missing_is_named_with_its_flag() {
        let hint = "; or load the model with a larger context (it allows 9)".to_owned();
        let long = |hint| error::Error::from(RequestError::PromptTooLong { tokens: 9, context: 4, hint });
        assert!(help(&long(hint).into()).unwrap().contains("`--context` makes room"));
        assert!(help(&long(String::new()).into()).unwrap().contains("--help"));
        let memory = || GpuError::OutOfMemory { label: "x".into(), bytes: 1 };
        for error in [Error::from(memory()), Error::from(error::Error::from(memory()))] {
            assert!(help(&error).unwrap().contains("`--context` asks for shorter"), "{error}");
        }
        let unsaid = || ModelError::Config { why: "set x=N, or give the training's settings".into() };
        for error in [Error::from(unsaid()), Error::from(error::Error::from(unsaid()))] {
            assert_eq!(help(&error), Some(SETTINGS), "{error}");
        }
        assert!(help(&GpuError::NoAdapter.into()).unwrap().contains("isobath adapters"));
    }

    #[test]
    fn a_reason_is_told_once() {
        let source = io::Error::new(io::ErrorKind::NotFound, "gone");
        let error = Error::from(ModelError::Read { path: "x".into(), source }).context("cannot start");
        assert_eq!(chain(&error), "cannot start: cannot read \"x\": gone");
    }
}
