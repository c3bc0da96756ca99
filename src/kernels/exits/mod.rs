//! Who runs the next round, who enters and who leaves.

pub mod bucket;
pub mod enter;
pub mod finish;
pub mod gate;
pub mod leave;
pub mod select_top_k;
