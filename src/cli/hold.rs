//! `rouse hold`: wakes a sidecar and keeps it awake.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::call::{block_on, end, socket};
use super::progress;
use crate::calls::{Refusal, RefusalKind};
use crate::control::client;
use crate::name::Name;
use crate::places;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecar
    name: Name,
    /// Return when it is ready, and keep it awake for so long: "90s", "1h30m"
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    r#for: Option<Duration>,
}

/// Holds it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { name, r#for } = arguments;
    match r#for {
        Some(lasting) => end(name, block_on(keep(name, *lasting))),
        None => end(name, block_on(hold(name))),
    }
}

/// The hold outlives this process, and the helper's next restart.
async fn keep(name: &Name, lasting: Duration) -> Result<(), Refusal> {
    let lasting = humantime::format_duration(lasting).to_string().replace(' ', "");
    let (socket, call) = (socket(name), format!("hold?for={lasting}"));
    progress::shown(name, client::call(&socket, name, &call)).await.map(drop)
}

async fn hold(name: &Name) -> Result<(), Refusal> {
    // Heard from the beginning: an interrupt while it wakes gives up the wish.
    let (mut interrupt, mut terminate) = (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
    let socket = socket(name);
    let held = async {
        let mut hold = progress::shown(name, client::hold(&socket, name, None)).await?;
        // Whoever has closed stderr still wants the hold.
        let _ = writeln!(io::stderr(), "{name} is awake, and stays so until this is interrupted");
        loop {
            hold.ended().await;
            // A helper that is restarted leaves its container up, and the hold is asked of the next one.
            if !client::show(&socket, name).await?.running {
                break;
            }
            hold = client::hold(&socket, name, None).await?;
        }
        let hint = format!("{} tells why", places::journalctl(name));
        Err(Refusal::new(RefusalKind::Failed, "the hold has ended: its container is not up any more", hint))
    };
    tokio::select! {
        ended = held => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn heard(kind: SignalKind) -> Result<Signal, Refusal> {
    let failed =
        |error| Refusal::new(RefusalKind::Failed, format!("signals cannot be heard: {error}"), "try again");
    signal(kind).map_err(failed)
}
