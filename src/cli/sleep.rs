//! `rouse sleep`: puts a sidecar to sleep.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::call::{block_on, end, rejected, socket};
use crate::calls::{Refusal, RefusalKind};
use crate::config::Config;
use crate::control::client;
use crate::engine::{Engines, Error};
use crate::name::Name;
use crate::places;
use crate::state::StateFile;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecar
    name: Name,
    /// Also while it is in use or held; its connections end with the container
    #[arg(long)]
    force: bool,
}

/// Puts it to sleep.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let Arguments { name, force } = arguments;
    end(
        name,
        block_on(async {
            let call = if *force { "sleep?force=true" } else { "sleep" };
            match client::call(&socket(name), name, call).await {
                // Nobody holds a socket for it, so no helper can come: the engine is asked here.
                Err(refusal) if refusal.kind == RefusalKind::NoSuchSidecar => {
                    stop(config, name, refusal).await
                }
                asked => asked.map(drop),
            }
        }),
    )
}

/// Stops the container of a sidecar that is turned off. Nobody can be connected to it through a helper: the lock says that none
/// lives.
async fn stop(config: Option<&Path>, name: &Name, off: Refusal) -> Result<(), Refusal> {
    let config = Config::read(config);
    if !config.names().any(|other| other == name) {
        return Err(off);
    }
    let settings = config.sidecar(name).map_err(|errors| rejected(&errors))?;
    let _lock = StateFile::open(&places::states(), name).map_err(|taken| {
        Refusal::new(
            RefusalKind::InUse,
            taken.to_string(),
            format!("{} status shows which", places::systemctl()),
        )
    })?;
    let engine = Engines::default().at(settings.engine.as_deref());
    let asked = async {
        let container = engine.inspect(&settings.container).await?;
        if container.is_paused() {
            engine.unpause(&container.id).await?;
        }
        if container.is_up() { engine.stop(&container.id, settings.stop_timeout).await } else { Ok(()) }
    };
    asked.await.map_err(|error: Error| {
        Refusal::new(
            RefusalKind::Failed,
            error.to_string(),
            format!("{} looks at the engine too", places::rouse("check")),
        )
    })
}
