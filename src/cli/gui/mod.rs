//! `isobath gui`: the window. It draws on the device that the engine computes on (where a queue is shared badly on one of its
//! own), and never waits for the engine.

mod app;
mod worker;

use std::fs;

use anyhow::Context;
use eframe::egui::ViewportBuilder;
use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetup, WgpuSetupExisting};
use isobath::gpu::SharedDevice;
use pollster::block_on;

use super::args::Gui;
use super::failure;
use super::open::{self, Fetching};
use app::{App, Options};

/// Opens the window and stays until it is closed.
pub fn gui(command: &Gui) -> anyhow::Result<u8> {
    let place = open::find(command.model.as_deref(), Fetching::default())?;
    let replay = command
        .replay
        .as_ref()
        .map(|path| fs::read_to_string(path).with_context(|| format!("cannot read the saved run {path:?}")))
        .transpose()?;
    let shared = block_on(SharedDevice::open(command.adapter.as_deref()))?;
    let SharedDevice { instance, adapter, device, queue, .. } = shared.clone();
    let setup = WgpuSetup::Existing(WgpuSetupExisting { instance, adapter, device, queue });
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Isobath")
            .with_app_id("isobath")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size([340.0, 480.0])
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: WgpuConfiguration { wgpu_setup: setup, ..WgpuConfiguration::default() },
        persist_window: !command.fresh,
        ..eframe::NativeOptions::default()
    };
    let times = isobath::panel::FrameTimes::default();
    let measured = times.clone();
    let wishes = Options {
        checked_shaders: command.checked_shaders,
        lanes: command.lanes,
        fresh: command.fresh,
        replay,
        record: command.record.clone(),
    };
    eframe::run_native(
        "isobath",
        options,
        Box::new(move |context| Ok(Box::new(App::new(context, place, shared, wishes, times)?))),
    )
    .map_err(|error| anyhow::anyhow!("the window cannot be opened: {error}; without a screen use `isobath run`"))?;
    if command.frame_times {
        eprintln!("{}", measured.report());
    }
    Ok(failure::DONE)
}
