//! `isobath adapters`: the GPUs that a model can run on.

use std::io::{self, Write};

use isobath::gpu::AdapterSummary;

use super::session;

/// Lists the adapters on stdout.
pub fn adapters(json: bool) -> anyhow::Result<u8> {
    let found = session::adapters();
    let mut out = io::stdout().lock();
    if json {
        for adapter in &found {
            writeln!(out, "{}", serde_json::to_string(adapter)?)?;
        }
    } else {
        write!(out, "{}", table(&found))?;
    }
    Ok(super::failure::DONE)
}

fn table(adapters: &[AdapterSummary]) -> String {
    let width = adapters.iter().map(|adapter| adapter.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for adapter in adapters {
        let AdapterSummary { index, name, kind, backend, driver, .. } = adapter;
        text.push_str(format!("{index}  {name:<width$}  {kind:<10}  {backend:<6}  {driver}").trim_end());
        text.push_str(&format!(
            "\n     binds at most {} MiB, allocates at most {} MiB at once; {}\n",
            adapter.max_binding_bytes >> 20,
            adapter.max_buffer_bytes >> 20,
            if adapter.features.is_empty() { "no optional features".to_owned() } else { adapter.features.join(", ") },
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_adapter_has_its_index_and_limits() {
        let adapter = |index, name: &str, features: &[&str]| AdapterSummary {
            index,
            name: name.into(),
            kind: "software",
            backend: "vulkan".into(),
            driver: String::new(),
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            max_buffer_bytes: 1 << 30,
            max_binding_bytes: 128 << 20,
            traits: isobath::gpu::Traits::default(),
        };
        let text = table(&[adapter(0, "llvmpipe", &["timestamps", "subgroups"]), adapter(1, "a longer name", &[])]);
        assert_eq!(
            text,
            "0  llvmpipe       software    vulkan\n     binds at most 128 MiB, allocates at most 1024 MiB at once; timestamps, subgroups\n\
             1  a longer name  software    vulkan\n     binds at most 128 MiB, allocates at most 1024 MiB at once; no optional features\n"
        );
    }
}
