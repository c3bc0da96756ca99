//! Textures that hold plain words, for kernels that read whole vectors.
//!
//! Where they are wanted: [`Storage`](super::traits::Storage).

use super::buffer::{Binding, next_id};
use super::device::Gpu;
#[cfg(test)]
use super::readback::Pending;
use crate::error::GpuError;

/// Texels (of 16 bytes) in a line; `LINE` in `shaders/lib/texel.wgsl`.
pub const WIDTH: u64 = 2048;

/// Bytes of a texel.
const TEXEL: u64 = 16;

/// Four words.
pub(super) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Uint;

const USAGE: wgpu::TextureUsages = wgpu::TextureUsages::TEXTURE_BINDING
    .union(wgpu::TextureUsages::STORAGE_BINDING)
    .union(wgpu::TextureUsages::COPY_DST)
    // Tests read what kernels write.
    .union(if cfg!(test) { wgpu::TextureUsages::COPY_SRC } else { wgpu::TextureUsages::empty() });

/// GPU memory in vectors of four words, which a kernel can read or write. Cheap to clone; freed with its last clone.
#[derive(Debug, Clone)]
pub struct Texture {
    raw: wgpu::Texture,
    pub(super) view: wgpu::TextureView,
    pub(super) id: u64,
}

impl Texture {
    /// Size in bytes: whole lines.
    pub fn bytes(&self) -> u64 {
        u64::from(self.raw.height()) * WIDTH * TEXEL
    }

    /// The texture as a kernel's input.
    pub fn read(&self) -> Binding<'_> {
        Binding::ReadTexture(self)
    }

    /// The texture as a kernel's output.
    pub fn write(&self) -> Binding<'_> {
        Binding::WriteTexture(self)
    }
}

impl Gpu {
    /// Most bytes that a texture can hold.
    pub fn max_texture_bytes(&self) -> u64 {
        u64::from(self.device.limits().max_texture_dimension_2d) * WIDTH * TEXEL
    }

    /// A zeroed texture for so many bytes.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] and [`GpuError::OutOfMemory`] as for [`Gpu::buffer`].
    pub fn texture(&self, label: &str, bytes: u64) -> Result<Texture, GpuError> {
        let height = bytes.div_ceil(WIDTH * TEXEL).max(1) as u32;
        let raw = self.allocate(label, bytes, self.max_texture_bytes(), || {
            self.device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: wgpu::Extent3d { width: WIDTH as u32, height, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: FORMAT,
                usage: USAGE,
                view_formats: &[],
            })
        })?;
        let view = raw.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Texture { raw, view, id: next_id() })
    }

    /// Overwrites whole vectors before the next submission: the rest of a line, lines, and the begin of one.
    pub fn write_texture(&self, texture: &Texture, offset_bytes: u64, words: &[u32]) {
        let mut bytes: &[u8] = bytemuck::cast_slice(words);
        let mut at = offset_bytes / TEXEL;
        while !bytes.is_empty() {
            let (x, left) = (at % WIDTH, bytes.len() as u64 / TEXEL);
            let whole = x == 0 && left >= WIDTH;
            let (width, height) = if whole { (WIDTH, left / WIDTH) } else { (left.min(WIDTH - x), 1) };
            let (now, later) = bytes.split_at((width * height * TEXEL) as usize);
            let place = wgpu::TexelCopyTextureInfo {
                texture: &texture.raw,
                mip_level: 0,
                origin: wgpu::Origin3d { x: x as u32, y: (at / WIDTH) as u32, z: 0 },
                aspect: wgpu::TextureAspect::All,
            };
            let line = (width * TEXEL) as u32;
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(line), rows_per_image: None };
            let size = wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 };
            self.queue.write_texture(place, now, layout, size);
            (bytes, at) = (later, at + width * height);
        }
    }
}

#[cfg(test)]
impl Gpu {
    /// All numbers of a texture.
    pub async fn read_texture(&self, texture: &Texture) -> Result<Vec<f32>, GpuError> {
        let staging = self.staging(texture.bytes());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some((WIDTH * TEXEL) as u32),
            rows_per_image: None,
        };
        encoder.copy_texture_to_buffer(
            texture.raw.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &staging, layout },
            texture.raw.size(),
        );
        let submission = self.queue.submit([encoder.finish()]);
        self.finish(Pending::map(staging, Some(submission))).await
    }
}
