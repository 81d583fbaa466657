//! `rouse is-running`: whether the container of a sidecar runs or is frozen, by the exit code.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use super::call::{block_on, refused, rejected, socket};
use super::{UNKNOWN, tell};
use crate::calls::{Refusal, RefusalKind};
use crate::config::{self, Config};
use crate::control::client;
use crate::engine::{Engines, Error};
use crate::name::Name;
use crate::places;
use crate::survey;

/// Asleep, as the LSB has it for services that do not run.
const ASLEEP: u8 = 3;

/// Says it.
pub fn run(config: Option<&Path>, name: &Name) -> ExitCode {
    let config = Config::read(config);
    let (known, _) = survey::names(&config, &places::states(), &places::sockets());
    let settings = config.sidecar(name);
    // A configuration that cannot be read may have a table for it.
    if settings.is_ok() && !known.contains(name) {
        tell(format_args!(
            "{name}: no such sidecar: it has no table in the configuration and no control socket"
        ));
        tell(format_args!("{} shows all that are known", places::rouse("status")));
        return ExitCode::from(UNKNOWN);
    }
    let asked = block_on(async {
        match settings {
            Ok(settings) => ask(&settings).await,
            Err(errors) => Err(rejected(&errors)),
        }
    });
    match asked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(ASLEEP),
        Err(refusal) => refused(name, &refusal),
    }
}

/// Asks the engine; where this user may not, the sidecar's helper.
async fn ask(settings: &config::Sidecar) -> Result<bool, Refusal> {
    let refused = match Engines::default().at(settings.engine.as_deref()).inspect(&settings.container).await {
        Ok(container) => return Ok(container.is_up()),
        Err(Error::NoSuchContainer { .. }) => return Ok(false),
        Err(error) => error,
    };
    match client::show(&socket(&settings.name), &settings.name).await {
        Ok(shown) if !shown.is_in_doubt() => Ok(shown.running),
        _ => Err(Refusal::new(RefusalKind::Failed, refused.to_string(), hint(&refused))),
    }
}

fn hint(refused: &Error) -> String {
    match refused {
        Error::Unreachable { cause, .. } if cause.kind() == ErrorKind::PermissionDenied => {
            "or be a member of group rouse, who may ask its helper".into()
        }
        _ => format!("{} looks at the engine too", places::rouse("check")),
    }
}
