//! What the engines themselves say of the containers: all asked at once, for a short time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::super::runtime;
use crate::engine::{Container, Docker, Engines, Error};
use crate::name::Name;
use crate::survey::Known;

/// Nobody waits longer for a look.
const DEADLINE: Duration = Duration::from_secs(2);

/// What an engine says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It does not run.
    Stopped,
    /// There is none.
    Missing,
}

/// What each sidecar's engine said, or why it said nothing.
pub type Answers = BTreeMap<Name, Result<Said, String>>;

impl Said {
    /// As it stands in the table.
    pub fn name(self) -> &'static str {
        match self {
            Said::Running => "running",
            Said::Paused => "paused",
            Said::Stopped => "stopped",
            Said::Missing => "missing",
        }
    }
}

/// Asks the engines of all these sidecars for their containers.
pub fn ask(sidecars: &[Known]) -> Answers {
    runtime::block_on(ask_all(sidecars)).unwrap_or_else(|error| {
        sidecars.iter().map(|known| (known.name.clone(), Err(error.to_string()))).collect()
    })
}

async fn ask_all(sidecars: &[Known]) -> Answers {
    let until = Instant::now() + DEADLINE;
    let engines = Engines::default();
    let mut answers = Answers::new();
    let mut containers: BTreeMap<PathBuf, Vec<(Name, String)>> = BTreeMap::new();
    for Known { name, settings, .. } in sidecars {
        match settings {
            Ok(settings) => {
                let engine = engines.at(settings.engine.as_deref());
                let its = containers.entry(engine.socket().to_owned()).or_default();
                its.push((name.clone(), settings.container.clone()));
            }
            Err(_) => {
                let error = "its configuration does not tell which container it is";
                answers.insert(name.clone(), Err(error.into()));
            }
        }
    }
    let mut calls = JoinSet::new();
    for (socket, containers) in containers {
        calls.spawn_local(ask_one(engines.at(Some(&socket)), containers, until));
    }
    answers.extend(calls.join_all().await.into_iter().flatten());
    answers
}

async fn ask_one(
    engine: Rc<Docker>,
    containers: Vec<(Name, String)>,
    until: Instant,
) -> Vec<(Name, Result<Said, String>)> {
    // The version is agreed on once, not by each call; what is wrong here the calls tell too.
    let _ = timeout_at(until, engine.ping()).await;
    let mut calls = JoinSet::new();
    for (name, container) in containers {
        let engine = engine.clone();
        calls.spawn_local(async move {
            let late = || format!("the engine at {} has not answered in time", engine.socket().display());
            let said = timeout_at(until, inspect(&engine, &container)).await;
            (name, said.unwrap_or_else(|_| Err(late())))
        });
    }
    calls.join_all().await
}

async fn inspect(engine: &Docker, container: &str) -> Result<Said, String> {
    match engine.inspect(container).await {
        Ok(container) => Ok(said(&container)),
        Err(Error::NoSuchContainer { .. }) => Ok(Said::Missing),
        Err(error) => Err(error.to_string()),
    }
}

fn said(container: &Container) -> Said {
    match container.is_paused() {
        true => Said::Paused,
        // Between two tries of its restart policy the engine calls it running.
        false if container.is_running() || container.is_restarting() => Said::Running,
        false => Said::Stopped,
    }
}
