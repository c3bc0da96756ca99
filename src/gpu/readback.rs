//! Reading GPU memory, alike on native and web: copy to a mappable buffer, map, await.

use std::ops::Range;

use futures_channel::oneshot;

use super::Gpu;
use super::buffer::Buffer;
use crate::error::GpuError;

/// A read that has been submitted and can be awaited later.
pub struct Pending {
    staging: wgpu::Buffer,
    mapped: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "browsers cannot wait for a submission"))]
    submission: Option<wgpu::SubmissionIndex>,
}

impl Pending {
    /// Asks for a staging buffer that the submission fills.
    pub(super) fn map(staging: wgpu::Buffer, submission: Option<wgpu::SubmissionIndex>) -> Self {
        let (sender, mapped) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
            // A receiver that is gone no longer wants the answer.
            let _ = sender.send(outcome);
        });
        Self { staging, mapped, submission }
    }
}

impl Gpu {
    /// Submits a read of whole 4-byte words; what was submitted before it is seen, what comes after is not.
    pub fn read_later(&self, buffer: &Buffer, words: Range<u64>) -> Pending {
        self.read_parts_later(&[(buffer, words)])
    }

    /// Submits one read of several pieces, which come one behind the other.
    pub fn read_parts_later(&self, parts: &[(&Buffer, Range<u64>)]) -> Pending {
        self.pass().submit_and_read(parts)
    }

    /// A buffer that the host can read.
    pub(super) fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: bytes.max(4),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        })
    }

    /// Waits for a read.
    ///
    /// # Errors
    /// Whatever [`Gpu::check`] reports, device loss above all.
    pub async fn finish<T: bytemuck::Pod>(&self, pending: Pending) -> Result<Vec<T>, GpuError> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Err(error) =
            self.device.poll(wgpu::PollType::Wait { submission_index: pending.submission, timeout: None })
        {
            self.check().await?;
            return Err(GpuError::Internal { why: error.to_string() });
        }
        let outcome = pending.mapped.await;
        self.check().await?;
        match outcome {
            Ok(Ok(())) => {}
            // Nothing else keeps a staging buffer from being mapped; browsers tell of the loss itself a little later.
            Ok(Err(error)) => return Err(GpuError::Lost { why: format!("reading back failed: {error}") }),
            Err(_) => return Err(GpuError::Lost { why: "a read was abandoned".to_owned() }),
        }
        let view = pending.staging.get_mapped_range(..).map_err(|e| GpuError::Internal { why: e.to_string() })?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }

    /// Reads whole 4-byte words and waits for them.
    ///
    /// # Errors
    /// As [`Gpu::finish`].
    pub async fn read<T: bytemuck::Pod>(&self, buffer: &Buffer, words: Range<u64>) -> Result<Vec<T>, GpuError> {
        let pending = self.read_later(buffer, words);
        self.finish(pending).await
    }
}
