//! Records dispatches and copies, then submits them as one command buffer.
//!
//! Uniform blocks of all dispatches go to the GPU in one write; pipelines and bind groups are cached.

use std::collections::HashMap;
use std::ops::Range;

use super::Gpu;
use super::buffer::{Binding, Buffer};
use super::device::{Pipeline, UNIFORM_BYTES};
use super::kernel::{Kernel, PipelineKey, Source};
use super::pipeline::{Wanted, compile};
use super::profile::Profile;
use super::readback::Pending;
use crate::error::GpuError;

/// WebGPU's alignment of dynamic uniform offsets; also the size of a slot.
const SLOT: usize = 256;

enum Step {
    Dispatch {
        name: &'static str,
        pipeline: wgpu::ComputePipeline,
        group: wgpu::BindGroup,
        offset: u32,
        grid: [u32; 3],
    },
    Copy {
        from: Buffer,
        from_offset: u64,
        to: Buffer,
        to_offset: u64,
        bytes: u64,
    },
    Clear {
        buffer: Buffer,
    },
    Read {
        from: Buffer,
        from_offset: u64,
        to: wgpu::Buffer,
        at: u64,
        bytes: u64,
    },
}

/// A list of dispatches under construction.
pub struct Pass<'g> {
    gpu: &'g Gpu,
    uniforms: Vec<u8>,
    steps: Vec<Step>,
    /// Pipelines that it would take, where nothing is to be run.
    rehearsed: Option<HashMap<PipelineKey, Wanted>>,
}

impl Gpu {
    /// Begins a list of dispatches that are not run: it only sees which pipelines they take.
    pub fn rehearsal(&self) -> Pass<'_> {
        Pass { rehearsed: Some(HashMap::new()), ..self.pass() }
    }

    /// Begins a list of dispatches.
    pub fn pass(&self) -> Pass<'_> {
        Pass { gpu: self, uniforms: Vec::new(), steps: Vec::new(), rehearsed: None }
    }

    pub(super) fn pipeline(&self, wanted: &Wanted) -> Result<Pipeline, GpuError> {
        if let Some(found) = self.pipelines.borrow().get(&wanted.key) {
            return Ok(found.clone());
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = wanted.make(&self.device, self.pipeline_cache.as_ref());
        self.watch(wanted.refused(), scope.pop())?;
        self.pipelines.borrow_mut().insert(wanted.key.clone(), made.clone());
        Ok(made)
    }

    /// Builds a kernel's pipeline and throws it away: does this device take the text?
    ///
    /// # Errors
    /// [`GpuError::Pipeline`] with the compiler's words.
    pub async fn try_pipeline(&self, name: &'static str, source: &Source) -> Result<(), GpuError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        // Of a text that may be anybody's.
        let _ = compile(&self.device, name, source.text(), None, true, None);
        match scope.pop().await {
            Some(error) => Err(GpuError::Pipeline { kernel: name.to_owned(), why: error.to_string() }),
            None => Ok(()),
        }
    }

    fn bind_group(
        &self,
        name: &str,
        key: &PipelineKey,
        pipeline: &Pipeline,
        bindings: &[Binding<'_>],
    ) -> wgpu::BindGroup {
        let places = bindings.iter().map(Binding::id).collect();
        let key = (key.clone(), places);
        if let Some(found) = self.bind_groups.borrow().get(&key) {
            return found.clone();
        }
        let uniform =
            wgpu::BufferBinding { buffer: &self.uniforms.raw, offset: 0, size: wgpu::BufferSize::new(SLOT as u64) };
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
        let others = (1..).zip(bindings);
        entries.extend(others.map(|(binding, b)| wgpu::BindGroupEntry { binding, resource: b.resource() }));
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let made = self.device.create_bind_group(&descriptor);
        self.bind_groups.borrow_mut().insert(key, made.clone());
        made
    }
}

impl Pass<'_> {
    /// Appends a dispatch.
    ///
    /// # Errors
    /// [`GpuError::Pipeline`] where the device refuses the kernel.
    pub fn run<K: Kernel>(&mut self, kernel: &K) -> Result<(), GpuError> {
        let traits = self.gpu.traits();
        let grid = match (traits.workgroups, kernel.loops_per_turn()) {
            (Some(enough), Some(loops)) => take_turns(enough, kernel.grid(), loops, traits.max_loops),
            _ => kernel.grid(),
        };
        if grid.contains(&0) {
            return Ok(());
        }
        if self.uniforms.len() as u64 + SLOT as u64 > UNIFORM_BYTES {
            self.flush();
        }
        let bindings = kernel.bindings();
        let wanted = Wanted::new(kernel, &bindings, self.gpu);
        if let Some(rehearsed) = &mut self.rehearsed {
            rehearsed.entry(wanted.key.clone()).or_insert(wanted);
            return Ok(());
        }
        let pipeline = self.gpu.pipeline(&wanted)?;
        let group = self.gpu.bind_group(K::NAME, &wanted.key, &pipeline, &bindings);
        let offset = self.uniforms.len();
        self.uniforms.extend_from_slice(bytemuck::bytes_of(&kernel.params()));
        self.uniforms.resize(offset + SLOT, 0);
        self.steps.push(Step::Dispatch {
            name: K::NAME,
            pipeline: pipeline.pipeline,
            group,
            offset: offset as u32,
            grid,
        });
        Ok(())
    }

    /// What a [rehearsal](Gpu::rehearsal) saw and the device does not have yet.
    pub fn rehearsed(self) -> Vec<Wanted> {
        let made = self.gpu.pipelines.borrow();
        let mut wanted: Vec<_> = self
            .rehearsed
            .into_iter()
            .flatten()
            .filter(|(key, _)| !made.contains_key(key))
            .map(|(_, one)| one)
            .collect();
        wanted.sort_by(|a, b| a.name.cmp(b.name).then_with(|| a.source.constants.cmp(&b.source.constants)));
        wanted
    }

    /// Appends a copy of `bytes` (a multiple of 4).
    pub fn copy(&mut self, from: (&Buffer, u64), to: (&Buffer, u64), bytes: u64) {
        let (from, from_offset) = (from.0.clone(), from.1);
        let (to, to_offset) = (to.0.clone(), to.1);
        self.steps.push(Step::Copy { from, from_offset, to, to_offset, bytes });
    }

    /// Appends the zeroing of a buffer.
    pub fn clear(&mut self, buffer: &Buffer) {
        self.steps.push(Step::Clear { buffer: buffer.clone() });
    }

    /// Hands everything recorded to the GPU; does not wait.
    pub fn submit(mut self) {
        self.flush();
    }

    /// Hands everything recorded to the GPU with a read of whole 4-byte words behind it, as one submission.
    pub fn submit_and_read(mut self, parts: &[(&Buffer, Range<u64>)]) -> Pending {
        let bytes: u64 = parts.iter().map(|(_, words)| (words.end - words.start) * 4).sum();
        let staging = self.gpu.staging(bytes);
        let mut at = 0;
        for (buffer, words) in parts {
            let bytes = (words.end - words.start) * 4;
            self.steps.push(Step::Read {
                from: (*buffer).clone(),
                from_offset: words.start * 4,
                to: staging.clone(),
                at,
                bytes,
            });
            at += bytes;
        }
        let submission = self.flush();
        Pending::map(staging, submission)
    }

    /// Dispatches recorded so far and not yet handed over.
    pub fn n_dispatches(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Dispatch { .. })).count()
    }

    fn flush(&mut self) -> Option<wgpu::SubmissionIndex> {
        if self.steps.is_empty() {
            return None;
        }
        self.gpu.write(&self.gpu.uniforms, 0, &self.uniforms);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut profile = self.gpu.profile.borrow_mut();
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Copy { from, from_offset, to, to_offset, bytes } => {
                    let (from_offset, to_offset) = (from.offset + from_offset, to.offset + to_offset);
                    encoder.copy_buffer_to_buffer(&from.raw, from_offset, &to.raw, to_offset, *bytes);
                }
                Step::Read { from, from_offset, to, at, bytes } => {
                    encoder.copy_buffer_to_buffer(&from.raw, from.offset + from_offset, to, *at, *bytes);
                }
                Step::Clear { buffer } => encoder.clear_buffer(&buffer.raw, buffer.offset, Some(buffer.bytes())),
                Step::Dispatch { name, .. } => {
                    // Timestamps are portable at the ends of passes only: a pass per dispatch while profiling.
                    let writes = profile.as_mut().and_then(|profile| profile.begin(name));
                    let alone = profile.is_some();
                    let descriptor = wgpu::ComputePassDescriptor {
                        label: Some(name),
                        timestamp_writes: writes.as_ref().map(|w| w.descriptor()),
                    };
                    let mut pass = encoder.begin_compute_pass(&descriptor);
                    dispatch(&mut pass, step);
                    while !alone && matches!(steps.peek(), Some(Step::Dispatch { .. })) {
                        if let Some(step) = steps.next() {
                            dispatch(&mut pass, step);
                        }
                    }
                }
            }
        }
        if let Some(profile) = profile.as_mut() {
            Profile::resolve(profile, &mut encoder);
        }
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.steps.clear();
        self.uniforms.clear();
        Some(submission)
    }
}

/// As few workgroups as keep the processors evenly at work, see [`Traits::workgroups`](super::Traits::workgroups). A workgroup
/// that finds nothing to do is computed as far as its first loop turns, masked.
fn take_turns(enough: u32, [x, y, z]: [u32; 3], loops: u32, most: Option<u32>) -> [u32; 3] {
    let turns = most.map_or(u32::MAX, |most| (most / loops.max(1)).max(1));
    [enough.div_ceil((y * z).max(1)).max(x.div_ceil(turns)).min(x), y, z]
}

fn dispatch(pass: &mut wgpu::ComputePass<'_>, step: &Step) {
    if let Step::Dispatch { pipeline, group, offset, grid, .. } = step {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, group, &[*offset]);
        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_end_before_loops_are_cut_short() {
        let turns = |grid, loops| take_turns(8, grid, loops, Some(1000));
        assert_eq!(turns([100, 3, 1], 10), [3, 3, 1]);
        assert_eq!(turns([2, 1, 1], 10), [2, 1, 1]);
        // Two turns are all that a workgroup can take, then one.
        assert_eq!(turns([100, 1, 1], 500), [50, 1, 1]);
        assert_eq!(turns([100, 1, 1], 2000), [100, 1, 1]);
        assert_eq!(turns([0, 1, 1], 0), [0, 1, 1]);
        assert_eq!(take_turns(8, [100, 1, 1], 2000, None), [8, 1, 1]);
    }
}
