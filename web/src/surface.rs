//! `window.isobath`: the engine for scripts and tests.
//!
//! ```js
//! await isobath.ready();
//! const { sequences } = await isobath.generate("Once upon a time", 32, 1);
//! ```

use std::cell::Cell;
use std::rc::Rc;

use isobath::service::{Command, Prompt, Settings, Task};
use isobath::text::{Message, Role};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::browser::seconds;
use crate::page::Page;
use crate::place::{BUNDLED, Place};
use crate::session::Sequence;
use crate::{file, pipelines};

/// Names of sequences from here on are those of scripts; the panel's lie below.
const FIRST_NAME: u64 = 1 << 32;

/// The object behind `window.isobath`.
#[wasm_bindgen]
pub struct Isobath {
    page: Rc<Page>,
    last_name: Cell<u64>,
}

/// Puts the object into the page.
pub fn install(page: Rc<Page>) {
    let surface = Isobath { page, last_name: Cell::new(FIRST_NAME) };
    if let Some(window) = web_sys::window() {
        // A window takes any property.
        let _ = js_sys::Reflect::set(&window, &"isobath".into(), &surface.into());
    }
}

#[wasm_bindgen]
impl Isobath {
    /// Resolves to the facts of the model in use, once it is loaded.
    pub async fn ready(&self) -> Result<JsValue, js_sys::Error> {
        self.page.decided().await;
        let session = self.page.session();
        let ready = session.until(|known| match (&known.failure, &known.ready) {
            (Some(failure), _) => Some(Err(failure.message.clone())),
            (None, Some(facts)) => Some(Ok(facts.clone())),
            (None, None) => known.ended().then(|| Err("no model is loaded".to_owned())),
        });
        match ready.await {
            Ok(facts) => to_js(&facts),
            Err(why) => Err(refuse(&why)),
        }
    }

    /// Loads the model in a folder on a server, the bundled one unless another is named; resolves to its facts.
    pub async fn load(&self, folder: Option<String>) -> Result<JsValue, js_sys::Error> {
        self.page.load(Place::Address(folder.unwrap_or_else(|| BUNDLED.to_owned())));
        self.ready().await
    }

    /// Writes `copies` sequences side by side, most probable tokens first; resolves to text, tokens and depths of each,
    /// with the time that this took and the share of it that the page was busy. With `chat` the prompt is what a person
    /// says to the model, and goes through its chat template.
    pub async fn generate(
        &self,
        prompt: String,
        max_tokens: u32,
        copies: u32,
        chat: Option<bool>,
    ) -> Result<JsValue, js_sys::Error> {
        let prompt = match chat {
            Some(true) => Prompt::Chat(vec![Message::new(Role::User, prompt)]),
            _ => Prompt::Text(prompt),
        };
        let session = self.page.session();
        let first = self.last_name.get() + 1;
        let names = first..first + u64::from(copies);
        self.last_name.set(names.end - 1);
        let sequences = names.clone().map(|name| Task { name, prompt: prompt.clone() }).collect();
        let settings = Settings::of(max_tokens);
        let (begin, host) = (seconds(), session.host_microseconds());
        let ticks = || session.look(|known| known.tick.as_ref().map_or(0, |tick| tick.number));
        let ticks_before = ticks();
        if !session.send(Command::Submit { sequences, settings }) {
            return Err(refuse("no model is loaded"));
        }
        let mut written = vec![];
        for name in names {
            let end = session.until(|known| {
                if let Some(failure) = &known.failure {
                    return Some(Err(failure.message.clone()));
                }
                if let Some(why) = known.refused.remove(&name) {
                    return Some(Err(why));
                }
                let ended = known.sequences.get(&name).is_some_and(|sequence| sequence.reason.is_some());
                ended.then(|| Ok(known.sequences.remove(&name).unwrap_or_default()))
            });
            written.push(end.await.map_err(|why| refuse(&why))?);
        }
        to_js(&Report {
            sequences: written,
            seconds: seconds() - begin,
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
        to_js(&self.page.session().look(|known| known.tick.clone()))
    }

    /// How far the loading is: `step`, and how much of it is `done` of the `total`, as far as it is known.
    pub fn loading(&self) -> Result<JsValue, js_sys::Error> {
        to_js(&self.page.session().look(|known| known.loading))
    }

    /// Ends all sequences, or the loading of a model.
    pub fn cancel(&self) {
        self.page.session().send(Command::CancelAll);
    }

    /// Lets the person choose files; a browser wants a click or a key shortly before.
    pub fn choose(&self) {
        self.page.choose();
    }

    /// Bytes of the module's memory, and of the largest part of a file that was ever in it.
    pub fn memory(&self) -> Result<JsValue, js_sys::Error> {
        let memory = wasm_bindgen::memory().unchecked_into::<js_sys::WebAssembly::Memory>();
        let bytes = memory.buffer().unchecked_into::<js_sys::ArrayBuffer>().byte_length();
        to_js(&serde_json::json!({ "bytes": bytes, "largest_read": file::largest_read() }))
    }

    /// How long frames took while text was written, in a sentence.
    #[wasm_bindgen(js_name = frameTimes)]
    pub fn frame_times(&self) -> String {
        self.page.frame_times()
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

fn refuse(why: &str) -> js_sys::Error {
    js_sys::Error::new(why)
}

fn to_js(value: &impl serde::Serialize) -> Result<JsValue, js_sys::Error> {
    let text = serde_json::to_string(value).map_err(|error| js_sys::Error::new(&error.to_string()))?;
    js_sys::JSON::parse(&text).map_err(|_| js_sys::Error::new("the browser cannot read what the engine says"))
}
