//! [`attention`](crate::kernels::attention::attention_stretch) for software adapters with subgroups: no workgroup memory, a row per workgroup.
//!
//! Shader: `shaders/attention/attention_subgroup.wgsl`. Arguments, twin and test are those of `attention`.

use crate::gpu::{Binding, Buffer, Kernel, Source, Texture};
pub use crate::kernels::attention::attention_stretch::cpu;
use crate::kernels::attention::attention_stretch::{Attention, Params};
use crate::kernels::products::gather;

/// The tile is not looked at: a workgroup takes one row and all query heads of a KV head.
#[derive(Debug)]
pub struct AttentionSubgroup<'a> {
    /// What is attended to.
    pub attention: Attention<'a>,
    /// Where the whole result goes if no row sees more than one stretch, so that there is nothing to join; heads are whole vectors.
    pub whole: Option<Whole<'a>>,
}

/// Where [`attention_merge`](crate::kernels::attention::attention_merge) would leave its results.
#[derive(Debug)]
pub struct Whole<'a> {
    /// `[rows, output_stride]` vectors
    pub output: &'a Buffer,
    /// What a product reads, `[places, output_stride]` vectors.
    pub gathered: &'a Texture,
}

impl Kernel for AttentionSubgroup<'_> {
    const NAME: &'static str = "attention_subgroup";
    type Params = Params;

    fn source(&self) -> Source {
        let Params { heads, kv_heads, head_dim, .. } = self.attention.params;
        let text = include_str!("../../../shaders/attention/attention_subgroup.wgsl");
        let to = if self.whole.is_some() { crate::kernels::ATTENDED_WHOLE } else { crate::kernels::ATTENDED_STRETCH };
        let parts = vec![text, crate::kernels::ENTRIES, crate::kernels::KV, crate::kernels::REDUCE_SUBGROUP, to];
        let source = Source { parts, constants: vec![("HEAD4", head_dim.div_ceil(4)), ("GROUP", heads / kv_heads)] };
        match &self.whole {
            Some(whole) => gather::share(source, Some(whole.gathered), 8),
            None => source,
        }
    }

    fn params(&self) -> Params {
        self.attention.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = self.attention.bindings();
        if let Some(Whole { output, gathered }) = &self.whole {
            bindings.pop();
            bindings.extend([output.write(), gathered.write()]);
        }
        bindings
    }

    fn grid(&self) -> [u32; 3] {
        let Attention { longest, params, n_rows, .. } = self.attention;
        [n_rows, params.cache_heads, longest.div_ceil(crate::kernels::STRETCH)]
    }
}
