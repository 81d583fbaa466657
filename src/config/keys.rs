//! The keys of a sidecar: what may stand in `[defaults]` and in `[sidecar.NAME]`.

use toml::de::DeValue;

use super::error::Wrong;
use super::names::{group, names};
use super::port::port;
use super::sidecar::{Idle, Template, WakeOn, WhenLate};
use super::suggest::closest;
use super::value;
use crate::proxy_protocol::ProxyProtocol;

/// Every key that [`set`] takes.
pub(super) const KEYS: &[&str] = &[
    "engine",
    "container",
    "port",
    "network",
    "address",
    "ready",
    "wake_timeout",
    "when_late",
    "idle_timeout",
    "idle",
    "reply_timeout",
    "pause_after",
    "busy_cpu",
    "stop_timeout",
    "requires",
    "exclusive",
    "wake_on",
    "max_connections",
    "max_waiting",
    "proxy_protocol",
];

/// The keys that only a sidecar's own table may have, and why no other may.
const OWN: &[(&str, &str)] = &[
    ("requires", "here it would hold for every sidecar, also for those that it names"),
    (
        "exclusive",
        "here it would hold for every sidecar, also for those without a table, of which the others know nothing",
    ),
];

/// The keys that `[defaults]` may have.
pub(super) fn shared() -> Vec<&'static str> {
    KEYS.iter().filter(|key| OWN.iter().all(|(own, _)| own != *key)).copied().collect()
}

/// Sets one key of [`KEYS`]; any other is left alone.
pub(super) fn set(settings: &mut Template, key: &str, value: &DeValue) -> Result<(), Vec<Wrong>> {
    match key {
        "engine" => settings.engine = Some(value::engine(value)?),
        "container" => settings.container = Some(value::container(value)?),
        "port" => settings.port = port(value)?,
        "network" => settings.network = Some(value::network(value)?),
        "address" => settings.address = Some(value::address(value)?),
        "ready" => settings.ready = value::ready(value)?,
        "wake_timeout" => settings.wake_timeout = value::duration(value)?,
        "when_late" => {
            let choices = [("proceed", WhenLate::Proceed), ("refuse", WhenLate::Refuse)];
            settings.when_late = value::choice(value, &choices)?;
        }
        "idle_timeout" => settings.idle_timeout = value::duration_or_never(value)?,
        "idle" => {
            let choices = [("traffic", Idle::Traffic), ("connections", Idle::Connections)];
            settings.idle = value::choice(value, &choices)?;
        }
        "reply_timeout" => settings.reply_timeout = value::duration(value)?,
        "pause_after" => settings.pause_after = value::duration_or_never(value)?,
        "busy_cpu" => settings.busy_cpu = value::percent(value)?,
        "stop_timeout" => settings.stop_timeout = value::duration_or_zero(value)?,
        "requires" => names(value, &mut settings.requires)?,
        "exclusive" => settings.exclusive = Some(group(value)?),
        "wake_on" => {
            let choices = [("connect", WakeOn::Connect), ("data", WakeOn::Data)];
            settings.wake_on = value::choice(value, &choices)?;
        }
        "max_connections" => settings.max_connections = value::count(value)?,
        "max_waiting" => settings.max_waiting = value::count(value)?,
        "proxy_protocol" => {
            let choices = [("off", None), ("v1", Some(ProxyProtocol::V1)), ("v2", Some(ProxyProtocol::V2))];
            settings.proxy_protocol = value::choice(value, &choices)?;
        }
        _ => {}
    }
    Ok(())
}

/// Why `key` is none of `known`, if it is none.
pub(super) fn unknown(key: &str, known: &[&str]) -> Option<Wrong> {
    if known.contains(&key) {
        return None;
    }
    if let Some((_, what)) = OWN.iter().find(|(own, _)| *own == key) {
        return Some(Wrong::new(*what, "it belongs in [sidecar.NAME]"));
    }
    let cure = match closest(key, known) {
        Some(meant) => format!("did you mean {meant}?"),
        None if KEYS.contains(&key) => "it belongs in [defaults] or [sidecar.NAME]".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    };
    Some(Wrong::new("unknown key", cure))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use toml::de::DeValue;

    use super::{KEYS, OWN, Template, set, shared, unknown};

    #[test]
    fn every_key_is_set_and_refuses_what_it_cannot_be() {
        let date = DeValue::parse("1979-05-27").unwrap();
        for key in KEYS {
            assert!(set(&mut Template::default(), key, date.get_ref()).is_err(), "{key}");
        }
    }

    #[test]
    fn every_key_is_in_the_annotated_configuration() {
        let annotated = include_str!("../../packaging/rouse.toml");
        for key in KEYS {
            let shown = format!("#{key} = ");
            assert!(annotated.lines().any(|line| line.starts_with(&shown)), "{key}");
        }
    }

    #[test]
    fn keys_of_one_sidecar_are_told_from_unknown_ones() {
        for (key, what) in OWN {
            assert_eq!(unknown(key, KEYS), None);
            assert_eq!(unknown(key, &shared()).unwrap().what, *what);
        }
        assert_eq!(unknown("colour", KEYS).unwrap().what, "unknown key");
        assert_eq!(unknown("port", KEYS), None);
    }
}
