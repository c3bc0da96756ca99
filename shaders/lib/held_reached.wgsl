// Which entries a layer has of those that a row sees, where tokens that leave early leave none: those of tokens that ran it. For
// `attention` and `attention_subgroup`: it needs their bindings.
fn holds(info: vec4<u32>, entry: u32) -> bool {
    return reach[info.x * params.context + entry] >= params.reached;
}
