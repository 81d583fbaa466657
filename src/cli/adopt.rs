//! `rouse adopt`: starts the helpers of containers that run without one.
//!
//! systemd starts a helper for whoever calls its control socket, and a helper adopts what it finds running.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::call::socket;
use super::{runtime, tell};
use crate::config::{Config, Sidecar};
use crate::control::client;
use crate::engine::{Docker, Engines};
use crate::places;
use crate::survey::Survey;
use crate::terminal::harmless;

/// For each engine and for each helper; an engine that is started for this call needs some of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls the helpers. Only what has a control socket and no helper is looked at: an engine is asked while a sidecar of it sleeps.
pub fn run(config: Option<&Path>) -> ExitCode {
    let survey = Survey::of(&Config::read(config), &places::states(), &places::sockets());
    let mut troubles = survey.troubles;
    let unattended = survey.sidecars.into_iter().filter(|known| known.enabled && known.helper.is_none());
    let engines = Engines::default();
    let mut sidecars: BTreeMap<PathBuf, Vec<Sidecar>> = BTreeMap::new();
    for settings in unattended.filter_map(|known| known.settings.ok()) {
        let engine = engines.at(settings.engine.as_deref());
        sidecars.entry(engine.socket().to_owned()).or_default().push(settings);
    }
    let asked = runtime::block_on(async {
        let mut asked = JoinSet::new();
        for (socket, sidecars) in sidecars {
            asked.spawn_local(adopt(engines.at(Some(&socket)), sidecars));
        }
        asked.join_all().await
    });
    match asked {
        Ok(asked) => troubles.extend(asked.into_iter().flatten()),
        Err(error) => troubles.push(format!("cannot start: {error}")),
    }
    troubles.iter().for_each(|trouble| tell(harmless(trouble)));
    match troubles.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Calls the helpers of those whose containers are up, all at once, and gives back what went wrong.
async fn adopt(engine: Rc<Docker>, sidecars: Vec<Sidecar>) -> Vec<String> {
    let up = match timeout(PATIENCE, engine.running()).await {
        Ok(Ok(up)) => up,
        Ok(Err(error)) => return vec![error.to_string()],
        Err(_) => return vec![late(format_args!("the engine at {}", engine.socket().display()))],
    };
    let mut called = JoinSet::new();
    for sidecar in sidecars.into_iter().filter(|sidecar| up.iter().any(|up| up.is_called(&sidecar.container)))
    {
        called.spawn_local(call(sidecar));
    }
    called.join_all().await.into_iter().flatten().collect()
}

/// Calls the helper of one, which looks at its container before it answers.
async fn call(Sidecar { name, container, .. }: Sidecar) -> Option<String> {
    match timeout(PATIENCE, client::show(&socket(&name), &name)).await {
        Ok(Ok(shown)) if shown.running => {
            // Whoever has closed stdout does not want to know.
            let _ = writeln!(
                io::stdout(),
                "{name}: container {container} was up without a helper, and has one now"
            );
            None
        }
        // It has ended in between, or the helper could not ask and says so itself.
        Ok(Ok(_)) => None,
        Ok(Err(refusal)) => Some(format!("{name}: {}: {}", refusal.error, refusal.hint)),
        Err(_) => Some(late(format_args!("{name}: its helper"))),
    }
}

fn late(who: fmt::Arguments) -> String {
    format!("{who} has not answered within {}", humantime::format_duration(PATIENCE))
}
