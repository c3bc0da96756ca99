//! Pipelines: compiled with or without checks, when they are first used or, several at once, before.

#[cfg(not(target_arch = "wasm32"))]
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Gpu;
use super::buffer::Binding;
use super::device::Pipeline;
use super::kernel::{Kernel, PipelineKey, Source};
use crate::error::GpuError;

/// All that it takes to make a pipeline, without the buffers that it will work on.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub(super) name: &'static str,
    pub(super) key: PipelineKey,
    pub(super) source: Source,
    kinds: Vec<wgpu::BindingType>,
    in_storage: bool,
    checked: bool,
}

impl Wanted {
    pub(super) fn new<K: Kernel>(kernel: &K, bindings: &[Binding<'_>], gpu: &Gpu) -> Self {
        let source = kernel.source();
        Self {
            name: K::NAME,
            key: PipelineKey::of(K::NAME, &source),
            source,
            kinds: bindings.iter().map(Binding::kind).collect(),
            in_storage: K::BLOCK_DECIDES && gpu.traits().bakes_blocks,
            checked: gpu.checked || kernel.foreign(),
        }
    }

    pub(super) fn make(&self, device: &wgpu::Device, cache: Option<&wgpu::PipelineCache>) -> Pipeline {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let ty = if self.in_storage {
            wgpu::BufferBindingType::Storage { read_only: true }
        } else {
            wgpu::BufferBindingType::Uniform
        };
        let block = wgpu::BindingType::Buffer { ty, has_dynamic_offset: true, min_binding_size: None };
        let mut entries = vec![entry(0, block)];
        entries.extend((1..).zip(&self.kinds).map(|(place, kind)| entry(place, *kind)));
        let label = Some(self.name);
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let text = self.source.text();
        // The block of parameters stands first.
        let text = if self.in_storage { text.replacen("var<uniform>", "var<storage, read>", 1) } else { text };
        let pipeline = compile(device, self.name, text, Some(&pipeline_layout), self.checked, cache);
        Pipeline { pipeline, layout }
    }

    pub(super) fn refused(&self) -> GpuError {
        GpuError::Pipeline { kernel: self.name.to_owned(), why: String::new() }
    }
}

pub(super) fn compile(
    device: &wgpu::Device,
    name: &'static str,
    text: String,
    layout: Option<&wgpu::PipelineLayout>,
    checked: bool,
    cache: Option<&wgpu::PipelineCache>,
) -> wgpu::ComputePipeline {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
    let module = if checked {
        device.create_shader_module(descriptor)
    } else {
        let mut checks = wgpu::ShaderRuntimeChecks::checked();
        // Indices are not clamped and loops not counted; divisions stay checked.
        checks.bounds_checks = false;
        checks.force_loop_bounding = false;
        // SAFETY: the text is this crate's own. Its loops count up to a bound of the uniform block or of a list. What it indexes
        // with and a stranger may have chosen was checked before: shapes in files against their tensors (`Plan`, `Loader`), tokens
        // against the vocabulary and positions against the context (`Engine::submit`, `resume` and `score`); pages, lanes and places
        // in lists are handed out by the scheduler and by kernels, within the room that was made. Tests run every kernel checked.
        unsafe { device.create_shader_module_trusted(descriptor, checks) }
    };
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout,
        module: &module,
        entry_point: Some(name),
        // Every kernel writes its workgroup memory before it reads it.
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache,
    })
}

impl Gpu {
    /// Compiles shaders with every check that wgpu can add: indices are clamped and loops counted. Browsers always do so.
    pub fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// Pipelines that the device has.
    pub fn n_pipelines(&self) -> usize {
        self.pipelines.borrow().len()
    }

    /// Makes pipelines before they are needed: natively several at once, and `progress` is told how many of how many are made.
    ///
    /// # Errors
    /// [`GpuError::Pipeline`] where the device refuses one.
    pub async fn prepare(&self, wanted: &[Wanted], progress: &mut dyn FnMut(usize, usize)) -> Result<(), GpuError> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
            let (next, device, cache) = (AtomicUsize::new(0), &self.device, self.pipeline_cache.as_ref());
            let (sender, made) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    let (sender, next) = (sender.clone(), &next);
                    scope.spawn(move || {
                        while let Some(one) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                            // Error scopes are those of a thread.
                            let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
                            let pipeline = one.make(device, cache);
                            if sender.send((one, pipeline, scope.pop())).is_err() {
                                return;
                            }
                        }
                    });
                }
                drop(sender);
                for (count, (one, pipeline, outcome)) in (1..).zip(made) {
                    self.watch(one.refused(), outcome)?;
                    self.pipelines.borrow_mut().insert(one.key.clone(), pipeline);
                    progress(count, wanted.len());
                }
                Ok(())
            })
        }
        #[cfg(target_arch = "wasm32")]
        {
            // A browser makes them while the page goes on, and tells of each when it is there.
            let begin = |one: &Wanted| {
                let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
                let made = one.make(&self.device, None);
                self.pipelines.borrow_mut().insert(one.key.clone(), made);
                scope.pop()
            };
            let outcomes: Vec<_> = wanted.iter().map(begin).collect();
            for (count, (one, outcome)) in (1..).zip(wanted.iter().zip(outcomes)) {
                if let Some(error) = outcome.await {
                    return Err(super::device::explain(one.refused(), &error));
                }
                progress(count, wanted.len());
            }
            Ok(())
        }
    }
}
