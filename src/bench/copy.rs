//! How fast this device moves memory: the yardstick of all GB/s.

use crate::error::Error;
use crate::gpu::{Buffer, Gpu, Pass};
use crate::kernels::rows::combine::{self, Combine};

/// A measured copy.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CopySpeed {
    /// Bytes read and written per second, in units of 10^9.
    pub gb_per_second: f64,
    /// Whether a kernel was faster than the device's own copy command.
    pub by_kernel: bool,
}

/// Vectors of a row of the kernel.
const STRIDE: u64 = 1024;
/// Least time that counts, in seconds.
const LEAST: f64 = 0.05;

impl CopySpeed {
    /// Measures both ways to copy from one storage buffer to another, and takes the faster; `clock` gives seconds.
    ///
    /// # Errors
    /// What the GPU reports.
    pub async fn measure(gpu: &Gpu, clock: &dyn Fn() -> f64) -> Result<Self, Error> {
        let bytes = gpu.traits().copy_bytes.min(gpu.max_binding_bytes());
        let n_rows = (bytes / 16 / STRIDE) as u32;
        let bytes = u64::from(n_rows) * STRIDE * 16;
        let from = gpu.upload("copy: from", &vec![1.0f32; (bytes / 4) as usize])?;
        let to = gpu.buffer("copy: to", bytes)?;
        let list: Vec<u32> = std::iter::once(n_rows).chain(0..n_rows).collect();
        let list = gpu.upload("copy: rows", &list)?;
        let factors = gpu.buffer("copy: factors", 4)?;
        let params = combine::Params { stride: STRIDE as u32 };
        let (input, factors, list, output, mode) = (&from, &factors, &list, &to, combine::COPY);
        let kernel = Combine { input, factors, list, output, mode, n_rows, params };
        let command = best(gpu, clock, &to, &|pass| {
            pass.copy((&from, 0), (&to, 0), bytes);
            Ok(())
        })
        .await?;
        let kernel = best(gpu, clock, &to, &|pass| Ok(pass.run(&kernel)?)).await?;
        gpu.forget_bind_groups();
        Ok(Self { gb_per_second: 2.0 * bytes as f64 / command.min(kernel) / 1e9, by_kernel: kernel < command })
    }
}

/// Seconds of one copy in the best of some submissions.
async fn best(
    gpu: &Gpu,
    clock: &dyn Fn() -> f64,
    to: &Buffer,
    record: &dyn Fn(&mut Pass<'_>) -> Result<(), Error>,
) -> Result<f64, Error> {
    let mut copies = 1;
    let mut best = f64::INFINITY;
    let mut counted = 0;
    while counted < 5 {
        let mut pass = gpu.pass();
        for _ in 0..copies {
            record(&mut pass)?;
        }
        let start = clock();
        let pending = pass.submit_and_read(&[(to, 0..1)]);
        let _: Vec<u32> = gpu.finish(pending).await?;
        let seconds = clock() - start;
        if seconds < LEAST && copies < 1024 {
            // Too short beside the cost of a submission, or the first, which makes the pipeline.
            copies *= 2;
        } else {
            best = best.min(seconds / f64::from(copies));
            counted += 1;
        }
    }
    Ok(best)
}
