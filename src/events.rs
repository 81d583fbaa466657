//! What is told of a sidecar, in words: one function for each event.

use std::time::Duration;

use crate::config::{Error, Sidecar};
use crate::journal::{Details, Kind, event, quote, took};
use crate::name::Name;
use crate::relay::Totals;

#[cfg(test)]
mod catalog; // each is explained to who reads `journalctl -x`

/// A client or a caller came; the container is to be started, after what it has to wait for.
pub fn waking(sidecar: &Sidecar) {
    let container = &sidecar.container;
    let others = sidecar.exclusive.iter().map(|group| format!("its turn in group {group}"));
    let others = others.chain(sidecar.requires.iter().map(Name::to_string)).collect::<Vec<_>>().join(", ");
    let after = if others.is_empty() { others } else { format!(" after {others}") };
    event(Kind::Waking, &sidecar.name, &of(container), format_args!("starting container {container}{after}"));
}

/// The container answers; so many clients have waited for it.
pub fn ready(sidecar: &Sidecar, after: Duration, clients: usize) {
    let details =
        Details { duration: Some(after), connections: Some(clients as u64), ..of(&sidecar.container) };
    event(
        Kind::Ready,
        &sidecar.name,
        &details,
        format_args!("after {}; clients waiting: {clients}", took(after)),
    );
}

/// The container does not answer yet, and its clients are let through all the same.
pub fn late(sidecar: &Sidecar, reason: &str) {
    let after = sidecar.wake_timeout;
    let details = Details { duration: Some(after), reason: Some(reason), ..of(&sidecar.container) };
    let text = format_args!("after {}: {reason}; its clients are let through all the same", took(after));
    event(Kind::Late, &sidecar.name, &details, text);
}

/// The clients that have waited were reset; what comes next; the container's last words.
pub fn wake_failed(sidecar: &Sidecar, reason: &str, clients: usize, next: &str, log: &str) {
    let details =
        Details { connections: Some(clients as u64), reason: Some(reason), ..of(&sidecar.container) };
    let text = format_args!("{reason}; clients reset: {clients}; {next}{}", quote(log));
    event(Kind::WakeFailed, &sidecar.name, &details, text);
}

/// The engine does not answer.
pub fn engine_unreachable(sidecar: &Sidecar, reason: &str, clients: usize) {
    let details = Details { connections: Some(clients as u64), reason: Some(reason), ..Details::default() };
    let text = format_args!("{reason}; clients reset: {clients}");
    event(Kind::EngineUnreachable, &sidecar.name, &details, text);
}

/// A container that was up already is looked after from now on.
pub fn adopted(sidecar: &Sidecar, paused: bool) {
    let (container, what) = (&sidecar.container, if paused { "paused" } else { "running" });
    event(
        Kind::Adopted,
        &sidecar.name,
        &of(container),
        format_args!("container {container} was found {what}"),
    );
}

/// The container is paused: by us in so long, or by somebody's hand.
pub fn paused(sidecar: &Sidecar, took_so_long: Option<Duration>, connections: usize) {
    let container = &sidecar.container;
    let details = Details {
        duration: took_so_long,
        connections: Some(connections as u64),
        reason: took_so_long.is_none().then_some("by hand"),
        ..of(container)
    };
    let how = took_so_long.map_or("by hand".into(), |duration| format!("in {}", took(duration)));
    let text = format_args!("container {container} paused {how}; open connections: {connections}");
    event(Kind::Paused, &sidecar.name, &details, text);
}

/// The container runs on: unpaused by us in so long, or by somebody's hand.
pub fn unpaused(sidecar: &Sidecar, took_so_long: Option<Duration>) {
    let container = &sidecar.container;
    let details = Details {
        duration: took_so_long,
        reason: took_so_long.is_none().then_some("by hand"),
        ..of(container)
    };
    let how = took_so_long.map_or("by hand".into(), |duration| format!("in {}", took(duration)));
    event(Kind::Unpaused, &sidecar.name, &details, format_args!("container {container} unpaused {how}"));
}

/// The container was stopped because `to` needs its group.
pub fn yielded(sidecar: &Sidecar, to: &Name, stop: Duration, totals: Totals) {
    let container = &sidecar.container;
    let reason = format!("{to} needs the group");
    let text = format_args!("container {container} stopped in {}: {reason}", took(stop));
    let details = Details { duration: Some(stop), reason: Some(&reason), ..with(totals, container) };
    event(Kind::Yielded, &sidecar.name, &details, text);
}

/// The container was stopped for idleness, or for this reason.
pub fn slept(sidecar: &Sidecar, stop: Duration, totals: Totals, reason: Option<&str>) {
    let container = &sidecar.container;
    let Totals { connections, up, down } = totals;
    let text = format_args!(
        "container {container} stopped in {}{}; connections: {connections}, bytes up: {up}, down: {down}",
        took(stop),
        reason.map(|reason| format!(": {reason}")).unwrap_or_default()
    );
    let details = Details { duration: Some(stop), reason, ..with(totals, container) };
    event(Kind::Slept, &sidecar.name, &details, text);
}

/// The container has ended, and not by us.
pub fn died(sidecar: &Sidecar, reason: &str, totals: Totals, log: &str) {
    let container = &sidecar.container;
    let text = format_args!("container {container} has ended: {reason}{}", quote(log));
    event(Kind::Died, &sidecar.name, &Details { reason: Some(reason), ..with(totals, container) }, text);
}

/// The configuration of a sidecar cannot be used.
pub fn config_rejected(sidecar: &Name, errors: &[Error]) {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let details = Details { reason: lines.first().map(String::as_str), ..Details::default() };
    let text = format_args!("clients are reset until this is mended:{}", quote(&lines.join("\n")));
    event(Kind::ConfigRejected, sidecar, &details, text);
}

/// A reload has brought settings that cannot be used.
pub fn reload_rejected(sidecar: &Name, errors: &[Error]) {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let details = Details { reason: lines.first().map(String::as_str), ..Details::default() };
    let text = format_args!("the settings in force stay until this is mended:{}", quote(&lines.join("\n")));
    event(Kind::ConfigRejected, sidecar, &details, text);
}

fn of(container: &str) -> Details<'_> {
    Details { container: Some(container), ..Details::default() }
}

fn with(totals: Totals, container: &str) -> Details<'_> {
    Details {
        connections: Some(totals.connections),
        bytes_up: Some(totals.up),
        bytes_down: Some(totals.down),
        ..of(container)
    }
}
