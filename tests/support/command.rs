//! The command as it was built for the tests, run from the project's folder.

use std::process::Command;

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("ISOBATH_LOG", "off");
    // Without a desktop some drivers complain of this variable on stderr; any folder will do.
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}
