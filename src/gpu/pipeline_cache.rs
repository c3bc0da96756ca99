//! What a driver compiled, from one run of the program to the next.
//!
//! **Invariant:** no file is opened here: the program hands the bytes in, and out.

use flate2::Crc;

use super::Gpu;

/// Bytes of the checksum in front.
const CHECKSUM: usize = 4;

impl Gpu {
    /// The name under which bytes are to be kept, another one for each model of GPU; `None` where the device, or the platform,
    /// keeps nothing or gains nothing by it.
    pub fn pipeline_cache_key(&self) -> Option<String> {
        let has = self.device.features().contains(wgpu::Features::PIPELINE_CACHE);
        (has && self.traits().pipeline_cache).then(|| wgpu::util::pipeline_cache_key(&self.device.adapter_info()))?
    }

    /// Makes pipelines of what [`Gpu::pipeline_cache_data`] gave in an earlier run, as far as that goes. Bytes that are damaged,
    /// or of another device or driver, count as none.
    ///
    /// # Safety
    /// Drivers believe these bytes. They must be none, or such as [`Gpu::pipeline_cache_data`] gave, or what an accident made
    /// of those; a checksum finds accidents, and not what somebody wrote on purpose.
    pub unsafe fn with_pipeline_cache(mut self, bytes: &[u8]) -> Self {
        if self.pipeline_cache_key().is_none() {
            return self;
        }
        let make = |data: Option<&[u8]>| {
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("isobath"), data, fallback: true };
            // SAFETY: the bytes are as a device gave them, says the caller, and the checksum. wgpu compares its own header with
            // the adapter and the driver's version, and begins with nothing where they differ.
            let made = unsafe { self.device.create_pipeline_cache(&descriptor) };
            // This feature is native, and there the outcome is known at once.
            pollster::block_on(scope.pop()).is_none().then_some(made)
        };
        // Bytes of another device are an error to wgpu, in spite of `fallback`.
        self.pipeline_cache = whole(bytes).and_then(|data| make(Some(data))).or_else(|| make(None));
        self
    }

    /// Gives what was compiled so far, to be kept under [`Gpu::pipeline_cache_key`]; `None` without
    /// [`Gpu::with_pipeline_cache`].
    pub fn pipeline_cache_data(&self) -> impl Fn() -> Option<Vec<u8>> + Send + use<> {
        let cache = self.pipeline_cache.clone();
        move || Some(sealed(&cache.as_ref()?.get_data()?))
    }
}

fn checksum(data: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum().to_le_bytes()
}

fn sealed(data: &[u8]) -> Vec<u8> {
    [&checksum(data)[..], data].concat()
}

/// The data behind its checksum, if that is right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (sum, data) = bytes.split_at_checked(CHECKSUM)?;
    (!data.is_empty() && checksum(data) == sum).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found() {
        let kept = sealed(b"what a driver made");
        assert_eq!(whole(&kept), Some(&b"what a driver made"[..]));
        for length in 0..kept.len() {
            assert_eq!(whole(&kept[..length]), None, "{length} bytes");
        }
        for place in 0..kept.len() {
            let mut other = kept.clone();
            other[place] ^= 1;
            assert_eq!(whole(&other), None, "byte {place}");
        }
    }
}
