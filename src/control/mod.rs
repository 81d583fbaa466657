//! The control socket of a helper.

pub mod server; // answers its callers
