//! Files that are read part by part, wherever they are; the JavaScript of it is `store.js`.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use isobath::tensor::bytes::{Awaited, FileBytes};
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use crate::browser::words;

#[wasm_bindgen(module = "/src/store.js")]
extern "C" {
    type Handle;
    #[wasm_bindgen(method, getter)]
    fn length(this: &Handle) -> f64;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &Handle, start: f64, end: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method)]
    fn abort(this: &Handle);
    fn own_file(blob: &Blob) -> Handle;
    fn remote_file(address: &str, progress: &JsValue) -> Handle;
    #[wasm_bindgen(catch)]
    async fn open_file(file: &Handle) -> Result<JsValue, JsValue>;
}

thread_local! {
    static LARGEST: Cell<u64> = const { Cell::new(0) };
}

/// Bytes of the largest part of a file that ever was in memory.
pub fn largest_read() -> u64 {
    LARGEST.get()
}

/// Reported of bytes that came and all that come.
pub type Progress = Rc<dyn Fn(u64, u64)>;

/// A file that is not in memory.
pub struct Distant {
    handle: Handle,
    /// As long as the file may call it.
    _progress: Option<Closure<dyn Fn(f64, f64)>>,
}

impl Distant {
    /// A file of the person's.
    pub fn own(blob: &Blob) -> Self {
        Self { handle: own_file(blob), _progress: None }
    }

    /// A file on a server; `progress` is called where it can only be sent from the beginning.
    pub async fn remote(address: &str, progress: Progress) -> Result<Self, String> {
        let callback = Closure::<dyn Fn(f64, f64)>::new(move |done, total| progress(done as u64, total as u64));
        let handle = remote_file(address, callback.as_ref());
        // From here on it is broken off where nobody waits for it any more.
        let file = Self { handle, _progress: Some(callback) };
        open_file(&file.handle).await.map_err(|error| words(&error))?;
        Ok(file)
    }
}

impl Drop for Distant {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl FileBytes for Distant {
    fn length(&self) -> u64 {
        self.handle.length() as u64
    }

    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    fn read(&self, range: Range<u64>) -> Awaited<'_, Result<Vec<u8>, String>> {
        LARGEST.set(LARGEST.get().max(range.end - range.start));
        Box::pin(async move {
            let bytes = self.handle.read(range.start as f64, range.end as f64).await.map_err(|error| words(&error))?;
            Ok(bytes.unchecked_into::<Uint8Array>().to_vec())
        })
    }
}

/// A file that was chosen or dropped.
#[derive(Debug, Clone)]
pub struct Picked {
    /// Its name, behind the folders that were dropped with it.
    pub name: String,
    /// Its bytes.
    pub blob: Blob,
}

impl Picked {
    /// From the list that JavaScript hands over.
    pub fn list(files: &JsValue) -> Vec<Self> {
        let field = |file: &JsValue, name: &str| Reflect::get(file, &name.into()).ok();
        let file = |file: JsValue| {
            let blob = field(&file, "blob")?.dyn_into().ok()?;
            Some(Self { name: field(&file, "name")?.as_string()?, blob })
        };
        Array::from(files).iter().filter_map(file).collect()
    }

    /// All of it; for files that are small.
    pub async fn bytes(&self) -> Result<Vec<u8>, String> {
        let file = Distant::own(&self.blob);
        file.read(0..file.length()).await.map_err(|why| format!("cannot read {}: {why}", self.name))
    }

    /// All of it as text.
    pub async fn text(&self) -> Result<String, String> {
        String::from_utf8(self.bytes().await?).map_err(|_| format!("{} is not text", self.name))
    }
}
