//! The annotated configuration that we ship is clean, also with every key in it turned on, and shows the defaults.

#![allow(clippy::unwrap_used)]

use super::tests::config;
use super::{Config, Sidecar};
use crate::name::Name;

const SHIPPED: &str = include_str!("../../packaging/rouse.toml");

/// The shipped file with every line turned on that is a key or a table and no prose: those have no space after the '#'.
pub fn uncommented() -> String {
    let turn_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = SHIPPED.lines().map(turn_on).collect();
    lines.join("\n")
}

fn sidecar(config: &Config, name: &str) -> Sidecar {
    config.sidecar(&Name::new(name).unwrap()).unwrap()
}

#[test]
fn changes_nothing_as_it_is() {
    let shipped = config(&[SHIPPED]);
    assert_eq!(shipped.errors(), []);
    assert_eq!(shipped.names().count(), 0);
    assert_eq!(sidecar(&shipped, "ollama"), sidecar(&config(&[]), "ollama"));
}

#[test]
fn is_clean_with_every_key_turned_on() {
    let shipped = config(&[&uncommented()]);
    assert_eq!(shipped.errors(), []);
    let names: Vec<_> = shipped.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["blender-worker", "postgres"]);
}

#[test]
fn shows_the_defaults() {
    let shipped = config(&[&uncommented()]);
    let plain = sidecar(&config(&[]), "ollama");
    let engine = Some("/run/docker.sock".into());
    assert_eq!(sidecar(&shipped, "ollama"), Sidecar { engine, ..plain });
}
