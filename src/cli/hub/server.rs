//! A small Hub on the loopback interface that fails, falls silent and breaks off where it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with one answer to a GET of a file.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// This status, without bytes.
    Status(u16),
    /// So many bytes, then the connection closes.
    CutAfter(usize),
    /// So many bytes, then nothing more.
    SilentAfter(usize),
    /// The right number of wrong bytes.
    Garbled,
    /// All bytes, whatever range was asked for.
    Whole,
    /// More bytes than were promised.
    TooMany,
}

/// What the server holds, and what it was asked.
#[derive(Debug, Default)]
pub struct State {
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub faults: VecDeque<Fault>,
    /// Status and `x-error-code` of every answer, where the model is not to be had.
    pub refusal: Option<(u16, &'static str)>,
    /// Method, path, range and authorization of every request.
    pub asked: Vec<(String, String, String, String)>,
}

#[derive(Debug)]
pub struct Server {
    pub endpoint: String,
    pub state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start(files: &[(&'static str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its own address"));
        let files = files.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { endpoint, state }
    }

    pub fn faults(&self, faults: &[Fault]) {
        self.lock().faults.extend(faults);
    }

    pub fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ranges of the GETs of a file, in order.
    pub fn ranges(&self, file: &str) -> Vec<String> {
        let state = self.lock();
        let gets = state.asked.iter().filter(|(method, path, ..)| method == "GET" && path.ends_with(file));
        gets.map(|(_, _, range, _)| range.clone()).collect()
    }
}

/// Reads one request and answers it; every answer closes the connection.
fn answer(mut stream: TcpStream, shared: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let (mut range, mut authorization) = (String::new(), String::new());
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "range" => range = value.into(),
            "authorization" => authorization = value.into(),
            _ => {}
        }
    }
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
    state.asked.push((method.clone(), path.clone(), range.clone(), authorization));
    let refusal = state.refusal;
    let listing = format!(
        r#"{{"sha": "{COMMIT}", "siblings": [{}]}}"#,
        state.files.iter().map(|(name, _)| format!(r#"{{"rfilename": "{name}"}}"#)).collect::<Vec<_>>().join(",")
    );
    let file = state.files.iter().find(|(name, _)| path.ends_with(&format!("/{name}"))).cloned();
    let fault = if method == "GET" && file.is_some() { state.faults.pop_front() } else { None };
    drop(state);
    let mut send = |head: String, body: &[u8]| {
        let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes());
        let _ = stream.write_all(body);
        let _ = stream.flush();
    };
    match (refusal, file) {
        (Some((status, code)), _) => send(format!("{status} No\r\nx-error-code: {code}\r\ncontent-length: 0"), b""),
        _ if path.starts_with("/api/") => {
            send(format!("200 OK\r\ncontent-length: {}", listing.len()), listing.as_bytes())
        }
        (_, None) => send("404 No\r\ncontent-length: 0".into(), b""),
        (_, Some((name, bytes))) if method == "HEAD" => send(head_of(name, &bytes, &path), b""),
        (_, Some((_, bytes))) => send_file(&bytes, &range, fault, &mut send),
    }
}

/// Large files are told of by a link to their store, small ones by git's hash, one after a detour.
fn head_of(name: &str, bytes: &[u8], path: &str) -> String {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let length = bytes.len();
    if name.ends_with(".safetensors") {
        let hash = hex(&Sha256::digest(bytes));
        return format!(
            "302 Found\r\nlocation: http://store.invalid/x\r\nx-linked-etag: \"{hash}\"\r\n\
             x-linked-size: {length}\r\ncontent-length: 0"
        );
    }
    if name == "tokenizer.json" && !path.starts_with("/moved") {
        return format!("307 Moved\r\nlocation: /moved{path}\r\ncontent-length: 0");
    }
    let hash = hex(&Sha1::new_with_prefix(format!("blob {length}\0")).chain_update(bytes).finalize());
    format!("200 OK\r\netag: W/\"{hash}\"\r\ncontent-length: {length}")
}

fn send_file(bytes: &[u8], range: &str, fault: Option<Fault>, send: &mut dyn FnMut(String, &[u8])) {
    let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.filter(|_| !matches!(fault, Some(Fault::Whole)));
    let rest = &bytes[from.unwrap_or(0)..];
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    let head = format!("{status}\r\ncontent-length: {}", rest.len());
    match fault {
        None | Some(Fault::Whole) => send(head, rest),
        Some(Fault::Status(status)) => send(format!("{status} No\r\ncontent-length: 0"), b""),
        Some(Fault::CutAfter(length)) => send(head, &rest[..length.min(rest.len())]),
        Some(Fault::SilentAfter(length)) => {
            send(head, &rest[..length.min(rest.len())]);
            thread::sleep(Duration::from_secs(5));
        }
        Some(Fault::Garbled) => send(head, &rest.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()),
        Some(Fault::TooMany) => send(format!("{status}\r\ncontent-length: {}", rest.len() + 1), &[rest, b"x"].concat()),
    }
}
