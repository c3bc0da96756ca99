//! Storage buffers, and how kernels see them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::texture::{self, Texture};

/// A number for a piece of memory; never given twice, so that cached bind groups cannot be mistaken.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Parts of a buffer begin at multiples of this, which every device can bind.
pub const PART_BYTES: u64 = 256;

/// GPU memory, all of an allocation or a part of it. Cheap to clone; freed with its last clone.
#[derive(Debug, Clone)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    pub(super) id: u64,
    /// First byte within `raw`.
    pub(super) offset: u64,
    bytes: u64,
}

impl Buffer {
    pub(super) fn create(device: &wgpu::Device, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Self {
        // WebGPU copies and binds multiples of 4 bytes, and no empty buffers; vec4 arrays need 16.
        let bytes = bytes.next_multiple_of(16).max(16);
        let usage = usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        });
        Self { raw, id: next_id(), offset: 0, bytes }
    }

    /// Size in bytes; of a whole buffer a multiple of 16.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Tells it from all others; clones share it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// A part of it that is used like a buffer of its own; both see what is written. A dispatch that writes the one may not
    /// bind the other.
    ///
    /// # Panics
    /// Where the part does not begin at a multiple of [`PART_BYTES`], or ends behind the buffer.
    pub fn part(&self, offset: u64, bytes: u64) -> Self {
        assert!(offset.is_multiple_of(PART_BYTES) && bytes > 0 && offset + bytes <= self.bytes, "{offset} + {bytes}");
        Self { raw: self.raw.clone(), id: next_id(), offset: self.offset + offset, bytes }
    }

    /// Bytes before it in the allocation of which it is a part.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The buffer as a kernel's input.
    pub fn read(&self) -> Binding<'_> {
        Binding::Read(self)
    }

    /// The buffer as a kernel's output.
    pub fn write(&self) -> Binding<'_> {
        Binding::Write(self)
    }
}

/// Memory in one of a kernel's places.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// `var<storage, read>`
    Read(&'a Buffer),
    /// `var<storage, read_write>`
    Write(&'a Buffer),
    /// `var` of type `texture_2d<u32>`
    ReadTexture(&'a Texture),
    /// `var` of type `texture_storage_2d<rgba32uint, write>`
    WriteTexture(&'a Texture),
}

impl Binding<'_> {
    /// Tells the memory from all other.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Read(buffer) | Self::Write(buffer) => buffer.id,
            Self::ReadTexture(texture) | Self::WriteTexture(texture) => texture.id,
        }
    }

    /// What a layout says of it.
    pub(super) fn kind(&self) -> wgpu::BindingType {
        let storage = |read_only| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        match self {
            Self::Read(_) => storage(true),
            Self::Write(_) => storage(false),
            Self::ReadTexture(_) => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Uint,
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
            Self::WriteTexture(_) => wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::WriteOnly,
                format: texture::FORMAT,
                view_dimension: wgpu::TextureViewDimension::D2,
            },
        }
    }

    /// What is bound.
    pub(super) fn resource(&self) -> wgpu::BindingResource<'_> {
        match self {
            Self::Read(buffer) | Self::Write(buffer) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &buffer.raw,
                offset: buffer.offset,
                size: wgpu::BufferSize::new(buffer.bytes),
            }),
            Self::ReadTexture(texture) | Self::WriteTexture(texture) => {
                wgpu::BindingResource::TextureView(&texture.view)
            }
        }
    }
}
