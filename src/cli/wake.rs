//! `rouse wake`: wakes a sidecar and waits until it is ready.

use std::process::ExitCode;

use super::call::{block_on, end, socket};
use super::progress;
use crate::control::client::call;
use crate::name::Name;

/// Wakes it.
pub fn run(name: &Name) -> ExitCode {
    let socket = socket(name);
    end(name, block_on(progress::shown(name, async { call(&socket, name, "wake").await.map(drop) })))
}
