//! Who runs the next round, who enters and who leaves.

pub mod bucket;
pub mod cosine;
pub mod enter;
pub mod finish;
pub mod head_statistic;
pub mod leave;
pub mod own_logits;
pub mod scorer;
pub mod select_top_k;
pub mod settled;
pub mod sift;
pub mod slice;
pub mod verdict;
