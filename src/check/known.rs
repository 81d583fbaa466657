//! The sidecars that have a table or a socket.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::name::Name;
use crate::units::{Listen, Setting, Socket, Units};

/// One sidecar with its socket units; none where it has only a table.
pub type Known<'a> = BTreeMap<Name, Vec<&'a Socket>>;

/// All of them, by name.
pub fn sidecars<'a>(config: &Config, units: &'a Units) -> Known<'a> {
    let mut known: Known = config.names().map(|name| (name.clone(), Vec::new())).collect();
    for (name, socket) in units.of_sidecars(|name| config.table(name).is_some()) {
        known.entry(name).or_default().push(socket);
    }
    known
}

/// Every address that one of `sockets` listens on, with the place where it is named.
pub fn addresses<'a>(
    sockets: impl IntoIterator<Item = &'a &'a Socket>,
) -> Vec<(&'a Socket, &'a Setting, &'a Listen)> {
    let of = |socket: &&'a Socket| {
        let socket: &'a Socket = socket;
        socket.listens().map(move |(setting, listen)| (socket, setting, listen))
    };
    sockets.into_iter().flat_map(of).collect()
}
