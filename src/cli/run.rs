//! `rouse run`: the helper.

use std::path::Path;
use std::process::ExitCode;

use super::{EX_CONFIG, runtime};
use crate::helper::{self, End};
use crate::{journal, limits, systemd};

/// Takes the sockets, then starts the runtime: listenfd edits the environment, which only a single thread may.
pub fn run(config: Option<&Path>) -> ExitCode {
    journal::open();
    limits::raise();
    let sockets = match systemd::take_sockets() {
        Ok(sockets) => sockets,
        Err(unusable) => {
            tracing::error!(target: "rouse", "{unusable}");
            return EX_CONFIG.into();
        }
    };
    match runtime::block_on(helper::run(sockets, config)).and_then(|ended| ended) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Refused) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(target: "rouse", "cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}
