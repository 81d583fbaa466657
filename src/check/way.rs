//! Whether a way leads from the socket into the container.

use super::known::addresses;
use super::{Finding, Severity};
use crate::config::Sidecar;
use crate::route::Route;
use crate::socket::Address;
use crate::units::{Listen, Socket};

/// What stands in the way from `sockets`; `on_host`: the container shares the host's network.
pub fn check(settings: &Sidecar, sockets: &[&Socket], on_host: bool) -> Vec<Finding> {
    let route = Route::fixed(settings).unwrap_or_else(|| Route::to_host(settings));
    let is_known = on_host || settings.address.is_some();
    let addresses = addresses(sockets);
    let mut findings = Vec::new();
    for (_, setting, listen) in &addresses {
        if matches!(listen, Listen::Elsewhere(_)) {
            continue;
        }
        let finding = match route.address(listen.port()) {
            Err(why) => {
                // A route says both in one.
                let (what, cure) = why.split_once(": ").unwrap_or((&why, "set `port` or `address`"));
                Finding::new(Severity::Error, what, cure).about_sidecar(&settings.name, "port")
            }
            Ok(target) if is_known && addresses.iter().any(|(.., listen)| is_reached(listen, &target)) => {
                let (why, key) = match settings.address {
                    Some(_) => ("", "address"),
                    None => ("the container has the host's network: ", "port"),
                };
                let message = format!("{why}rouse would dial {target}, which is its own socket");
                let hint =
                    "let the container listen on another port and set `port` to that, or move the socket";
                Finding::new(Severity::Error, message, hint).about_sidecar(&settings.name, key)
            }
            Ok(_) => continue,
        };
        findings.push(finding.in_file(&setting.file, Some(setting.line)));
    }
    findings
}

fn is_reached(listen: &Listen, target: &Address) -> bool {
    match target {
        Address::Tcp(address) => listen.takes(address),
        Address::Unix(path) => listen.is_at(path),
    }
}
