//! Deeper layers put off: which tokens the first layers tell, whose rows then wait for the others.

pub mod agree;
pub mod commit;
pub mod line_up;
pub mod sureness;
