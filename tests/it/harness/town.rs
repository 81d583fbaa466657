//! Hosts that share what all helpers of one machine share: the configuration, the state directory, the control sockets.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::control::Control;
use super::docker::engine_socket;
use super::host::Host;
use super::listener::Kind;
use super::plan::Plan;

/// Where several helpers live; drop it after their hosts.
pub struct Town {
    dir: TempDir,
    config: String,
}

impl Town {
    /// A town with this configuration, and nobody in it yet.
    pub fn new(config: &str) -> Town {
        let dir = tempfile::Builder::new().prefix("rouse-it-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        std::fs::create_dir(dir.path().join("control")).unwrap();
        Town { dir, config: config.to_owned() }
    }

    /// One helper for all of `sidecars`, each with a socket and a control socket.
    pub fn plan(&self, sidecars: &[&str]) -> Plan {
        self.plan_with_engine(&engine_socket(), sidecars)
    }

    /// The same with something before the engine.
    pub fn plan_with_engine(&self, engine: &Path, sidecars: &[&str]) -> Plan {
        let plan = Plan::with_engine(engine, &self.config).state(&self.state());
        let control = self.control_folder();
        sidecars.iter().fold(plan, |plan, name| plan.socket(name, Kind::Tcp4).control(&control, name))
    }

    /// All of `sidecars`: in one helper, or each in its own.
    pub fn settle(&self, apart: bool, sidecars: &[&str]) -> Vec<Host> {
        let plans = match apart {
            true => sidecars.iter().map(|name| self.plan(&[name])).collect(),
            false => vec![self.plan(sidecars)],
        };
        plans.into_iter().map(Plan::listen).collect()
    }

    /// The command `rouse …`, as somebody in this town runs it.
    pub fn rouse(&self, words: &[&str]) -> Command {
        self.rouse_with_engine(&engine_socket(), words)
    }

    /// The same with something before the engine.
    pub fn rouse_with_engine(&self, engine: &Path, words: &[&str]) -> Command {
        let config = self.dir.path().join("rouse.toml");
        std::fs::write(
            &config,
            format!("[helper]\nengine = \"unix://{}\"\n{}", engine.display(), self.config),
        )
        .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
        command.args(words).arg("--config").arg(config);
        command.env("ROUSE_RUNTIME_DIRECTORY", self.control_folder());
        command.env("ROUSE_STATE_DIRECTORY", self.state());
        command
    }

    /// Where the state files are.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Where the control sockets are.
    pub fn control_folder(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    pub fn control(&self, sidecar: &str) -> Control {
        Control::new(&self.control_folder(), sidecar)
    }
}

/// The one of `hosts` that has `sidecar`.
pub fn home<'a>(hosts: &'a [Host], sidecar: &str) -> &'a Host {
    hosts.iter().find(|host| host.listeners.iter().any(|listener| listener.name == sidecar)).unwrap()
}
