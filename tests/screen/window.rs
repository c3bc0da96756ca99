//! The desktop window on a virtual screen: started, typed into, closed; the run that it saved holds the text.

#![cfg(target_os = "linux")]
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use isobath::engine::event::Event;
use isobath::service::{Update, trace};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A virtual screen, and its name.
fn screen() -> (Running, String) {
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts (apt-get install xvfb)");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Running(child), format!(":{}", line.trim()))
}

fn xdotool(display: &str, words: &[&str]) -> Option<String> {
    let output = Command::new("xdotool").env("DISPLAY", display).args(words).output().expect("xdotool runs");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn what_is_typed_is_continued() {
    let (_screen, display) = screen();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("run.jsonl");
    let child = Command::new(env!("CARGO_BIN_EXE_isobath"))
        .args(["gui", "--fresh", "--checked-shaders", "--frame-times", "--lanes", "2", "--record"])
        .arg(&saved)
        .env("DISPLAY", &display)
        .env_remove("WAYLAND_DISPLAY")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut window = Running(child);
    let limit = Instant::now() + Duration::from_secs(60);
    let id = loop {
        if let Some(id) = xdotool(&display, &["search", "--name", "^Isobath$"]).filter(|id| !id.is_empty()) {
            break id.lines().last().unwrap().to_owned();
        }
        assert!(Instant::now() < limit, "no window appeared");
        sleep(Duration::from_millis(200));
    };
    sleep(Duration::from_secs(4));
    xdotool(&display, &["windowmove", &id, "0", "0", "windowsize", &id, "1280", "800"]);
    // Without a window manager nobody else gives it the keyboard.
    xdotool(&display, &["windowfocus", "--sync", &id]);
    sleep(Duration::from_secs(1));
    xdotool(&display, &["mousemove", "500", "690", "click", "1"]);
    sleep(Duration::from_millis(500));
    xdotool(&display, &["type", "--delay", "40", "The sea"]);
    sleep(Duration::from_millis(500));
    xdotool(&display, &["key", "Return"]);
    sleep(Duration::from_secs(8));
    xdotool(&display, &["key", "ctrl+q"]);
    let limit = Instant::now() + Duration::from_secs(60);
    while window.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "the window does not close");
        sleep(Duration::from_millis(100));
    }
    assert!(window.0.try_wait().unwrap().unwrap().success(), "it ends without a complaint");
    let run = trace::read(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    let mut text = String::new();
    for stamped in &run {
        if let Update::Sequence { sequence: 1, event: Event::Token(token), .. } = &stamped.update {
            text += &token.text;
        }
        assert!(!matches!(&stamped.update, Update::Failed(_)), "{stamped:?}");
    }
    assert!(text.split_whitespace().count() > 5, "{text:?}");
}
