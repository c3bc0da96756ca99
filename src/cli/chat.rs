//! `isobath chat`: a conversation, line by line, at a terminal or through a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use isobath::network::generation::{Generation, Suggestion};
use isobath::text::{Message, Role};

use super::args::{self, Chat};
use super::interrupt::Interrupt;
use super::length::Length;
use super::open;
use super::paint::{Painter, Style};
use super::session;
use super::writer::{Screen, Writer};
use super::{failure, run};

const HELP: &str = "\
/help   this list
/reset  forget the conversation (the system prompt stays)
/exit   leave; so does the end of the input (Ctrl-D)
Ctrl-C ends an answer, or the program where none is being written.";

/// Small models repeat themselves without some chance.
const TEMPERATURE: f32 = 0.7;

/// Checks what was asked before anything is loaded, then talks.
pub fn chat(chat: &Chat) -> anyhow::Result<u8> {
    args::check_context(chat.loading.context)?;
    chat.choosing.sampling(TEMPERATURE)?;
    chat.choosing.depth()?;
    chat.choosing.tell_seed(chat.loading.quiet);
    let place = open::of(&chat.loading)?;
    let interrupt = Interrupt::listen()?;
    let mut model = session::writer(&place, &chat.loading, Length::Conversation, 0)?;
    let terminal = io::stdin().is_terminal();
    if terminal && !chat.loading.quiet {
        eprintln!("{HELP}");
    }
    talk(chat, &mut *model, io::stdin().lock(), io::stdout().lock(), terminal, &interrupt)
}

/// Reads lines and answers them until the input ends; the exit code.
fn talk(
    chat: &Chat,
    model: &mut dyn Writer,
    mut input: impl BufRead,
    mut out: impl Write,
    terminal: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let painter = Painter::new(Style::choose(chat.show_depth, io::stdout().is_terminal()), model.rounds());
    if let Some(legend) = painter.legend() {
        eprintln!("{legend}");
    }
    let opening: Vec<Message> = chat.system.iter().map(|content| Message::new(Role::System, content)).collect();
    if !model.has_template() && !chat.loading.quiet {
        eprintln!("{}", session::NO_TEMPLATE);
    }
    if let Some(line) = suggested_sampling(chat, model.generation()).filter(|_| !chat.loading.quiet) {
        eprintln!("{line}");
    }
    let mut turns = opening.clone();
    loop {
        if terminal {
            eprint!("> ");
        }
        let mut line = String::new();
        if input.read_line(&mut line).context("cannot read from stdin; it must be UTF-8 text")? == 0 {
            if terminal {
                eprintln!();
            }
            return Ok(failure::DONE);
        }
        match line.trim() {
            "" => continue,
            "/exit" => return Ok(failure::DONE),
            "/help" => eprintln!("{HELP}"),
            "/reset" => {
                turns.clone_from(&opening);
                eprintln!("The conversation is forgotten.");
            }
            command if command.starts_with('/') => eprintln!("There is no {command}.\n{HELP}"),
            said => {
                turns.push(Message::new(Role::User, said));
                let answered = answer(chat, model, &turns, &mut out, painter, interrupt);
                match answered {
                    Ok((content, interrupted)) => {
                        turns.push(Message::new(Role::Assistant, content));
                        // At a terminal the conversation goes on; nobody is there to go on with a pipe.
                        if interrupted && !terminal {
                            return Ok(failure::INTERRUPTED);
                        }
                    }
                    Err(error) if terminal && failure::exit_code(&error) == failure::REQUEST => {
                        turns.pop();
                        eprintln!(
                            "error: {}\nhelp: /reset makes room by forgetting the conversation",
                            failure::chain(&error)
                        );
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// The settings that the model's author has chosen, where the user has not.
fn suggested_sampling(chat: &Chat, generation: &Generation) -> Option<String> {
    let (own, model) = (&chat.choosing, generation.suggestion);
    let left = Suggestion {
        temperature: model.temperature.filter(|_| own.temperature.is_none()),
        top_k: model.top_k.filter(|_| own.top_k.is_none()),
        top_p: model.top_p.filter(|_| own.top_p.is_none()),
        min_p: model.min_p.filter(|_| own.min_p.is_none()),
        repeat_penalty: model.repeat_penalty.filter(|_| own.repeat_penalty.is_none()),
    };
    let greedy = own.temperature == Some(0.0);
    let left = if greedy { Suggestion { repeat_penalty: left.repeat_penalty, ..Suggestion::default() } } else { left };
    let words = left.words()?;
    Some(format!("sampling as {} says: {words}", generation.origin))
}

/// Answers the last turn; the text, and whether Ctrl-C ended it.
fn answer(
    chat: &Chat,
    model: &mut dyn Writer,
    turns: &[Message],
    out: &mut impl Write,
    painter: Painter,
    interrupt: &Interrupt,
) -> anyhow::Result<(String, bool)> {
    let settings = chat.choosing.settings(chat.tokens, &model.generation().suggestion, TEMPERATURE)?;
    let request = model.request(&turns.into(), &settings)?;
    let outcome = Screen::new(out, false, painter).answer(model, &request, interrupt)?;
    run::print_summary(&outcome, model, chat.show_depth, chat.loading.quiet);
    Ok((outcome.text.trim().to_owned(), outcome.interrupted))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use isobath::engine::request::Sampling;

    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::cli::fake::Fake;

    /// Answers "yes", then "no"; returns stdout and the prompts that the model saw.
    fn check(words: &[&str], template: bool, input: &str) -> (String, Vec<String>) {
        let command = Arguments::try_parse_from(["isobath", "chat", "-q"].iter().chain(words)).unwrap().command;
        let Command::Chat(chat) = command else { panic!("{command:?}") };
        let answers = [vec![(" yes", 1)], vec![(" no", 2)]].into();
        let mut model = Fake { answers, template, ..Fake::default() };
        let mut out = Vec::new();
        let code = talk(&chat, &mut model, input.as_bytes(), &mut out, false, &Interrupt::default()).unwrap();
        assert_eq!(code, failure::DONE);
        (String::from_utf8(out).unwrap(), model.asked)
    }

    #[test]
    fn the_conversation_is_kept() {
        let (out, asked) = check(&["--system", "be brief"], true, "hello\n\nbye\n");
        assert_eq!(out, " yes\n no\n");
        assert_eq!(asked, ["<s:be brief><u:hello>", "<s:be brief><u:hello><a:yes><u:bye>"]);
    }

    #[test]
    fn commands_are_not_sent_to_the_model() {
        let (out, asked) = check(&["--system", "x"], true, "hello\n/reset\n/help\n/nonsense\nbye\n/exit\nnever\n");
        assert_eq!(out, " yes\n no\n");
        assert_eq!(asked, ["<s:x><u:hello>", "<s:x><u:bye>"]);
    }

    #[test]
    fn a_model_without_a_template_reads_a_transcript() {
        let (_, asked) = check(&[], false, "hello\nbye");
        assert_eq!(asked, ["User: hello\nAssistant:", "User: hello\nAssistant: yes\nUser: bye\nAssistant:"]);
    }

    /// What a model is asked for whose author says this, and what is told of it.
    fn sampled(words: &[&str], file: &str) -> (Sampling, Option<String>) {
        let command = Arguments::try_parse_from(["isobath", "chat", "-q"].iter().chain(words)).unwrap().command;
        let Command::Chat(chat) = command else { panic!("{command:?}") };
        let generation = Generation::from_json(file).unwrap();
        let line = suggested_sampling(&chat, &generation);
        let mut model = Fake { template: true, generation, ..Fake::default() };
        talk(&chat, &mut model, &b"hello"[..], Vec::new(), false, &Interrupt::default()).unwrap();
        (model.sampled[0], line)
    }

    #[test]
    fn the_authors_settings_count_where_the_user_has_none() {
        let file = r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.1}"#;
        let (sampling, line) = sampled(&[], file);
        let want = Sampling { temperature: 0.6, top_k: 50, top_p: 0.9, min_p: 0.0, repeat_penalty: 1.1, seed: 0 };
        assert_eq!(sampling, want);
        assert_eq!(
            line.unwrap(),
            "sampling as generation_config.json says: temperature 0.6, top-k 50, top-p 0.9, repeat-penalty 1.1"
        );
        let (sampling, line) = sampled(&["--temperature", "1", "--top-p", "1", "--top-k", "0"], file);
        assert_eq!(sampling, Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, ..want });
        assert_eq!(line.unwrap(), "sampling as generation_config.json says: repeat-penalty 1.1");
        let (sampling, line) = sampled(&["--seed", "3"], r#"{"do_sample": false, "temperature": 0.6, "top_p": 0.9}"#);
        assert_eq!(sampling, Sampling { seed: 3, ..Sampling::GREEDY });
        assert_eq!(line.unwrap(), "sampling as generation_config.json says: the most probable token");
        let (sampling, line) = sampled(&[], r#"{"eos_token_id": 1, "temperature": 0.1}"#);
        assert_eq!((sampling, line), (Sampling { temperature: TEMPERATURE, ..Sampling::GREEDY }, None));
    }
}
