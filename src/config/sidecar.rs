//! The settings of one sidecar, and the defaults of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::pattern::Pattern;
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
    /// How long it stays unfrozen while unused, always less than `idle_timeout`; `None`: until it sleeps.
    pub pause_after: Option<Duration>,
    /// The share of one core, in percent, above which it counts as used; `None`: its CPU time tells nothing.
    pub busy_cpu: Option<u32>,
    /// The grace a stopping container has before the engine kills it.
    pub stop_timeout: Duration,
    /// The sidecars to wake first and to keep awake meanwhile; each has a table.
    pub requires: Vec<Name>,
    /// The group of which at most one is awake or paused at a time.
    pub exclusive: Option<Name>,
    /// The others in that group, as far as it is certain which containers they are.
    pub rivals: Vec<Rival>,
    /// What of a client wakes it.
    pub wake_on: WakeOn,
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
    /// A line of its log since this start matches.
    Log(Pattern),
}

/// What of a client wakes a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOn {
    /// That it connects.
    Connect,
    /// Its first byte: one that sends nothing wakes nothing.
    Data,
}

/// Another sidecar of the same exclusive group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// What its table is called.
    pub name: Name,
    /// Its engine's unix socket; `None`: Docker's, else Podman's.
    pub engine: Option<PathBuf>,
    /// Its container.
    pub container: String,
}

impl Sidecar {
    /// The same, staying up as long as `other` does: those settings may change while it is up.
    pub fn timed_like(self, other: &Sidecar) -> Sidecar {
        Sidecar {
            idle_timeout: other.idle_timeout,
            idle: other.idle,
            reply_timeout: other.reply_timeout,
            pause_after: other.pause_after,
            busy_cpu: other.busy_cpu,
            stop_timeout: other.stop_timeout,
            max_connections: other.max_connections,
            ..self
        }
    }
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
    pub pause_after: Option<Duration>,
    pub busy_cpu: Option<u32>,
    pub stop_timeout: Duration,
    /// Each with its place in the file, because only all tables together show what is wrong with it.
    pub requires: Vec<Spanned<Name>>,
    pub exclusive: Option<Name>,
    pub wake_on: WakeOn,
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
            pause_after: None,
            busy_cpu: Some(10),
            stop_timeout: Duration::from_secs(10),
            requires: Vec::new(),
            exclusive: None,
            wake_on: WakeOn::Connect,
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

    /// The settings of the sidecar `name`, which is in one exclusive group with `rivals`.
    pub(super) fn named(self, name: Name, rivals: Vec<Rival>) -> Sidecar {
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
            pause_after: self.pause_after,
            busy_cpu: self.busy_cpu,
            stop_timeout: self.stop_timeout,
            requires: self.requires.into_iter().map(Spanned::into_inner).collect(),
            exclusive: self.exclusive,
            rivals,
            wake_on: self.wake_on,
            max_connections: self.max_connections,
            max_waiting: self.max_waiting,
            proxy_protocol: self.proxy_protocol,
        }
    }
}
