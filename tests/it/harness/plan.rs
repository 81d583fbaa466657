//! What a host is set up with.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use super::docker::engine_socket;
use super::host::Host;
use super::listener::{Kind, Listener, nth};
use super::record::Record;
use super::spawn::raise_limits;
use super::unit::{Unit, hear_notes, supervise};

/// What a host is set up with; `boot` and `listen` make it one.
pub struct Plan {
    dir: TempDir,
    state: PathBuf,
    config: String,
    listeners: Vec<Listener>,
    names: Option<String>,
    env: Vec<(String, String)>,
    open_files: Option<usize>,
    restart: bool,
    arguments: Vec<String>,
}

impl Plan {
    /// A host whose configuration is `config` after a `[helper]` table of two lines that names the suite's engine.
    pub fn new(config: &str) -> Plan {
        Plan::with_engine(&engine_socket(), config)
    }

    /// The same with another engine, or something before it.
    pub fn with_engine(engine: &Path, config: &str) -> Plan {
        Plan::raw(&format!("[helper]\nengine = \"unix://{}\"\n{config}", engine.display()))
    }

    /// A host whose configuration file holds `config` and nothing else.
    pub fn raw(config: &str) -> Plan {
        raise_limits();
        let dir = tempfile::Builder::new().prefix("rouse-it-").tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        Plan {
            state,
            dir,
            config: config.to_owned(),
            listeners: Vec::new(),
            names: None,
            env: Vec::new(),
            open_files: None,
            restart: true,
            arguments: vec!["run".to_owned()],
        }
    }

    pub fn socket(mut self, name: &str, kind: Kind) -> Plan {
        let number = self.listeners.len();
        self.listeners.push(Listener::open(kind, name, self.dir.path(), number));
        self
    }

    /// The control socket of a sidecar, in a folder that hosts may share as they share /run/rouse.
    pub fn control(mut self, folder: &Path, sidecar: &str) -> Plan {
        self.listeners.push(Listener::control(folder, sidecar));
        self
    }

    /// A descriptor that is no listening stream socket.
    pub fn other(mut self, name: &str, fd: impl Into<OwnedFd>) -> Plan {
        self.listeners.push(Listener::other(name, fd.into()));
        self
    }

    /// LISTEN_FDNAMES, where it is not simply the names in order.
    pub fn names(mut self, names: &str) -> Plan {
        self.names = Some(names.to_owned());
        self
    }

    /// Adds to the configuration what depends on the sockets' ports.
    pub fn config(mut self, config: &str) -> Plan {
        self.config.push_str(config);
        self
    }

    pub fn listener(&self, name: &str, number: usize) -> &Listener {
        nth(&self.listeners, name, number)
    }

    pub fn env(mut self, name: &str, value: &str) -> Plan {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn state(mut self, state: &Path) -> Plan {
        self.state = state.to_owned();
        self
    }

    /// RLIMIT_NOFILE of the helper.
    pub fn open_files(mut self, limit: usize) -> Plan {
        self.open_files = Some(limit);
        self
    }

    /// Another command of rouse than `run`.
    pub fn command(mut self, arguments: &[&str]) -> Plan {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Restart=no instead of on-failure.
    pub fn no_restart(mut self) -> Plan {
        self.restart = false;
        self
    }

    /// The host, with its first helper started although nobody has connected.
    pub fn boot(self) -> Host {
        let host = self.listen();
        host.start();
        host
    }

    /// The host, waiting for the first client.
    pub fn listen(self) -> Host {
        let config_path = self.dir.path().join("rouse.toml");
        std::fs::write(&config_path, &self.config).unwrap();
        let record = Arc::new(Record::new());
        let notify = self.dir.path().join("notify");
        hear_notes(UnixDatagram::bind(&notify).unwrap(), Arc::clone(&record));
        let names =
            self.listeners.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(":");
        let mut env = vec![
            ("LISTEN_FDS".to_owned(), self.listeners.len().to_string()),
            ("LISTEN_FDNAMES".to_owned(), self.names.unwrap_or(names)),
            ("NOTIFY_SOCKET".to_owned(), notify.display().to_string()),
            ("STATE_DIRECTORY".to_owned(), self.state.display().to_string()),
        ];
        env.extend(self.env);
        let unit = Unit {
            env,
            config: config_path.clone(),
            open_files: self.open_files,
            restart: self.restart,
            arguments: self.arguments,
        };
        let listeners = Arc::new(self.listeners);
        let supervisor = {
            let (record, listeners) = (Arc::clone(&record), Arc::clone(&listeners));
            thread::spawn(move || supervise(&unit, &listeners, &record))
        };
        Host {
            dir: self.dir,
            state: self.state,
            config_path,
            listeners,
            record,
            supervisor: Some(supervisor),
        }
    }
}
