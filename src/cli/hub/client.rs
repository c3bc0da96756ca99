//! The Hub's answers: which files a model has, what they are, and their bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{Patience, is_plain};

/// Longest list of files that is read.
const MOST_LISTING: u64 = 16 << 20;

/// Why something did not come.
#[derive(Debug)]
pub enum Trouble {
    /// A second try may help.
    Passing(String),
    /// It will not.
    Final(String),
}

/// What a model holds at a revision.
#[derive(Debug)]
pub struct Listing {
    /// The revision's commit, to which all further requests are pinned.
    pub commit: String,
    /// Paths of the files.
    pub files: Vec<String>,
}

/// What is told of a file before its bytes.
#[derive(Debug)]
pub struct Description {
    url: String,
    /// SHA-256 of the bytes, or SHA-1 as git computes it; hexadecimal.
    pub hash: String,
    /// Length in bytes.
    pub size: u64,
}

/// Speaks to the Hub.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    pub patience: Patience,
}

impl Client {
    pub fn new(endpoint: &str, token: Option<String>, patience: Patience) -> Self {
        let silence = Some(patience.silence);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(silence)
            .timeout_connect(silence)
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            .user_agent(concat!("isobath/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), endpoint: endpoint.trim_end_matches('/').into(), token, patience }
    }

    /// Tries again after pauses, as long as the trouble may pass.
    pub fn patiently<T>(&self, mut work: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut pause = self.patience.pause;
        for _ in 1..self.patience.tries {
            match work() {
                Err(Trouble::Passing(_)) => std::thread::sleep(pause),
                other => return other,
            }
            pause = (2 * pause).min(Duration::from_secs(30));
        }
        work()
    }

    /// The files of a model.
    pub fn list(&self, repo: &str, revision: &str) -> Result<Listing, Trouble> {
        #[derive(Deserialize)]
        struct Json {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = format!("{}/api/models/{repo}/revision/{}", self.endpoint, revision.replace('/', "%2F"));
        self.patiently(|| {
            let mut response = self.send("GET", &url, None)?;
            let json: Json = response
                .body_mut()
                .with_config()
                .limit(MOST_LISTING)
                .read_to_string()
                .map_err(passing)
                .and_then(|text| serde_json::from_str(&text).map_err(|error| Trouble::Final(strange(error))))?;
            if !is_hash(&json.sha) {
                return Err(Trouble::Final(strange("its commit is no hash")));
            }
            let files = json.siblings.into_iter().map(|sibling| sibling.rfilename).filter(|file| is_plain(file));
            Ok(Listing { commit: json.sha, files: files.collect() })
        })
    }

    /// Hash and size of a file.
    pub fn describe(&self, repo: &str, commit: &str, file: &str) -> Result<Description, Trouble> {
        const MOST_STEPS: usize = 5;
        self.patiently(|| {
            let mut url = format!("{}/{repo}/resolve/{commit}/{file}", self.endpoint);
            for _ in 0..MOST_STEPS {
                let response = self.send("HEAD", &url, None)?;
                let headers = response.headers();
                // A model that was renamed leads elsewhere on the Hub; the store of large files is followed later.
                if let Some(path) = text(headers, "location").filter(|path| path.starts_with('/')) {
                    url = format!("{}{path}", self.endpoint);
                    continue;
                }
                let hash = text(headers, "x-linked-etag").or_else(|| text(headers, "etag")).unwrap_or_default();
                let hash = hash.trim_start_matches("W/").trim_matches('"').to_owned();
                let size = text(headers, "x-linked-size").or_else(|| text(headers, "content-length"));
                return match size.and_then(|size| size.parse().ok()).filter(|_| is_hash(&hash)) {
                    Some(size) => Ok(Description { url, hash, size }),
                    None => Err(Trouble::Final(strange(format!("{file} has no hash or no size")))),
                };
            }
            Err(Trouble::Final(strange(format!("{file} leads from one address to the next"))))
        })
    }

    /// Appends the bytes of a file from `from` on; gives the length then reached.
    pub fn read(
        &self,
        description: &Description,
        into: &mut File,
        from: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Trouble> {
        let mut response = self.send("GET", &description.url, Some(from).filter(|from| *from > 0))?;
        let mut at = from;
        if from > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // It begins again from the first byte.
            into.set_len(0).map_err(disk)?;
            at = 0;
        }
        let mut body = response.body_mut().as_reader();
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = match body.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::Passing(format!("the transfer broke off at byte {at}: {error}"))),
            };
            if at + length as u64 > description.size {
                return Err(Trouble::Final(strange(format!("more than the promised {} bytes come", description.size))));
            }
            into.write_all(&piece[..length]).map_err(disk)?;
            at += length as u64;
            progress(at);
        }
        if at < description.size {
            return Err(Trouble::Passing(format!("the transfer ended at byte {at} of {}", description.size)));
        }
        Ok(())
    }

    fn send(&self, method: &str, url: &str, from: Option<u64>) -> Result<Response<Body>, Trouble> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request =
            request.body(()).map_err(|error| Trouble::Final(format!("{url} cannot be asked for: {error}")))?;
        let request = match method {
            // Where a HEAD leads is for the caller to see.
            "HEAD" => self.agent.configure_request(request).max_redirects(0).build(),
            _ => self.agent.configure_request(request).build(),
        };
        let response = self.agent.run(request).map_err(passing)?;
        match response.status() {
            status if status.is_success() || status.is_redirection() => Ok(response),
            status => Err(self.explain(status, response.headers())),
        }
    }

    /// What a refusal means and what to do about it.
    fn explain(&self, status: StatusCode, headers: &HeaderMap) -> Trouble {
        let token = match self.token {
            Some(_) => "the token in HF_TOKEN (or of `hf auth login`) does not open it",
            None => "set HF_TOKEN to a token of an account that may read it",
        };
        match (status.as_u16(), text(headers, "x-error-code").unwrap_or_default()) {
            (_, "GatedRepo") => Trouble::Final(format!("its owner asks for consent on its page first; then {token}")),
            (_, "RevisionNotFound") => Trouble::Final("it has no such revision; look for branches on its page".into()),
            (401 | 403, _) => {
                Trouble::Final(format!("the Hub refuses ({status}): it is private, gated or misspelt; {token}"))
            }
            (404, _) => Trouble::Final(format!("the Hub has no such model or file ({status}); check the spelling")),
            (408 | 429 | 500..=599, _) => Trouble::Passing(format!("the Hub answers {status}")),
            _ => Trouble::Final(format!("the Hub answers {status}")),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// SHA-256 or SHA-1, safe as a file's name.
fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn passing(error: ureq::Error) -> Trouble {
    Trouble::Passing(error.to_string())
}

fn disk(error: io::Error) -> Trouble {
    Trouble::Final(super::store::explain(&error))
}

fn strange(why: impl std::fmt::Display) -> String {
    format!("the Hub's answer is not understood: {why}")
}
