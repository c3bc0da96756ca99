//! `isobath chat`: a conversation, line by line, at a terminal or through a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use isobath::engine::request::Request;
use isobath::text::Message;

use super::args::{self, Chat};
use super::interrupt::Interrupt;
use super::open::Place;
use super::paint::{Painter, Style};
use super::writer::{Role, Screen, Turn, Writer};
use super::{failure, run, session};

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
    let place = Place::of(&chat.loading)?;
    let interrupt = Interrupt::listen()?;
    let mut model = session::load(&place, &chat.loading, 0)?;
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
    let opening: Vec<Turn> =
        chat.system.iter().map(|content| Turn { role: Role::System, content: content.clone() }).collect();
    if model.encode_turns(&opening).is_ok_and(|tokens| tokens.is_none()) && !chat.loading.quiet {
        eprintln!(
            "note: the model has no chat template; it is given the conversation as `User:` and `Assistant:` lines"
        );
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
                turns.push(Turn { role: Role::User, content: said.to_owned() });
                let answered = answer(chat, model, &turns, &mut out, painter, interrupt);
                match answered {
                    Ok((content, interrupted)) => {
                        turns.push(Turn { role: Role::Assistant, content });
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

/// Answers the last turn; the text, and whether Ctrl-C ended it.
fn answer(
    chat: &Chat,
    model: &mut dyn Writer,
    turns: &[Turn],
    out: &mut impl Write,
    painter: Painter,
    interrupt: &Interrupt,
) -> anyhow::Result<(String, bool)> {
    let mut stop = chat.choosing.stop.clone();
    let prompt = match model.encode_turns(turns)? {
        Some(prompt) => prompt,
        None => {
            stop.push("\nUser:".to_owned());
            model.encode(&transcript(turns))?
        }
    };
    let request = Request {
        prompt,
        max_tokens: chat.tokens,
        sampling: chat.choosing.sampling(TEMPERATURE)?,
        stop,
        ignore_end: false,
        depth: chat.choosing.depth()?,
        routing: chat.choosing.routing(),
        priority: 0,
        drawn_depths: None,
    };
    let outcome = Screen::new(out, false, painter).answer(model, &request, interrupt)?;
    run::tell(&outcome, model, chat.show_depth, chat.loading.quiet);
    Ok((outcome.text.trim().to_owned(), outcome.interrupted))
}

/// The conversation for a model that knows no roles.
fn transcript(turns: &[Turn]) -> String {
    let role = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let messages: Vec<Message> = turns.iter().map(|turn| Message::new(role(turn.role), &turn.content)).collect();
    isobath::text::chat::transcript(&messages)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::cli::fake::Fake;

    /// Answers "yes", then "no"; returns stdout and the prompts that the model saw.
    fn check(words: &[&str], template: bool, input: &str) -> (String, Vec<String>) {
        let command = Arguments::try_parse_from(["isobath", "chat", "-q"].iter().chain(words)).unwrap().command;
        let Command::Chat(chat) = command else { panic!("{command:?}") };
        let mut model = Fake { answers: [vec![(" yes", 1)], vec![(" no", 2)]].into(), template, asked: Vec::new() };
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
}
