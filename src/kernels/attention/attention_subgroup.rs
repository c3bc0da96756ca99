//! [`attention`](crate::kernels::attention::attention_stretch) by a subgroup: no workgroup memory, a row per workgroup.
//!
//! Shader: `shaders/attention/attention_subgroup.wgsl`. Arguments, twin and test are those of `attention`.

use crate::gpu::{Binding, Kernel, Source, Traits};
use crate::kernels::attention::attention_merge::gathers;
pub use crate::kernels::attention::attention_stretch::cpu;
use crate::kernels::attention::attention_stretch::{Attention, Params};
use crate::kernels::products::gather::{self, Inputs};
use crate::kernels::products::matvec_serial::MatvecSerial;
use crate::kernels::{NumericClass, by_subgroup};

/// The tile is not looked at: a workgroup takes one row and all query heads of a KV head.
#[derive(Debug)]
pub struct AttentionSubgroup<'a> {
    /// What is attended to.
    pub attention: Attention<'a>,
    /// Where the whole result goes if no row sees more than one stretch, so that there is nothing to join; heads are whole vectors.
    /// Its texture is there.
    pub whole: Option<&'a Inputs>,
}

impl AttentionSubgroup<'_> {
    /// Order of sums.
    pub const CLASS: NumericClass = NumericClass::Exact;

    /// Whether it is the faster one.
    pub fn fits(traits: &Traits) -> bool {
        by_subgroup(traits)
    }

    /// Whether it can leave the whole result, for heads of this width.
    pub fn joins(traits: &Traits, head_dim: u32, longest: u32) -> bool {
        MatvecSerial::fits(traits) && gathers(head_dim) && longest <= crate::kernels::STRETCH
    }
}

impl Kernel for AttentionSubgroup<'_> {
    const NAME: &'static str = "attention_subgroup";
    type Params = Params;

    fn source(&self) -> Source {
        let Params { heads, kv_heads, head_dim, .. } = self.attention.params;
        let text = include_str!("../../../shaders/attention/attention_subgroup.wgsl");
        let to = if self.whole.is_some() { crate::kernels::ATTENDED_WHOLE } else { crate::kernels::ATTENDED_STRETCH };
        let parts = vec![
            text,
            crate::kernels::ENTRIES,
            crate::kernels::KV,
            self.attention.held.text(),
            crate::kernels::REDUCE_SUBGROUP,
            to,
        ];
        let source = Source { parts, constants: vec![("HEAD4", head_dim.div_ceil(4)), ("GROUP", heads / kv_heads)] };
        match &self.whole {
            Some(whole) => gather::share(source, whole.gathered.as_ref(), 8),
            None => source,
        }
    }

    fn params(&self) -> Params {
        self.attention.params
    }

    fn bindings(&self) -> Vec<Binding<'_>> {
        let mut bindings = self.attention.bindings();
        if let Some(whole) = self.whole {
            bindings.pop();
            bindings.extend(whole.write());
        }
        bindings
    }

    fn grid(&self) -> [u32; 3] {
        let Attention { longest, params, n_rows, .. } = self.attention;
        [n_rows, params.cache_heads, longest.div_ceil(crate::kernels::STRETCH)]
    }
}
