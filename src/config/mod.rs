//! Files to a checked configuration; every error with its place, all of them at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::name::Name;

pub use error::{Concerns, Error};
pub use sidecar::{Address, Idle, Port, Ready, Sidecar, WhenLate};
use walk::{Table, Walk};

mod clash; // what is defined twice
mod document; // one file as TOML, and what is no TOML in it
mod error; // one thing that is wrong
mod files; // which files, and their text
mod keys; // the keys of a sidecar
mod port; // the port, or the map of ports
mod sidecar; // the settings and their defaults
mod source; // the line and column of a byte
mod suggest; // the key that was meant
mod value; // one value, checked
mod walk; // the tables, key by key

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    errors: Vec<Error>,
    template: sidecar::Template,
    tables: BTreeMap<Name, Table>,
}

impl Config {
    /// Reads `file` alone when given, else `/etc/rouse/rouse.toml` and `/etc/rouse/rouse.d/*.toml` in name order,
    /// none of which needs to exist. Never fails: what is wrong is in the errors.
    pub fn read(file: Option<&Path>) -> Config {
        match file {
            Some(file) => Config::of(vec![file.to_owned()], Vec::new()),
            None => Config::read_in(Path::new("/etc/rouse")),
        }
    }

    /// Reads `rouse.toml` and `rouse.d/*.toml` in the directory `base`.
    pub fn read_in(base: &Path) -> Config {
        let mut errors = Vec::new();
        Config::of(files::find(base, &mut errors), errors)
    }

    fn of(files: Vec<PathBuf>, mut errors: Vec<Error>) -> Config {
        let mut sources: Vec<_> = files.iter().filter_map(|path| files::read(path, &mut errors)).collect();
        let Walk { errors: found, template, tables } = walk::walk(&mut sources);
        errors.extend(found);
        // Only the directory itself can be missing among the files, and it comes after them.
        let rank = |file: &Path| files.iter().position(|other| other == file).unwrap_or(usize::MAX);
        errors.sort_by_cached_key(|error| (rank(&error.file), error.line, error.column));
        Config { errors, template, tables }
    }

    /// Everything that is wrong, in the order of files and lines.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// The sidecars that have a table.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.tables.keys()
    }

    /// The settings of one sidecar, the defaults where it has no table; or the errors that concern it.
    pub fn sidecar(&self, name: &Name) -> Result<Sidecar, Vec<Error>> {
        let mut errors: Vec<_> =
            self.errors.iter().filter(|error| error.concerns.include(name)).cloned().collect();
        let settings = match self.tables.get(name) {
            Some(table) => &table.settings,
            None => {
                errors.extend(clash::taken(name, &self.template, &self.tables));
                &self.template
            }
        };
        match errors.is_empty() {
            true => Ok(settings.clone().named(name.clone())),
            false => Err(errors),
        }
    }
}
