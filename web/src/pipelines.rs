//! Every kernel text in the browser's own compiler, which is stricter than the native one.

use isobath::error::GpuError;
use isobath::gpu::Gpu;
use isobath::kernels::variants;

/// How it went.
#[derive(serde::Serialize)]
pub struct Outcome {
    /// Pipelines asked for.
    pub built: usize,
    /// Kernel, constants and the compiler's words, for each that was refused.
    pub refused: Vec<String>,
    /// Where.
    pub adapter: String,
}

/// Builds all, one after the other.
///
/// # Errors
/// Where there is no device.
pub async fn build_all() -> Result<Outcome, GpuError> {
    let gpu = Gpu::open(None).await?;
    let all = variants::all();
    let mut refused = vec![];
    for variant in &all {
        if let Err(error) = gpu.try_pipeline(variant.kernel, &variant.source).await {
            refused.push(format!("{} {:?}: {error}", variant.kernel, variant.source.constants));
        }
    }
    Ok(Outcome { built: all.len(), refused, adapter: gpu.description().to_owned() })
}
