//! Who else has the port of a socket: a container that publishes it.

use std::net::SocketAddr;

use super::known::{Known, addresses};
use super::{Finding, Severity, once};
use crate::units::Listen;

/// The findings of a container that has, or will have once it starts, these addresses of the host.
pub fn check(
    container: &str,
    is_up: bool,
    published: impl IntoIterator<Item = SocketAddr>,
    known: &Known,
) -> Vec<Finding> {
    let sockets = addresses(known.values().flatten());
    let mut findings = Vec::new();
    for address in published {
        let taken = Listen::at(Some(address.ip()), address.port());
        for (socket, _, listen) in sockets.iter().filter(|(.., listen)| taken.clashes(listen)) {
            let (port, unit) = (address.port(), &socket.unit);
            let consequence = match is_up {
                true => format!("{unit} cannot start while it runs"),
                false => "it cannot start while the socket is up".to_owned(),
            };
            let message = format!("publishes port {port}, where {unit} listens ({listen}): {consequence}");
            let hint = format!(
                "create it anew without `--publish` (`ports:` in Compose) of {port}: rouse dials the container itself"
            );
            findings.push(Finding::new(Severity::Error, message, hint).of_container(container));
        }
    }
    // The engine lists IPv4 and IPv6 apart.
    once(findings)
}
