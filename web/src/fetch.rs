//! Files over HTTP.

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

/// The bytes at an address, which may be relative to the page; an error in words.
pub async fn bytes(address: &str) -> Result<Vec<u8>, String> {
    let failed = |error: JsValue| {
        let why = error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| error.message().into());
        format!("cannot fetch {address}: {why}; is the server reachable, and may this page read from it (CORS)?")
    };
    let window = web_sys::window().ok_or("this is no page")?;
    let response: Response = JsFuture::from(window.fetch_with_str(address)).await.map_err(failed)?.unchecked_into();
    if !response.ok() {
        return Err(format!(
            "cannot fetch {address}: the server answers {} {}",
            response.status(),
            response.status_text()
        ));
    }
    let buffer = JsFuture::from(response.array_buffer().map_err(failed)?).await.map_err(failed)?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// The text at an address.
pub async fn text(address: &str) -> Result<String, String> {
    String::from_utf8(bytes(address).await?).map_err(|_| format!("{address} is not text"))
}
