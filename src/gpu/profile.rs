//! Optional timestamps: how long each kernel took, summed by name.

use std::collections::BTreeMap;

use super::Gpu;
use super::buffer::Buffer;
use crate::error::GpuError;

/// Dispatches of one submission that can be timed; later ones are not.
const CAPACITY: u32 = 2048;

/// Time spent in one kernel.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct KernelTime {
    /// Kernel's name.
    pub kernel: &'static str,
    /// Number of dispatches.
    pub dispatches: u64,
    /// Their sum in microseconds, by the GPU's clock.
    pub microseconds: f64,
}

/// The timestamps of the last submission, and sums over all that were collected.
pub struct Profile {
    queries: wgpu::QuerySet,
    resolved: Buffer,
    names: Vec<&'static str>,
    sums: BTreeMap<&'static str, (u64, f64)>,
    nanoseconds_per_tick: f64,
}

/// Where one dispatch writes its two timestamps.
pub(super) struct Writes {
    queries: wgpu::QuerySet,
    first: u32,
}

impl Writes {
    pub fn descriptor(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(self.first),
            end_of_pass_write_index: Some(self.first + 1),
        }
    }
}

impl Profile {
    pub(super) fn begin(&mut self, name: &'static str) -> Option<Writes> {
        let first = 2 * self.names.len() as u32;
        if first + 2 > 2 * CAPACITY {
            return None;
        }
        self.names.push(name);
        Some(Writes { queries: self.queries.clone(), first })
    }

    pub(super) fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder) {
        if !self.names.is_empty() {
            encoder.resolve_query_set(&self.queries, 0..2 * self.names.len() as u32, &self.resolved.raw, 0);
        }
    }
}

impl Gpu {
    /// Turns profiling on; returns whether the device can.
    pub fn start_profile(&self) -> bool {
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return false;
        }
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * CAPACITY,
        });
        let resolved =
            Buffer::create(&self.device, "profile", u64::from(CAPACITY) * 16, wgpu::BufferUsages::QUERY_RESOLVE);
        let nanoseconds_per_tick = f64::from(self.queue.get_timestamp_period());
        let profile = Profile { queries, resolved, names: vec![], sums: BTreeMap::new(), nanoseconds_per_tick };
        *self.profile.borrow_mut() = Some(profile);
        true
    }

    /// Adds the last submission's times to the sums; waits for it.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn collect_profile(&self) -> Result<(), GpuError> {
        let Some((resolved, names)) =
            self.profile.borrow_mut().as_mut().map(|p| (p.resolved.clone(), std::mem::take(&mut p.names)))
        else {
            return Ok(());
        };
        let ticks: Vec<u64> = self.read(&resolved, 0..4 * names.len() as u64).await?;
        if let Some(profile) = self.profile.borrow_mut().as_mut() {
            for (name, pair) in names.iter().zip(ticks.chunks_exact(2)) {
                let (count, microseconds) = profile.sums.entry(name).or_default();
                *count += 1;
                *microseconds += pair[1].saturating_sub(pair[0]) as f64 * profile.nanoseconds_per_tick / 1000.0;
            }
        }
        Ok(())
    }

    /// Sums so far, the most expensive kernel first.
    pub fn profile(&self) -> Vec<KernelTime> {
        let profile = self.profile.borrow();
        let sums = profile.iter().flat_map(|profile| &profile.sums);
        let mut rows: Vec<_> = sums
            .map(|(&kernel, &(dispatches, microseconds))| KernelTime { kernel, dispatches, microseconds })
            .collect();
        rows.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
        rows
    }
}
