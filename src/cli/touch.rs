//! `rouse touch`: counts as use of a sidecar, and wakes nothing.

use std::process::ExitCode;

use super::call::{block_on, end, socket};
use crate::control::client::call;
use crate::name::Name;

/// Says that it is used.
pub fn run(name: &Name) -> ExitCode {
    end(name, block_on(async { call(&socket(name), name, "touch").await.map(drop) }))
}
