//! What a kernel is: a WGSL text joined from parts, one uniform block, buffers, and a grid.

use super::buffer::Binding;

/// The text of one variant of a kernel.
///
/// WGSL does not care about the order of declarations, so joining texts is the whole import system: the kernel
/// first (its line numbers survive), then the parts, then one `const NAME = VALUEu;` per constant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The kernel's file and the parts behind it.
    pub parts: Vec<&'static str>,
    /// Constants that the text leaves open.
    pub constants: Vec<(&'static str, u32)>,
}

impl Source {
    /// A kernel without parts or constants.
    pub fn plain(text: &'static str) -> Self {
        Self { parts: vec![text], constants: vec![] }
    }

    /// The whole WGSL text.
    pub fn text(&self) -> String {
        let mut text = self.parts.join("\n");
        for (name, value) in &self.constants {
            text.push_str(&format!("\nconst {name}: u32 = {value}u;"));
        }
        text
    }
}

/// Identity of a pipeline: parts are told apart by their address, which is enough for `include_str!` texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    pub name: &'static str,
    pub parts: Vec<usize>,
    pub constants: Vec<u32>,
}

impl PipelineKey {
    pub fn of(name: &'static str, source: &Source) -> Self {
        Self {
            name,
            parts: source.parts.iter().map(|part| part.as_ptr() as usize).collect(),
            constants: source.constants.iter().map(|&(_, value)| value).collect(),
        }
    }
}

/// A uniform block made by [`params!`](crate::params): `u32`, `i32` and `f32` fields only.
pub trait Params: bytemuck::Pod {
    /// Field names with their byte offsets, compared with the shader's `struct Params` by a test.
    const FIELDS: &'static [(&'static str, usize)];
}

/// One dispatch: a struct literal with its buffers and parameters.
pub trait Kernel {
    /// File name, entry point, debug label and profiler row.
    const NAME: &'static str;
    /// The uniform block decides so much that the kernel would be compiled anew at each use where values of a block are compiled
    /// in ([`Traits::bakes_blocks`](crate::gpu::Traits::bakes_blocks)).
    const BLOCK_DECIDES: bool = false;
    /// The uniform block at binding 0.
    type Params: Params;

    /// The text holds WGSL that somebody else wrote, so nothing is known of its loops and indices: it is always checked.
    fn foreign(&self) -> bool {
        false
    }

    /// The variant's text.
    fn source(&self) -> Source;
    /// The uniform block.
    fn params(&self) -> Self::Params;
    /// Buffers of bindings 1, 2, ...
    fn bindings(&self) -> Vec<Binding<'_>>;
    /// Number of workgroups, enough for all the work there may be.
    fn grid(&self) -> [u32; 3];
    /// Where workgroups along x take places in turns, `x, x + grid.x, ...`, while there are any, fewer can do the same: most
    /// passes through loops that one turn takes, all loops together (see [`Traits::max_loops`](crate::gpu::Traits::max_loops)).
    fn loops_per_turn(&self) -> Option<u32> {
        None
    }
}

/// Declares a uniform block: the `Pod` struct and the list of its fields.
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_meta])* pub $field: $kind),+ }

        impl $crate::gpu::kernel::Params for $name {
            const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field))),+];
        }
    };
}
