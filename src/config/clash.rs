//! What is defined twice: a key, a sidecar, or the sidecar of a container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Concerns, Error, Wrong, quoted, table_key};
use super::sidecar::Template;
use super::source::Place;
use super::walk::Table;
use crate::name::Name;
use crate::places;

/// The errors of `key` being defined at each of `places`; none if that is one.
///
/// Each names one other place: with more of them the next run of the check shows the rest.
pub(super) fn twice(key: &str, places: &[Place], concerns: &Concerns) -> Vec<Error> {
    let [first, second, ..] = places else {
        return Vec::new();
    };
    let others = std::iter::once(second).chain(std::iter::repeat(first));
    places
        .iter()
        .zip(others)
        .map(|(place, other)| {
            let wrong = Wrong::new(format!("defined also at {other}"), "keep one of them");
            place.error(key, wrong, concerns.clone())
        })
        .collect()
}

/// The errors of sidecars that have more than one table.
pub(super) fn sidecars(tables: &BTreeMap<Name, Table>) -> Vec<Error> {
    tables
        .iter()
        .flat_map(|(name, table)| twice(&table_key(name), &table.places, &Concerns::One(name.clone())))
        .collect()
}

/// The errors of tables that name the same container.
pub(super) fn containers(tables: &BTreeMap<Name, Table>) -> Vec<Error> {
    let mut users: BTreeMap<(PathBuf, &str), Vec<(&Name, &Table)>> = BTreeMap::new();
    for (name, table) in tables.iter().filter(|(_, table)| table.certain) {
        users.entry(container(&table.settings, name)).or_default().push((name, table));
    }
    let mut errors = Vec::new();
    for ((_, container), users) in &users {
        let [first, second, ..] = users.as_slice() else {
            continue;
        };
        for (name, table) in users {
            let (other, elsewhere) = if *name == first.0 { second } else { first };
            let what = format!(
                "the container {} is also that of {other}, at {}",
                quoted(container),
                elsewhere.container
            );
            let wrong = Wrong::new(what, "a container of its own, or one sidecar with both ports");
            let key = format!("{}.container", table_key(name));
            errors.push(table.container.error(&key, wrong, Concerns::One((*name).clone())));
        }
    }
    errors
}

/// The error of the sidecar `name`, which has no table, if another has taken its container.
pub(super) fn taken(name: &Name, template: &Template, tables: &BTreeMap<Name, Table>) -> Option<Error> {
    let wanted = container(template, name);
    let (other, table) =
        tables.iter().find(|(other, table)| table.certain && container(&table.settings, other) == wanted)?;
    let what = format!("the container {} is also that of {name}, which has no table", quoted(wanted.1));
    let cure = format!("another container here, or one in a table [{}]", table_key(name));
    let key = format!("{}.container", table_key(other));
    Some(table.container.error(&key, Wrong::new(what, cure), Concerns::One(name.clone())))
}

/// What makes a container the same: its engine and its name.
///
/// The first of the usual ones stands for no engine, because rouse looks for that one first.
fn container<'a>(settings: &'a Template, name: &'a Name) -> (PathBuf, &'a str) {
    let engine = settings.engine.as_deref().unwrap_or(&places::engines()[0]);
    let engine = match engine.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => engine.to_owned(),
    };
    (engine, settings.container(name))
}
