//! The manual page rouse.toml(5) has every key, with the default that it has.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::annotated::uncommented;
use super::keys::KEYS;
use super::tests::config;
use crate::name::Name;

const MANUAL: &str = include_str!("../../packaging/man/rouse.toml.5");

/// The keys of a sidecar, each with what follows the word "Default:".
fn described() -> BTreeMap<&'static str, String> {
    let (_, sidecar) = MANUAL.split_once("[sidecar.NAME] TABLE\n").unwrap();
    let (sidecar, _) = sidecar.split_once(".Sh EXAMPLES").unwrap();
    let item = |item: &'static str| {
        let (key, text) = item.split_once(" = ").unwrap();
        let (_, default) =
            text.split_once("\n.Pp\nDefault:").unwrap_or_else(|| panic!("{key} has no default"));
        (key, default.trim().replace("\\(dq", "\""))
    };
    sidecar.split(".It Ic ").skip(1).map(item).collect()
}

/// The defaults that are a value, and not said in words.
fn literal() -> BTreeMap<&'static str, String> {
    let value =
        |text: String| Some(text.lines().next()?.strip_prefix(".Ql ")?.strip_suffix(" .")?.to_owned());
    described().into_iter().filter_map(|(key, text)| Some((key, value(text)?))).collect()
}

#[test]
fn every_key_is_described_and_no_other() {
    let mut keys = KEYS.to_vec();
    keys.sort_unstable();
    assert_eq!(described().into_keys().collect::<Vec<_>>(), keys);
}

#[test]
fn the_defaults_are_those_that_hold() {
    let lines: String = literal().iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let said = config(&[&format!("[sidecar.web]\n{lines}")]);
    assert_eq!(said.errors(), []);
    let web = Name::new("web").unwrap();
    assert_eq!(said.sidecar(&web).unwrap(), config(&[]).sidecar(&web).unwrap());
}

#[test]
fn every_default_that_is_a_value_is_given_as_one() {
    let shipped = uncommented();
    let (_, defaults) = shipped.split_once("[defaults]\n").unwrap();
    let (defaults, _) = defaults.split_once("[sidecar.").unwrap();
    let values =
        defaults.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key, value.to_owned())).collect();
    assert!(values.len() > 5);
    assert_eq!(literal(), values);
}
