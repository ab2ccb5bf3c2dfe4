//! What treadle knows about libraries, as data.

pub mod claim;
pub mod types;
