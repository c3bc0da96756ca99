//! The canvas: draws the panel, on a device of its own.
//!
//! A frame behind the engine's ticks in one queue would come late, and a lost device takes only one of them with it.

use std::rc::Rc;

use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetup, WgpuSetupCreateNew};
use eframe::{WebOptions, WebRunner};
use futures_channel::mpsc;
use wasm_bindgen::JsCast;
use web_sys::{Document, HtmlCanvasElement};

use crate::app::App;
use crate::browser::{self, words};
use crate::notice;
use crate::page::Page;

/// Draws as long as the page is there.
pub async fn run(page: Rc<Page>) {
    let mut failures = 0;
    loop {
        let (lost, mut loss) = mpsc::unbounded();
        let runner = WebRunner::new();
        match start(&page, &runner, lost).await {
            Ok(()) => {
                failures = 0;
                // Whatever the word is: there will be no more from this device.
                let _ = loss.recv().await;
            }
            // After a loss a browser may have no device to give for some seconds.
            Err(why) if failures == 5 => {
                return notice::show(&format!("The page cannot draw: {why}. Load it again."));
            }
            Err(_) => {
                failures += 1;
                browser::sleep(failures * 500).await;
            }
        }
        runner.destroy();
    }
}

async fn start(page: &Rc<Page>, runner: &WebRunner, lost: mpsc::UnboundedSender<()>) -> Result<(), String> {
    let document = web_sys::window().and_then(|window| window.document());
    let canvas = document.and_then(|document| fresh(&document));
    let canvas = canvas.ok_or("the page has no canvas; publish the folder as it was built")?;
    let setup = WgpuSetup::CreateNew(WgpuSetupCreateNew::without_display_handle());
    let options = WebOptions {
        wgpu_options: WgpuConfiguration { wgpu_setup: setup, ..WgpuConfiguration::default() },
        ..WebOptions::default()
    };
    let shown = page.clone();
    let creator = Box::new(move |context: &eframe::CreationContext<'_>| {
        if let Some(state) = &context.wgpu_render_state {
            state.device.set_device_lost_callback(move |_, _| {
                // Nobody listens where another canvas has taken its place already.
                let _ = lost.unbounded_send(());
            });
        }
        Ok(Box::new(App::new(context, shown)) as Box<dyn eframe::App>)
    });
    runner.start(canvas, options, creator).await.map_err(|error| words(&error))
}

/// A canvas that no device has drawn on, in place of the one before it.
fn fresh(document: &Document) -> Option<HtmlCanvasElement> {
    let old = document.get_element_by_id("canvas")?;
    let new = old.clone_node().ok()?;
    old.parent_node()?.replace_child(&new, &old).ok()?;
    new.dyn_into().ok()
}
