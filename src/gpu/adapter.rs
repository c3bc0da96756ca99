//! Which adapters there are, and which one is taken.
//!
//! **Invariant:** the choice is a pure function of the list and the wish, so it is tested without a GPU.

use super::traits::{Kind, Traits};
use crate::error::GpuError;

/// What a user wants to know of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AdapterSummary {
    /// Place in the list; `--adapter` takes it.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// `Vulkan`, `Metal`, `Dx12` or `BrowserWebGpu`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Optional features that Isobath can use.
    pub features: Vec<String>,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that a kernel can see, in bytes.
    pub max_binding_bytes: u64,
    /// What it is good at.
    #[serde(skip)]
    pub traits: Traits,
}

impl AdapterSummary {
    pub(super) fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let optional = [
            (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
            (wgpu::Features::SHADER_F16, "f16"),
            (wgpu::Features::SUBGROUP, "subgroups"),
        ];
        let features = adapter.features();
        let traits = Traits::of(&info, features, &limits, processors());
        // Browsers keep it to themselves.
        let name = if info.name.is_empty() { "the browser's adapter".to_owned() } else { info.name };
        Self {
            index,
            name,
            kind: traits.kind.name(),
            backend: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            features: optional.iter().filter(|(f, _)| features.contains(*f)).map(|(_, n)| (*n).to_owned()).collect(),
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            traits,
        }
    }
}

/// Discrete before integrated before the rest before software.
fn rank(kind: &str) -> usize {
    Kind::ALL.iter().position(|one| one.name() == kind).unwrap_or(Kind::ALL.len())
}

/// Processors of this machine.
pub(super) fn processors() -> u32 {
    std::thread::available_parallelism().map_or(4, |processors| processors.get() as u32)
}

/// Chooses an adapter: by index, by a part of its name (case does not matter), or the best. Returns its place in
/// `list` and why it was taken.
pub fn choose(list: &[AdapterSummary], wish: Option<&str>) -> Result<(usize, String), GpuError> {
    if list.is_empty() {
        return Err(GpuError::NoAdapter);
    }
    let Some(wish) = wish else {
        let best = list.iter().enumerate().min_by_key(|(place, a)| (rank(a.kind), *place));
        let (place, adapter) = best.ok_or(GpuError::NoAdapter)?;
        let why = match (list.len(), adapter.kind) {
            (1, _) => "the only adapter".to_owned(),
            (_, kind) => format!("first {kind} adapter of {}", list.len()),
        };
        return Ok((place, why));
    };
    let by_index = wish.parse().ok().and_then(|index: usize| list.iter().position(|a| a.index == index));
    let wanted = wish.to_lowercase();
    let by_name = || list.iter().position(|a| a.name.to_lowercase().contains(&wanted));
    match by_index.or_else(by_name) {
        Some(place) => Ok((place, format!("asked for as `{wish}`"))),
        None => {
            let found: Vec<_> = list.iter().map(|a| format!("{} `{}`", a.index, a.name)).collect();
            Err(GpuError::NoSuchAdapter { wanted: wish.to_owned(), found: found.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &'static str)]) -> Vec<AdapterSummary> {
        let make = |(index, &(name, kind)): (usize, &(&str, &'static str))| AdapterSummary {
            index,
            name: name.to_owned(),
            kind,
            backend: "Vulkan".into(),
            driver: String::new(),
            features: vec![],
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            traits: Traits::default(),
        };
        entries.iter().enumerate().map(make).collect()
    }

    #[test]
    fn discrete_before_integrated_before_software() {
        let all = list(&[("llvmpipe", "software"), ("Iris", "integrated"), ("RTX", "discrete")]);
        assert_eq!(choose(&all, None).unwrap().0, 2);
        assert_eq!(choose(&all[..2], None).unwrap().0, 1);
        assert_eq!(choose(&all[..1], None).unwrap(), (0, "the only adapter".to_owned()));
    }

    #[test]
    fn by_index_or_part_of_the_name() {
        let all = list(&[("llvmpipe", "software"), ("NVIDIA RTX 4070", "discrete")]);
        assert_eq!(choose(&all, Some("0")).unwrap().0, 0);
        assert_eq!(choose(&all, Some("rtx")).unwrap().0, 1);
        let message = choose(&all, Some("radeon")).unwrap_err().to_string();
        assert!(message.contains("radeon") && message.contains("llvmpipe"), "{message}");
        assert!(matches!(choose(&[], None), Err(GpuError::NoAdapter)));
    }
}
