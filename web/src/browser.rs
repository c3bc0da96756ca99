//! What this browser can do, and what it is asked for; the JavaScript of it is `browser.js`.

use isobath::text::LocalTime;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

#[wasm_bindgen(module = "/src/browser.js")]
extern "C" {
    #[wasm_bindgen(js_name = lacks)]
    async fn js_lacks() -> JsValue;
    /// Files that the person chooses, none where nothing is chosen.
    pub async fn pick() -> JsValue;
    /// Calls `dropped(files, why)` with files that are dropped on the page, or why they cannot be read.
    pub fn watch_drops(dropped: &JsValue);
    /// Waits.
    pub async fn sleep(milliseconds: u32);
    /// Hands a text to the person as a file.
    pub fn save(name: &str, text: &str);
    /// Calls `changed(hidden)` whenever the page is hidden or shown, and when it is about to go.
    pub fn watch_visibility(changed: &JsValue);
}

/// What to do where this browser cannot run the engine; `None` where it can.
pub async fn lacks() -> Option<String> {
    js_lacks().await.as_string()
}

/// What JavaScript threw, in its words.
pub fn words(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| format!("{error:?}")),
        |error| String::from(error.message()),
    )
}

/// Whether nobody sees the page.
pub fn hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden())
}

/// The page's clock in seconds.
pub fn seconds() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |clock| clock.now() / 1000.0)
}

/// The date and time of the person who looks at the page.
pub fn local_time() -> LocalTime {
    let now = js_sys::Date::new_0();
    let milliseconds = now.get_time();
    LocalTime {
        unix_seconds: (milliseconds / 1000.0).floor() as i64,
        // The browser tells how many minutes the zone is behind.
        offset_seconds: -(now.get_timezone_offset() * 60.0) as i32,
        microseconds: (milliseconds.rem_euclid(1000.0) * 1000.0) as u32,
    }
}

/// Where small things are kept between visits; browsers may refuse it.
fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

/// What was kept under a name.
pub fn kept(name: &str) -> Option<String> {
    storage()?.get_item(&format!("isobath.{name}")).ok().flatten()
}

/// Keeps a text; one that finds no room is forgotten.
pub fn keep(name: &str, text: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(&format!("isobath.{name}"), text);
    }
}
