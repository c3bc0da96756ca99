//! `window.isobath`: the engine for scripts and tests.
//!
//! ```js
//! await isobath.ready();
//! const { sequences } = await isobath.generate("Once upon a time", 32, 1);
//! ```

use std::cell::{Cell, RefCell};

use isobath::service::{Command, Files, Prompt, Settings, Start, Task};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::session::{Sequence, Session};
use crate::{fetch, notice, pipelines};

/// Where the bundled model lies beside the page.
const BUNDLED: &str = "stories";

/// The object behind `window.isobath`.
#[wasm_bindgen]
pub struct Isobath {
    session: RefCell<Option<Session>>,
    last_name: Cell<u64>,
}

/// Puts the object into the page.
pub fn install() {
    let surface = Isobath { session: RefCell::default(), last_name: Cell::new(0) };
    if let Some(window) = web_sys::window() {
        // A window takes any property.
        let _ = js_sys::Reflect::set(&window, &"isobath".into(), &surface.into());
    }
}

#[wasm_bindgen]
impl Isobath {
    /// Loads the model in a folder on this server, the bundled one unless another is named; resolves to its facts.
    pub async fn load(&self, folder: Option<String>) -> Result<JsValue, js_sys::Error> {
        let folder = folder.unwrap_or_else(|| BUNDLED.to_owned());
        let start = async {
            Ok::<_, String>(Start::new(
                folder.clone(),
                Files::Folder {
                    config: fetch::text(&format!("{folder}/config.json")).await?,
                    tokenizer: fetch::bytes(&format!("{folder}/tokenizer.json")).await?,
                    chat_template: None,
                    tensors: vec![(
                        "model.safetensors".into(),
                        Box::new(fetch::bytes(&format!("{folder}/model.safetensors")).await?),
                    )],
                },
            ))
        };
        let session = Session::begin(start.await.map_err(|why| refuse(&why))?);
        self.session.replace(Some(session.clone()));
        let ready = session.until(|told| match (&told.failure, &told.ready) {
            (Some(failure), _) => Some(Err(failure.message.clone())),
            (None, Some(facts)) => Some(Ok(facts.clone())),
            (None, None) => None,
        });
        match ready.await {
            Ok(facts) => {
                notice::show("");
                to_js(&facts)
            }
            Err(why) => Err(refuse(&why)),
        }
    }

    /// Writes `copies` sequences side by side, most probable tokens first; resolves to text, tokens and depths of each,
    /// with the time that this took and the share of it that the page was busy.
    pub async fn generate(&self, prompt: String, max_tokens: u32, copies: u32) -> Result<JsValue, js_sys::Error> {
        let session = self.session.borrow().clone().ok_or_else(|| refuse("no model is loaded"))?;
        let first = self.last_name.get() + 1;
        let names = first..first + u64::from(copies);
        self.last_name.set(names.end - 1);
        let sequences = names.clone().map(|name| Task { name, prompt: Prompt::Text(prompt.clone()) }).collect();
        let settings = Settings { max_tokens, ..Settings::default() };
        let (begin, host) = (crate::session::seconds(), session.host_microseconds());
        let ticks = || session.look(|told| told.tick.as_ref().map_or(0, |tick| tick.number));
        let ticks_before = ticks();
        session.send(Command::Submit { sequences, settings });
        let mut written = vec![];
        for name in names {
            let end = session.until(|told| {
                if let Some(failure) = &told.failure {
                    return Some(Err(failure.message.clone()));
                }
                if let Some(why) = told.refused.remove(&name) {
                    return Some(Err(why));
                }
                let ended = told.sequences.get(&name).is_some_and(|sequence| sequence.reason.is_some());
                ended.then(|| Ok(told.sequences.remove(&name).unwrap_or_default()))
            });
            written.push(end.await.map_err(|why| refuse(&why))?);
        }
        to_js(&Report {
            sequences: written,
            seconds: crate::session::seconds() - begin,
            host_microseconds: session.host_microseconds() - host,
            ticks: ticks() - ticks_before,
        })
    }

    /// Builds every kernel text that can reach a GPU; resolves to their number and what was refused.
    pub async fn pipelines(&self) -> Result<JsValue, js_sys::Error> {
        to_js(&pipelines::build_all().await.map_err(|error| refuse(&error.to_string()))?)
    }

    /// The engine's last tick, `null` before the first.
    pub fn statistics(&self) -> Result<JsValue, js_sys::Error> {
        let tick = self.session.borrow().as_ref().and_then(|session| session.look(|told| told.tick.clone()));
        to_js(&tick)
    }
}

/// What a call to `generate` gives.
#[derive(serde::Serialize)]
struct Report {
    sequences: Vec<Sequence>,
    seconds: f64,
    host_microseconds: f64,
    ticks: u64,
}

/// The failure as the caller sees it; the page shows it too.
fn refuse(why: &str) -> js_sys::Error {
    notice::show(why);
    js_sys::Error::new(why)
}

fn to_js(value: &impl serde::Serialize) -> Result<JsValue, js_sys::Error> {
    let text = serde_json::to_string(value).map_err(|error| js_sys::Error::new(&error.to_string()))?;
    js_sys::JSON::parse(&text).map_err(|_| js_sys::Error::new("the browser cannot read what the engine says"))
}
