//! Who runs the next round, who enters and who leaves.

pub mod bucket;
pub mod cosine;
pub mod enter;
pub mod finish;
pub mod leave;
pub mod scorer;
pub mod select_top_k;
pub mod slice;
pub mod top_two_gap;
