//! `isobath run`: continues a prompt.

use std::io::{self, IsTerminal, Read, Write};

use anyhow::Context;
use isobath::network::generation::Suggestion;
use isobath::service::Settings;

use super::args::{self, Run};
use super::failure;
use super::interrupt::Interrupt;
use super::length::Length;
use super::open;
use super::paint::{Painter, Style, dimmed};
use super::session;
use super::writer::{Outcome, Screen, Writer};

/// Checks what was asked before anything is loaded, then writes.
pub fn run(run: &Run) -> anyhow::Result<u8> {
    args::check_context(run.loading.context)?;
    run.choosing.sampling(0.0)?;
    run.choosing.depth()?;
    run.choosing.tell_seed(run.loading.quiet);
    if let Some(prompts) = &run.batch {
        return super::batch::batch(run, prompts);
    }
    let place = open::of(&run.loading)?;
    let prompt = prompt(&run.prompt, io::stdin().lock())?;
    let interrupt = Interrupt::listen()?;
    let length = Length::Prompt(&prompt, run.tokens);
    let mut model = session::writer(&place, &run.loading, length, run.alternatives)?;
    write(run, &prompt, &mut *model, io::stdout().lock(), &interrupt)
}

/// The prompt, from stdin where it is `-`. A byte order mark and one line end at its end belong to the file, not to the prompt.
fn prompt(given: &str, mut stdin: impl Read) -> anyhow::Result<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).context("cannot read the prompt from stdin; it must be UTF-8 text")?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Writes the answer to `out` and what is to be said about it to stderr; the exit code.
fn write(
    run: &Run,
    prompt: &str,
    model: &mut dyn Writer,
    out: impl Write,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let settings = run.choosing.settings(run.tokens, &Suggestion::default(), 0.0)?;
    let settings = Settings { ignore_end: run.ignore_end, ..settings };
    let request = model.request(&prompt.into(), &settings)?;
    let painter = Painter::new(Style::choose(run.show_depth, io::stdout().is_terminal()), model.rounds());
    if let Some(legend) = painter.legend() {
        eprintln!("{legend}");
    }
    // What came from stdin is known to whoever sent it.
    let opening = if run.no_prompt || run.prompt == "-" { "" } else { prompt };
    let opening = dimmed(opening, io::stdout().is_terminal());
    let outcome = Screen::new(out, run.json, painter).with_opening(opening).answer(model, &request, interrupt)?;
    print_summary(&outcome, model, run.show_depth, run.loading.quiet);
    Ok(if outcome.interrupted { failure::INTERRUPTED } else { failure::DONE })
}

/// What is to be said after an answer, all on stderr: histogram, profile, and last the summary.
pub fn print_summary(outcome: &Outcome, model: &dyn Writer, show_depth: bool, quiet: bool) {
    if show_depth {
        for bar in outcome.depths.bars(40) {
            eprintln!("{bar}");
        }
    }
    if let Some(profile) = model.profile() {
        eprintln!("{profile}");
    }
    if !quiet {
        eprintln!("{}", outcome.summary(model.rounds(), model.adapter()));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use isobath::engine::event::FinishReason;

    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::cli::fake::{Fake, request};

    fn parse(words: &[&str]) -> Run {
        match Arguments::try_parse_from(["isobath", "run", "-q"].iter().chain(words)).unwrap().command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    fn story() -> Fake {
        Fake { answers: [vec![(" there", 1), (" was", 3), ("\n", 2)]].into(), ..Fake::default() }
    }

    /// What stdout holds after a run.
    fn check(words: &[&str], want: &str) {
        let mut out = Vec::new();
        let code = write(&parse(words), "Once", &mut story(), &mut out, &Interrupt::default()).unwrap();
        assert_eq!((code, String::from_utf8(out).unwrap().as_str()), (failure::DONE, want), "{words:?}");
    }

    #[test]
    fn stdout_holds_the_prompt_and_the_text_and_nothing_else() {
        check(&[], "Once there was\n");
        check(&["-n", "2"], "Once there was\n");
        check(&["-n", "0"], "Once\n");
        check(&["--show-depth"], "Once there·1 was·3·2\n");
        check(&["--no-prompt"], " there was\n");
        check(&["--no-prompt", "-n", "0"], "");
        check(&["-p", "-"], " there was\n");
    }

    #[test]
    fn json_is_one_event_per_line() {
        let mut out = Vec::new();
        write(&parse(&["--json"]), "Once", &mut story(), &mut out, &Interrupt::default()).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["prefill", "token", "token", "token", "finished"]);
        assert_eq!(lines[2]["depth"], 3);
    }

    #[test]
    fn a_prompt_from_stdin_loses_one_line_end_only() {
        assert_eq!(prompt("-", &b"a\n\n"[..]).unwrap(), "a\n");
        assert_eq!(prompt("-", &b"a\r\n"[..]).unwrap(), "a");
        assert_eq!(prompt("-", "\u{feff}a".as_bytes()).unwrap(), "a");
        assert_eq!(prompt("a", &b"b"[..]).unwrap(), "a");
        let error = prompt("-", &b"\xff"[..]).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn an_empty_prompt_is_a_refused_request() {
        let error = write(&parse(&[]), "", &mut story(), Vec::new(), &Interrupt::default()).unwrap_err();
        assert_eq!(failure::exit_code(&error), failure::REQUEST);
    }

    /// A reader that closes after the first bytes.
    struct Closed(usize);

    impl Write for Closed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0 {
                0 => Err(io::ErrorKind::BrokenPipe.into()),
                _ => {
                    self.0 -= 1;
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        for words in [&[][..], &["--json"]] {
            let error = write(&parse(words), "Once", &mut story(), Closed(1), &Interrupt::default()).unwrap_err();
            assert_eq!(failure::exit_code(&error), failure::DONE, "{error:?}");
        }
    }

    #[test]
    fn the_summary_tells_tokens_speed_depth_and_adapter() {
        let painter = Painter::new(Style::Plain, 3);
        let mut screen = Screen::new(Vec::new(), false, painter);
        let mut outcome = screen.answer(&mut story(), &request(&[1], 9), &Interrupt::default()).unwrap();
        assert_eq!((outcome.text.as_str(), outcome.reason), (" there was\n", FinishReason::Length));
        outcome.first_token = Some(std::time::Duration::from_millis(500));
        outcome.total = std::time::Duration::from_millis(1500);
        assert_eq!(
            outcome.summary(3, "fake adapter"),
            "3 tokens, 2.0 tokens/s, first after 0.50 s, mean depth 2.00 of 3, all tokens that were asked for; fake adapter"
        );
    }
}
