//! Queries, keys and values: norms of heads, rotary embedding and filing, attention to the paged cache.

pub mod attention_merge;
pub mod attention_stretch;
pub mod attention_subgroup;
pub mod head_norm;
pub mod rope;
