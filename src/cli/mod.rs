//! The command: what a person types, sees and can interrupt. One file per subcommand.
//!
//! **Invariant:** only this part of the program opens files, prints, or knows of terminals and signals; results
//! go to stdout, everything else to stderr.

mod adapters;
mod args;
mod args_choosing;
mod args_convert;
mod args_draft;
mod args_measure;
mod args_texts;
mod batch;
mod bench;
mod chat;
mod clock;
mod compiled;
mod convert;
mod destination;
mod draft;
mod drivers;
mod eval;
mod exit;
mod facts;
mod failure;
#[cfg(test)]
mod fake;
mod gate;
#[cfg(feature = "gui")]
mod gui;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod inspect;
mod interrupt;
mod length;
mod loss;
mod open;
mod paint;
mod progress;
mod run;
mod session;
mod source;
mod writer;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use args::Command;

/// Runs the command line; the exit code is one of those that `--help` lists.
pub fn main() -> ExitCode {
    drivers::prepare();
    let words: Vec<OsString> = env::args_os().collect();
    let arguments = args_texts::parse(&words).unwrap_or_else(|error| error.exit());
    // Drivers talk a lot; what concerns the user comes back as an error.
    let quiet_drivers = "warn,wgpu_core=error,wgpu_hal=off,naga=error";
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("ISOBATH_LOG", quiet_drivers)).init();
    let result = match &arguments.command {
        Command::Run(command) => run::run(command),
        Command::Chat(command) => chat::chat(command),
        Command::Bench(command) => bench::bench(command),
        Command::Eval(command) => eval::eval(command),
        Command::Inspect(command) => inspect::inspect(command),
        Command::Import(command) => import::import(command),
        Command::Convert(command) => convert::convert(command),
        Command::Draft(command) => draft::draft(command),
        #[cfg(feature = "gui")]
        Command::Gui(command) => gui::gui(command),
        Command::Adapters(command) => adapters::adapters(command.json),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        let code = failure::exit_code(&error);
        if code != failure::DONE {
            eprintln!("error: {}", failure::chain(&error));
            if let Some(help) = failure::help(&error) {
                eprintln!("help: {help}");
            }
        }
        code
    }))
}
