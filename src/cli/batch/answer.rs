//! What is written for a line, in the form in which it asked: ours or OpenAI's.
//!
//! **Invariant:** every answer says the number and the hash of its line, so that a later run knows it; the line's own
//! name for itself stands there as it came.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Error;
use isobath::engine::event::FinishReason;
use isobath::error::RequestError;
use isobath::service::prompts::{Form, Line};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::failure;

/// What was written for a prompt.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish_reason: FinishReason,
    pub(super) prompt_tokens: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) depths: Vec<u32>,
    pub(super) mean_depth: f64,
    /// From the first tick that read its prompt to its end.
    pub(super) seconds: f64,
    /// It is an assistant's message.
    #[serde(skip)]
    pub(super) chat: bool,
    /// What the line calls the model, or the command.
    #[serde(skip)]
    pub(super) model: Box<str>,
}

/// The JSON line for what was written.
pub(super) fn written(line: &Line, answer: &Answer) -> serde_json::Result<String> {
    match line.form {
        Form::Own => Ok(own(line, &serde_json::to_string(answer)?)),
        Form::OpenAi => {
            let (of, body) = (name(line), openai_body(line, answer));
            let response = json!({"status_code": 200, "request_id": format!("req_{of}"), "body": body});
            Ok(openai(line, &json!({"response": response, "error": null})))
        }
    }
}

/// The JSON line for a prompt that cannot be run.
pub(super) fn refused(line: &Line, error: &Error) -> String {
    let why = failure::chain(error);
    match line.form {
        Form::Own => own(line, &json!({"error": why}).to_string()),
        Form::OpenAi => {
            let code = match error.downcast_ref() {
                Some(RequestError::PromptTooLong { .. }) => "context_length_exceeded",
                _ => "invalid_request",
            };
            let error = json!({"message": why, "type": "invalid_request_error", "param": null, "code": code});
            let request = format!("req_{}", name(line));
            let response = json!({"status_code": 400, "request_id": request, "body": {"error": error}});
            openai(line, &json!({"response": response, "error": {"code": code, "message": why}}))
        }
    }
}

/// Puts our keys in front of those of an object that has some.
fn own(line: &Line, rest: &str) -> String {
    let (Line { number, .. }, hash, id) = (line, hash(line), id(line));
    format!("{{\"line\":{number},\"hash\":\"{hash}\",\"id\":{id},{}", rest.trim_start_matches('{'))
}

fn openai(line: &Line, rest: &Value) -> String {
    let (Line { number, .. }, hash, id) = (line, hash(line), id(line));
    let (of, rest) = (name(line), rest.to_string());
    let rest = rest.strip_suffix('}').unwrap_or(&rest).trim_start_matches('{');
    format!("{{\"id\":\"batch_req_{of}\",\"custom_id\":{id},{rest},\"line\":{number},\"hash\":\"{hash}\"}}")
}

/// The JSON text of the line's name for itself.
fn id(line: &Line) -> &str {
    line.id.as_deref().unwrap_or("null")
}

/// How a hash is written.
pub(super) fn hash(line: &Line) -> String {
    format!("{:016x}", line.hash)
}

/// The same for the same line of the same file.
fn name(line: &Line) -> String {
    format!("{}{:08x}", hash(line), line.number)
}

fn openai_body(line: &Line, answer: &Answer) -> Value {
    let reason = match answer.finish_reason {
        FinishReason::EndOfSequence | FinishReason::Stop => "stop",
        FinishReason::Length | FinishReason::ContextFull | FinishReason::Cancelled => "length",
    };
    let (read, written) = (answer.prompt_tokens, answer.tokens.len());
    let (kind, object, choice) = if answer.chat {
        let message = json!({"role": "assistant", "content": answer.text, "refusal": null});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason});
        ("chatcmpl", "chat.completion", choice)
    } else {
        let choice = json!({"index": 0, "text": answer.text, "logprobs": null, "finish_reason": reason});
        ("cmpl", "text_completion", choice)
    };
    json!({
        "id": format!("{kind}-{}", name(line)),
        "object": object,
        "created": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        "model": answer.model,
        "choices": [choice],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        // What OpenAI's form has no place for.
        "isobath": {
            "tokens": answer.tokens,
            "depths": answer.depths,
            "mean_depth": answer.mean_depth,
            "seconds": answer.seconds,
        },
    })
}
