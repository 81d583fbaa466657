//! What a container looks like, as a sidecar: pure, over what it was created with.

use std::time::Duration;

use humantime::format_duration;

use super::address::address;
use super::advice::{advice, rivals};
use super::ports::{Way, key, list, ways};
use crate::config::{Port, Ready, Sidecar};
use crate::engine::{Container, Listed, Network};
use crate::name::Name;
use crate::units::Listen;

/// A HEALTHCHECK that is first asked later than that would keep clients waiting for nothing else.
const SOON: Duration = Duration::from_secs(2);

/// What whoever adds a sidecar has said himself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// The container, where it is not called like the sidecar.
    pub container: Option<String>,
    /// Where the socket listens.
    pub listen: Vec<Listen>,
    /// The port in the container.
    pub port: Option<u16>,
    /// How to tell that it answers.
    pub ready: Option<String>,
    /// How long it stays awake unused.
    pub idle_timeout: Option<String>,
}

/// A sidecar that could be.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What it is called.
    pub name: Name,
    /// What its container is called.
    pub container: String,
    /// Its sockets.
    pub(super) ways: Vec<Way>,
    /// What its table says.
    pub(super) keys: Vec<Key>,
    /// What is to be done before it works as meant.
    pub advice: Vec<String>,
}

/// One key of the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub name: &'static str,
    pub value: Value,
    pub why: Option<String>,
    /// Whether it is in force, or only shown as what could be.
    pub holds: bool,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Port(Port),
}

impl Proposal {
    /// Adds what to do about other containers of the engine, of which `running` run, on behalf of `container`.
    pub fn beside(mut self, running: &[Listed], container: &Container) -> Proposal {
        self.advice.extend(rivals(running, container, &self.ways));
        self
    }

    /// Where it listens.
    pub fn listens(&self) -> impl Iterator<Item = &Listen> {
        self.ways.iter().map(|way| &way.listen)
    }

    /// In one line, from where to where.
    pub fn summary(&self) -> String {
        let way = |way: &Way| format!("{} → {}:{}", way.listen, self.container, way.inside);
        format!("{}: {}", self.name, self.ways.iter().map(way).collect::<Vec<_>>().join(", "))
    }
}

impl Key {
    fn new(name: &'static str, value: Value) -> Key {
        Key { name, value, why: None, holds: true }
    }

    fn text(name: &'static str, text: impl Into<String>) -> Key {
        Key::new(name, Value::Text(text.into()))
    }

    fn because(self, why: String) -> Key {
        Key { why: Some(why), ..self }
    }
}

/// What `container` looks like as the sidecar `usual`, which is one without a table; the error says what is to be said.
pub fn propose(container: &Container, usual: &Sidecar, wishes: &Wishes) -> Result<Proposal, String> {
    let ways = ways(&usual.name, container, &wishes.listen, wishes.port)?;
    let called = wishes.container.as_deref().unwrap_or(usual.name.as_str());
    let mut keys = Vec::new();
    if usual.container != called {
        keys.push(Key::text("container", called));
    }
    match address(container, &ways)? {
        Some((address, why)) => keys.push(Key::text("address", address.to_string()).because(why)),
        None => {
            keys.extend(key(&ways, &usual.port)?.map(|port| Key::new("port", Value::Port(port))));
            keys.extend(network(container).filter(|_| usual.network.is_none()));
        }
    }
    keys.extend(match &wishes.ready {
        Some(ready) => Some(Key::text("ready", ready)),
        None => container.first_check().filter(|_| usual.ready == Ready::Tcp).map(healthy),
    });
    keys.extend(wishes.idle_timeout.as_ref().map(|time| Key::text("idle_timeout", time)));
    let advice = advice(called, container, &ways);
    Ok(Proposal { name: usual.name.clone(), container: called.to_owned(), ways, keys, advice })
}

/// Which network to dial, where there are several.
fn network(container: &Container) -> Option<Key> {
    let Network::Own(networks) = container.network() else { return None };
    let [first, _, ..] = networks.as_slice() else { return None };
    Some(Key::text("network", first).because(format!("One of {}.", list(&networks))))
}

/// The HEALTHCHECK as what tells that it answers, in force only if it is asked soon.
fn healthy(first: Duration) -> Key {
    let after = format!("Its HEALTHCHECK is first asked {} after a start", format_duration(first));
    let (holds, why) = match first <= SOON {
        true => (true, format!("{after}.")),
        false => (
            false,
            format!("Ready when it accepts a connection. {after},\nfor which clients would wait with:"),
        ),
    };
    Key { holds, ..Key::text("ready", "healthy").because(why) }
}

#[cfg(test)]
mod tests;
