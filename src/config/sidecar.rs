//! The settings of one sidecar, and the defaults of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::Name;
use crate::proxy_protocol::ProxyProtocol;
use crate::socket::Address;

/// Everything the configuration says about one sidecar, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// What its sockets and its table are called.
    pub name: Name,
    /// The engine's unix socket; `None`: Docker's, else Podman's.
    pub engine: Option<PathBuf>,
    /// The container to wake.
    pub container: String,
    /// The port to dial in the container.
    pub port: Port,
    /// Which of the container's networks to dial; `None`: the first by name that has an address.
    pub network: Option<String>,
    /// What to dial instead of the container's own address.
    pub address: Option<Address>,
    /// How to tell that it answers.
    pub ready: Ready,
    /// How long clients wait for it to be ready.
    pub wake_timeout: Duration,
    /// What becomes of the clients when that time has passed.
    pub when_late: WhenLate,
    /// How long it stays awake unused; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// What counts as use of an open connection.
    pub idle: Idle,
    /// How long an owed answer keeps it awake.
    pub reply_timeout: Duration,
    /// The grace a stopping container has before the engine kills it.
    pub stop_timeout: Duration,
    /// The connections served at once; the rest wait in the kernel's queue.
    pub max_connections: usize,
    /// The clients accepted while it wakes; the rest wait in the kernel's queue.
    pub max_waiting: usize,
    /// The header by which the container learns who its clients are; `None`: it learns rouse's address.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The port to dial in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// The one the client connected to.
    Connected,
    /// This one, whichever the client connected to.
    One(u16),
    /// From the port the client connected to, to the port in the container.
    Map(BTreeMap<u16, u16>),
}

/// How to tell that a sidecar answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It accepts a connection.
    Tcp,
    /// It answers a request for this path, whatever the status; the path begins with '/'.
    Http(String),
    /// It answers a request for this path with a 2xx or 3xx status; the path begins with '/'.
    HttpOk(String),
    /// The engine calls it healthy.
    Healthy,
}

/// What becomes of waiting clients when `wake_timeout` has passed after the start was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLate {
    /// Warn, and dial once for each.
    Proceed,
    /// Reset them.
    Refuse,
}

/// What counts as use of an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The bytes on it.
    Traffic,
    /// That it is open.
    Connections,
}

/// The settings of a sidecar that has no name yet: what `[helper]` and `[defaults]` fill in once for all.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub engine: Option<PathBuf>,
    pub container: Option<String>,
    pub port: Port,
    pub network: Option<String>,
    pub address: Option<Address>,
    pub ready: Ready,
    pub wake_timeout: Duration,
    pub when_late: WhenLate,
    pub idle_timeout: Option<Duration>,
    pub idle: Idle,
    pub reply_timeout: Duration,
    pub stop_timeout: Duration,
    pub max_connections: usize,
    pub max_waiting: usize,
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Default for Template {
    fn default() -> Template {
        Template {
            engine: None,
            container: None,
            port: Port::Connected,
            network: None,
            address: None,
            ready: Ready::Tcp,
            wake_timeout: Duration::from_secs(30),
            when_late: WhenLate::Proceed,
            idle_timeout: Some(Duration::from_secs(5 * 60)),
            idle: Idle::Traffic,
            reply_timeout: Duration::from_secs(60 * 60),
            stop_timeout: Duration::from_secs(10),
            max_connections: 4096,
            max_waiting: 1024,
            proxy_protocol: None,
        }
    }
}

impl Template {
    /// The container of the sidecar `name`: its own name unless another is set.
    pub(super) fn container<'a>(&'a self, name: &'a Name) -> &'a str {
        self.container.as_deref().unwrap_or(name.as_str())
    }

    /// The settings of the sidecar `name`.
    pub(super) fn named(self, name: Name) -> Sidecar {
        Sidecar {
            container: self.container.unwrap_or_else(|| name.to_string()),
            name,
            engine: self.engine,
            port: self.port,
            network: self.network,
            address: self.address,
            ready: self.ready,
            wake_timeout: self.wake_timeout,
            when_late: self.when_late,
            idle_timeout: self.idle_timeout,
            idle: self.idle,
            reply_timeout: self.reply_timeout,
            stop_timeout: self.stop_timeout,
            max_connections: self.max_connections,
            max_waiting: self.max_waiting,
            proxy_protocol: self.proxy_protocol,
        }
    }
}
