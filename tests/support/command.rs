//! The command as it was built for the tests, run from the project's folder.

use std::process::Command;

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("ISOBATH_LOG", "off");
    // As on a server or in a container, where some drivers complain of that; the command sees to it that they do not.
    command.env_remove("XDG_RUNTIME_DIR").env_remove("LP_NUM_THREADS");
    command
}
