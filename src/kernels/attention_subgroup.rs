//! [`attention`](super::attention) for software adapters with subgroups: no workgroup memory, a row per workgroup.
//!
//! Shader: `shaders/attention_subgroup.wgsl`. Arguments, twin and test are those of `attention`.

pub use super::attention::cpu;
use super::attention::{Attention, Params};
use crate::gpu::{Binding, Kernel, Source};

/// The tile is not looked at: a workgroup takes one row and all query heads of a KV head.
#[derive(Debug)]
pub struct AttentionSubgroup<'a> {
    /// What is attended to.
    pub attention: Attention<'a>,
}

impl Kernel for AttentionSubgroup<'_> {
    const NAME: &'static str = "attention_subgroup";
    type Params = Params;

    fn source(&self) -> Source {
        let Params { heads, kv_heads, head_dim, .. } = self.attention.params;
        let text = include_str!("../../shaders/attention_subgroup.wgsl");
        Source {
            parts: vec![text, super::ENTRIES, super::KV, super::REDUCE_SUBGROUP],
            constants: vec![("HEAD4", head_dim.div_ceil(4)), ("GROUP", heads / kv_heads)],
        }
    }

    fn params(&self) -> Params {
        self.attention.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        self.attention.bindings()
    }

    fn grid(&self) -> [u32; 3] {
        let Attention { longest, params, n_rows, .. } = self.attention;
        [n_rows, params.kv_heads, longest.div_ceil(super::STRETCH)]
    }
}
