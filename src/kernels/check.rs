//! What kernel tests share: a device, seeded numbers, and comparison that NaN fails.

use crate::gpu::{Buffer, Gpu, Kernel, Texture};
use crate::kernels::products::matrix::{SIDE_BY_SIDE, Stored};
use crate::kernels::{Row, padded};

/// A device for one test; fails where the machine has no adapter.
pub struct Device {
    pub gpu: Gpu,
}

/// Rows of numbers on both sides, padded on the GPU.
pub struct Rows {
    pub values: Vec<f32>,
    pub width: u32,
    pub stride: u32,
    pub buffer: Buffer,
}

impl Rows {
    pub fn row(&self, row: u32) -> &[f32] {
        &self.values[(row * self.width) as usize..][..self.width as usize]
    }
}

/// Outputs start as this, so that what is not written shows.
const POISON: f32 = 9.0;

/// What an untouched row holds.
pub fn fill(n: usize) -> Vec<f32> {
    vec![POISON; n]
}

/// Numbers between -1 and 1 from a seed.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Fails on any difference beyond `tolerance` (relative to values above 1), and on NaN.
pub fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{name}[{i}]: got {got}, want {want}");
    }
}

impl Device {
    pub fn open() -> Self {
        let gpu = pollster::block_on(Gpu::open(std::env::var("ISOBATH_ADAPTER").ok().as_deref()));
        let gpu = gpu.expect("kernel tests need an adapter, one that computes on the processors will do");
        // With every check, or as users run them.
        let trusted = std::env::var("ISOBATH_SHADERS").is_ok_and(|value| value == "trusted");
        Self { gpu: if trusted { gpu } else { gpu.checked() } }
    }

    /// Whether kernels that use subgroups can be tested here.
    pub fn subgroups(&self) -> bool {
        self.gpu.traits().subgroup_size() == Some(crate::kernels::SUBGROUP)
    }

    pub fn upload<T: bytemuck::NoUninit>(&self, data: &[T]) -> Buffer {
        self.gpu.upload("test", data).expect("upload")
    }

    /// Rows of `stride` vectors as a kernel finds weights: in a buffer, or in a texture.
    pub fn weights(&self, words: &[u32], stride: u32, in_texture: bool) -> Stored {
        if !in_texture {
            return Stored::Buffer(self.upload(words));
        }
        let row_words = 4 * stride as usize;
        let rows = (words.len() / row_words).next_multiple_of(SIDE_BY_SIDE as usize);
        let weights = Stored::Texture(self.gpu.texture("test", 4 * (rows * row_words) as u64).expect("texture"));
        // In pieces that may end within a line, so that each kind of write is done.
        for (i, piece) in words.chunks(19 * SIDE_BY_SIDE as usize * row_words).enumerate() {
            weights.write(&self.gpu, i as u32 * 19 * SIDE_BY_SIDE, stride, piece);
        }
        weights
    }

    /// The first rows of a texture of numbers, `[n, width]`.
    pub fn texture_floats(&self, texture: &Texture, n: u32, width: u32) -> Vec<f32> {
        let mut numbers = pollster::block_on(self.gpu.read_texture(texture)).expect("read");
        numbers.truncate((n * width) as usize);
        numbers
    }

    pub fn rows(&self, n: u32, width: u32, seed: u64) -> Rows {
        let values = numbers((n * width) as usize, seed);
        let buffer = self.upload(&[0u32]);
        self.again(Rows { values, width, stride: padded(width), buffer })
    }

    /// Uploads changed values.
    pub fn again(&self, mut rows: Rows) -> Rows {
        let mut padded = Vec::new();
        for row in rows.values.chunks_exact(rows.width as usize) {
            padded.extend_from_slice(row);
            padded.resize(padded.len() + (rows.stride - rows.width) as usize, 0.0);
        }
        rows.buffer = self.upload(&padded);
        rows
    }

    pub fn poisoned(&self, n: u32) -> Buffer {
        self.upload(&fill(n as usize))
    }

    /// Row `i` at round `i % rounds`; the list holds every other row, last row first, so that rows are not places.
    pub fn every_other(&self, n: u32, depths: u32) -> (Buffer, Buffer, Vec<u32>) {
        let rows: Vec<Row> = (0..n).map(|i| Row { lane: 0, position: i, round: i % depths, kv_index: i }).collect();
        let listed: Vec<u32> = (0..n).rev().step_by(2).collect();
        let mut list = vec![listed.len() as u32];
        list.extend(&listed);
        list.resize(n as usize + 1, 0xffff);
        (self.upload(&rows), self.upload(&list), listed)
    }

    pub fn run<K: Kernel>(&self, kernel: &K) {
        let mut pass = self.gpu.pass();
        pass.run(kernel).expect("kernel");
        pass.submit();
        pollster::block_on(self.gpu.check()).expect("device");
    }

    pub fn floats(&self, buffer: &Buffer) -> Vec<f32> {
        pollster::block_on(self.gpu.read(buffer, 0..buffer.bytes() / 4)).expect("read")
    }

    /// All that a buffer holds.
    pub fn all<T: bytemuck::Pod>(&self, buffer: &Buffer) -> Vec<T> {
        bytemuck::pod_collect_to_vec(&self.words(buffer))
    }

    pub fn words(&self, buffer: &Buffer) -> Vec<u32> {
        pollster::block_on(self.gpu.read(buffer, 0..buffer.bytes() / 4)).expect("read")
    }
}
