// Which entries a layer has of those that a row sees, where every token leaves one: all. For `attention` and `attention_subgroup`.
fn holds(info: vec4<u32>, entry: u32) -> bool {
    return true;
}
