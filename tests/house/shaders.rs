//! Every WGSL text that can reach a GPU is valid with core WebGPU alone, and its parameters lie where Rust puts them.

use isobath::kernels::variants::{Variant, all, with_subgroups};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// What core WebGPU promises: `unpack2x16float` and nothing else beyond naga's baseline.
const CORE: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

fn validate(text: &str, capabilities: Capabilities) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    Ok(module)
}

/// Fields of the shader's `struct Params` with their offsets.
fn fields_of(module: &naga::Module) -> Vec<(String, usize)> {
    let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    match params.map(|(_, ty)| &ty.inner) {
        Some(naga::TypeInner::Struct { members, .. }) => {
            members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize)).collect()
        }
        _ => vec![],
    }
}

/// What is wrong with a variant, if anything.
fn problem(variant: &Variant, capabilities: Capabilities) -> Option<String> {
    let text = variant.source.text();
    let module = match validate(&text, capabilities) {
        Ok(module) => module,
        Err(why) => return Some(why),
    };
    let found = fields_of(&module);
    let same = found.iter().map(|(name, offset)| (name.as_str(), *offset)).eq(variant.fields.iter().copied());
    if !same {
        return Some(format!("Params differ: shader {found:?}, Rust {:?}", variant.fields));
    }
    let storage = module.global_variables.iter().filter(|(_, v)| matches!(v.space, naga::AddressSpace::Storage { .. }));
    if storage.count() > 8 {
        return Some("more than 8 storage buffers".into());
    }
    let mut layouter = naga::proc::Layouter::default();
    if let Err(error) = layouter.update(module.to_ctx()) {
        return Some(error.to_string());
    }
    let workgroup = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
    let bytes: u32 = workgroup.map(|(_, v)| layouter[v.ty].size).sum();
    let [entry] = module.entry_points.as_slice() else {
        return Some("not exactly one entry point".into());
    };
    let threads: u32 = entry.workgroup_size.iter().product();
    (bytes > 16_384 || threads > 256 || entry.name != variant.kernel)
        .then(|| format!("entry `{}`, {bytes} bytes of workgroup memory, {threads} threads", entry.name))
}

#[test]
fn every_variant_is_core_webgpu() {
    let variants = all();
    assert!(variants.len() > 80, "only {} variants", variants.len());
    for variant in &variants {
        if let Some(why) = problem(variant, CORE) {
            panic!("{} {:?}: {why}", variant.kernel, variant.source.constants);
        }
    }
}

#[test]
fn subgroups_are_all_that_other_variants_ask_for() {
    let variants = with_subgroups();
    assert!(!variants.is_empty());
    for variant in &variants {
        let text = variant.source.text();
        assert!(validate(&text, CORE).is_err(), "{} needs no subgroups", variant.kernel);
        if let Some(why) = problem(variant, CORE | Capabilities::SUBGROUP) {
            panic!("{} {:?}: {why}", variant.kernel, variant.source.constants);
        }
    }
}

#[test]
fn the_checks_can_fail() {
    let mut variant = all().into_iter().find(|variant| variant.kernel == "swiglu").expect("swiglu");
    variant.fields = &[("width", 4)];
    assert!(problem(&variant, CORE).is_some_and(|why| why.contains("Params differ")));
    variant.source.parts.push("enable f16; fn half() -> f16 { return 1.0h; }");
    assert!(problem(&variant, CORE).is_some());
}
