//! Opening a device: adapter, features and limits negotiated downward, errors gathered where they can be reported.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::adapter::{self, AdapterSummary};
use super::buffer::Buffer;
use super::kernel::PipelineKey;
use super::profile::Profile;
use super::traits::Traits;
use crate::error::GpuError;

/// A pipeline with the layout of its one bind group.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Errors that the driver reports outside of any call.
#[derive(Default)]
struct Reported {
    lost: Option<String>,
    error: Option<String>,
}

/// A device may move to another thread, but for a page's: that has one, and so have its promises.
#[cfg(not(target_arch = "wasm32"))]
type ErrorFuture = Pin<Box<dyn Future<Output = Option<wgpu::Error>> + Send>>;
#[cfg(target_arch = "wasm32")]
type ErrorFuture = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;
type BindGroupKey = (PipelineKey, Vec<u64>);

/// Nanoseconds since any moment.
pub(crate) type Clock = std::sync::Arc<dyn Fn() -> u64 + Send + Sync>;

/// An open device and everything that is cached with it.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) uniforms: Buffer,
    pub(super) pipelines: RefCell<HashMap<PipelineKey, Pipeline>>,
    /// See [`Gpu::with_pipeline_cache`].
    pub(super) pipeline_cache: Option<wgpu::PipelineCache>,
    pub(super) bind_groups: RefCell<HashMap<BindGroupKey, wgpu::BindGroup>>,
    pub(super) profile: RefCell<Option<Profile>>,
    reported: Arc<Mutex<Reported>>,
    /// Error scopes whose result is not in yet: what they were about, and their future.
    scopes: RefCell<Vec<(GpuError, ErrorFuture)>>,
    traits: Traits,
    /// Shaders are compiled with every check.
    pub(super) checked: bool,
    /// Nanoseconds since any moment.
    pub(super) clock: Option<Clock>,
    /// See [`Gpu::limited`].
    limits: Option<[u64; 2]>,
    summary: AdapterSummary,
    description: String,
}

/// An open device that can be shared: one draws on it, an engine computes on it.
#[derive(Clone)]
pub struct SharedDevice {
    /// Where the adapter was found.
    pub instance: wgpu::Instance,
    /// The adapter.
    pub adapter: wgpu::Adapter,
    /// The device.
    pub device: wgpu::Device,
    /// Its only queue.
    pub queue: wgpu::Queue,
    summary: AdapterSummary,
    description: String,
}

impl SharedDevice {
    /// Opens a device as [`Gpu::open`] does, without using it.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open(choice: Option<&str>) -> Result<Self, GpuError> {
        let instance = instance();
        let mut adapters = enumerate(&instance).await;
        let list: Vec<_> = adapters.iter().enumerate().map(|(i, a)| AdapterSummary::of(i, a)).collect();
        let (place, why) = adapter::choose(&list, choice)?;
        let adapter = adapters.swap_remove(place);
        let summary = list[place].clone();
        let (device, queue) = request(&adapter, &summary.name).await?;
        let description = format!("{} ({}, {}), {why}", summary.name, summary.backend, summary.kind);
        log::info!("adapter: {description}");
        Ok(Self { instance, adapter, device, queue, summary, description })
    }

    /// The adapter as listed.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }
}

/// Bytes of the uniform arena: one slot of 256 bytes per dispatch of a submission.
pub(super) const UNIFORM_BYTES: u64 = 1 << 20;

impl Gpu {
    /// All adapters of this machine, in the driver's order.
    pub async fn adapters() -> Vec<AdapterSummary> {
        let adapters = enumerate(&instance()).await;
        adapters.iter().enumerate().map(|(i, a)| AdapterSummary::of(i, a)).collect()
    }

    /// Opens the adapter of that index or name, or the best one.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`], [`GpuError::NoSuchAdapter`], [`GpuError::Open`].
    pub async fn open(choice: Option<&str>) -> Result<Self, GpuError> {
        Ok(Self::on(SharedDevice::open(choice).await?))
    }

    /// Uses a device that is open already, beside whoever else uses it. What the driver reports outside of any call is
    /// told to the one that came last.
    pub fn on(shared: SharedDevice) -> Self {
        let SharedDevice { device, queue, summary, description, .. } = shared;
        Self::new(device, queue, summary, description)
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, summary: AdapterSummary, description: String) -> Self {
        let reported = Arc::new(Mutex::new(Reported::default()));
        let slot = reported.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).error.get_or_insert_with(|| error.to_string());
        }));
        let slot = reported.clone();
        device.set_device_lost_callback(move |reason, message| {
            let why = if message.is_empty() { format!("{reason:?}") } else { message };
            slot.lock().unwrap_or_else(PoisonError::into_inner).lost.get_or_insert(why);
        });
        let limits = device.limits();
        let opened = Traits::of(&device.adapter_info(), device.features(), &limits, adapter::processors());
        let uniforms = Buffer::create(
            &device,
            "uniforms",
            UNIFORM_BYTES,
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
        );
        Self {
            device,
            queue,
            uniforms,
            pipelines: RefCell::default(),
            pipeline_cache: None,
            bind_groups: RefCell::default(),
            profile: RefCell::new(None),
            reported,
            scopes: RefCell::default(),
            traits: opened,
            checked: false,
            clock: None,
            limits: None,
            summary,
            description,
        }
    }

    /// Name, backend, kind, and why this adapter was taken.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The adapter as listed.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// With a clock that tells nanoseconds since any moment and never goes back: engines then keep as many ticks under way as
    /// reading back takes.
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Some(std::sync::Arc::new(clock));
        self
    }

    /// The clock, where there is one.
    pub(crate) fn clock(&self) -> Option<Clock> {
        self.clock.clone()
    }

    /// Behaves as a device with other traits, to run kernels that this one would not choose. Where weights lie must stay.
    pub fn with_traits(mut self, traits: Traits) -> Self {
        self.traits = traits;
        self
    }

    /// What the device is good at.
    pub fn traits(&self) -> &Traits {
        &self.traits
    }

    /// Most bytes that one binding may show to a kernel.
    pub fn max_binding_bytes(&self) -> u64 {
        let limits = self.device.limits();
        let binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        self.limits.map_or(binding, |[less, _]| binding.min(less))
    }

    /// Behaves as a device that binds and has no more than so many bytes, to see how a smaller one would do. Memory is only
    /// counted where the platform tells [`Gpu::allocated_bytes`].
    pub fn limited(mut self, binding: u64, memory: u64) -> Self {
        self.limits = Some([binding, memory]);
        self
    }

    /// A zeroed storage buffer.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] beyond the device's limits, [`GpuError::OutOfMemory`] (natively at once, in browsers
    /// at the next [`Gpu::check`]).
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, GpuError> {
        self.allocate(label, bytes, self.max_binding_bytes(), || {
            Buffer::create(&self.device, label, bytes, wgpu::BufferUsages::STORAGE)
        })
    }

    /// What `make` makes, unless it is too large or there is no room.
    pub(super) fn allocate<T>(
        &self,
        label: &str,
        bytes: u64,
        limit: u64,
        make: impl FnOnce() -> T,
    ) -> Result<T, GpuError> {
        if bytes > limit {
            return Err(GpuError::TooLarge { label: label.to_owned(), bytes, limit });
        }
        if let Some([_, memory]) = self.limits
            && self.allocated_bytes().is_some_and(|taken| taken + bytes > memory)
        {
            return Err(GpuError::OutOfMemory { label: label.to_owned(), bytes });
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        self.watch(GpuError::OutOfMemory { label: label.to_owned(), bytes }, scope.pop())?;
        Ok(made)
    }

    /// A storage buffer holding `data`.
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn upload<T: bytemuck::NoUninit>(&self, label: &str, data: &[T]) -> Result<Buffer, GpuError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.buffer(label, bytes.len() as u64)?;
        self.write(&buffer, 0, data);
        Ok(buffer)
    }

    /// Overwrites a part of a buffer before the next submission.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &Buffer, offset_bytes: u64, data: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        if !bytes.is_empty() {
            self.queue.write_buffer(&buffer.raw, buffer.offset + offset_bytes, bytes);
        }
    }

    /// Bytes of memory that were handed out for this device's buffers, where the platform tells.
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Keeps an error scope's outcome; reports it at once where the platform knows it already.
    pub(super) fn watch(
        &self,
        about: GpuError,
        outcome: impl Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend + 'static,
    ) -> Result<(), GpuError> {
        let mut outcome: ErrorFuture = Box::pin(outcome);
        match outcome.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(None) => Ok(()),
            Poll::Ready(Some(error)) => Err(explain(about, &error)),
            Poll::Pending => {
                self.scopes.borrow_mut().push((about, outcome));
                Ok(())
            }
        }
    }

    /// Reports what went wrong since the last call, if anything did.
    ///
    /// # Errors
    /// Device loss first, then the scope that failed, then whatever else the driver reported.
    pub async fn check(&self) -> Result<(), GpuError> {
        let scopes = std::mem::take(&mut *self.scopes.borrow_mut());
        let mut failed = None;
        for (about, outcome) in scopes {
            if let Some(error) = outcome.await {
                failed.get_or_insert(explain(about, &error));
            }
        }
        // A loss is told by a callback, which only runs while the device is polled.
        let _ = self.device.poll(wgpu::PollType::Poll);
        #[cfg(not(target_arch = "wasm32"))]
        if failed.is_some() || self.reported.lock().unwrap_or_else(PoisonError::into_inner).error.is_some() {
            // An error may be the first sign of a loss, which is told once the work under way is over.
            let timeout = Some(std::time::Duration::from_secs(1));
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &reported.lost {
            return Err(GpuError::Lost { why: why.clone() });
        }
        match (failed, reported.error.take()) {
            (Some(error), _) => Err(error),
            (None, Some(why)) => Err(GpuError::Internal { why }),
            (None, None) => Ok(()),
        }
    }

    /// Has memory given back that nobody holds any more, before more is asked for.
    pub async fn release(&self) {
        // What was written to a buffer keeps it until a submission.
        self.queue.submit([]);
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        // In browsers what follows from a buffer that could not be had comes late; it was answered already.
        let _ = self.check().await;
    }

    /// Destroys the device, as a driver reset would; every later call reports [`GpuError::Lost`].
    pub fn simulate_loss(&self) {
        self.device.destroy();
    }

    /// [`Gpu::simulate_loss`] as a handle of its own, to pull while the device is busy elsewhere.
    pub fn loss_trigger(&self) -> impl Fn() + use<> {
        let device = self.device.clone();
        move || device.destroy()
    }

    /// Lets go of cached bind groups, and with them of buffers that nobody else holds.
    pub fn forget_bind_groups(&self) {
        self.bind_groups.borrow_mut().clear();
    }
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // OpenGL, which a window toolkit may bring in, lacks what the kernels need.
    descriptor.backends &= wgpu::Backends::PRIMARY;
    wgpu::Instance::new(descriptor)
}

async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    if !adapters.is_empty() {
        return adapters;
    }
    // Browsers do not list adapters, they hand one out.
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

/// All that the adapter offers; where the driver refuses its own limits, what every WebGPU device has.
async fn request(adapter: &wgpu::Adapter, name: &str) -> Result<(wgpu::Device, wgpu::Queue), GpuError> {
    let useful = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::PIPELINE_CACHE;
    let features = adapter.features() & useful;
    let mut why = String::new();
    for (required_features, required_limits) in [
        (features, adapter.limits()),
        (features, wgpu::Limits::default()),
        (wgpu::Features::empty(), wgpu::Limits::default()),
        (wgpu::Features::empty(), wgpu::Limits::downlevel_defaults()),
    ] {
        let descriptor =
            wgpu::DeviceDescriptor { label: Some("isobath"), required_features, required_limits, ..Default::default() };
        match adapter.request_device(&descriptor).await {
            Ok(opened) => return Ok(opened),
            Err(error) => why = error.to_string(),
        }
    }
    Err(GpuError::Open { adapter: name.to_owned(), why })
}

/// The error that was foreseen, with the driver's message where it has room for one.
pub(super) fn explain(about: GpuError, error: &wgpu::Error) -> GpuError {
    match about {
        GpuError::Pipeline { kernel, .. } => GpuError::Pipeline { kernel, why: error.to_string() },
        about => about,
    }
}
