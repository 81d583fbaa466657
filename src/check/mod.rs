//! What will not work, and how to mend it: looks at the configuration, the units and the engine, and changes nothing.

use crate::config::Config;
use crate::units::{Socket, Unit, Units, instance};

use finding::once;
pub use finding::{Finding, Severity};
use known::Known;

mod container; // a container that is not as a sidecar's should be
mod docker_host; // the engine that `docker` shows
mod engine; // the engines: whether they can be asked, and by whom
mod filter; // whether the helper's unit lets it dial an address
mod finding; // one thing that an admin should know
mod known; // the sidecars that have a table or a socket
mod lender; // the container whose network a sidecar's shares
mod members; // the sidecars of one engine, and the containers that it knows
mod permission; // whether the helper may use its engine and read its configuration
mod ports; // who else has the port of a socket
mod sockets; // sockets that nobody can connect to
mod way; // whether a way leads from the socket into the container

/// All findings: those of the configuration first, as the files go, then those of the units and of the engines.
pub async fn check(config: &Config, units: &Units, docker_host: Option<&str>) -> Vec<Finding> {
    let known = known::sidecars(config, units);
    let mut findings: Vec<Finding> = config.errors().iter().map(Finding::from).collect();
    findings.extend(unreadable(config, units, &known));
    findings.extend(sockets::check(config, units, &known));
    findings.extend(engine::check(config, units, &known, docker_host).await);
    findings
}

/// The findings of configuration files that a helper may not read: one for each file and user.
fn unreadable(config: &Config, units: &Units, known: &Known<'_>) -> Vec<Finding> {
    let services = services(units, known.values().flatten());
    let of =
        |service: Unit| config.shared().iter().filter_map(move |file| permission::unreadable(&service, file));
    once(services.flat_map(of))
}

/// The services behind those of `sockets` that are rouse's own.
fn services<'a>(
    units: &'a Units,
    sockets: impl IntoIterator<Item = &'a &'a Socket>,
) -> impl Iterator<Item = Unit> {
    sockets.into_iter().filter_map(|socket| units.service(instance(&socket.unit)?))
}
