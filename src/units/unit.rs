//! A unit: its file and its drop-ins, later ones over earlier ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::entries;
use super::file::{self, Setting};
use super::path::find;

/// What the files of one unit say together.
#[derive(Debug)]
pub struct Unit {
    /// Its own file or that of its template.
    pub file: Option<PathBuf>,
    /// Its drop-ins in the order in which they count.
    pub drop_ins: Vec<PathBuf>,
    /// Whether it is masked: its file is empty or leads to /dev/null.
    pub is_masked: bool,
    settings: Vec<Setting>,
}

impl Unit {
    /// The unit `name`, which may have drop-ins alone; `None` if that is no name of a unit.
    pub(super) fn read(name: &str, path: &[PathBuf]) -> Option<Unit> {
        let (stem, suffix) = name.rsplit_once('.')?;
        let template = stem.split_once('@').map(|(prefix, _)| format!("{prefix}@.{suffix}"));
        let own = find(path, name);
        let file = own.or_else(|| find(path, template.as_ref()?));
        let mut by_name = BTreeMap::new();
        for directory in path {
            for unit in [Some(name), template.as_deref(), Some(suffix)].into_iter().flatten() {
                let directory = directory.join(format!("{unit}.d"));
                for entry in entries(&directory).into_iter().filter(|entry| entry.ends_with(".conf")) {
                    // Of one name the first counts; those that count are read in the order of their names.
                    let file = directory.join(&entry);
                    by_name.entry(entry).or_insert(file);
                }
            }
        }
        let drop_ins: Vec<_> = by_name.into_values().collect();
        let settings = file.iter().chain(&drop_ins).flat_map(|file| file::read(file)).collect();
        let is_masked = file.as_deref().is_some_and(is_mask);
        Some(Unit { file, drop_ins, is_masked, settings })
    }

    /// The assignments to a key that takes several: an empty one undoes those before it.
    pub fn all(&self, section: &str, key: &str) -> Vec<&Setting> {
        let mut found = Vec::new();
        for setting in &self.settings {
            if setting.section == section && setting.key == key {
                match setting.value.is_empty() {
                    true => found.clear(),
                    false => found.push(setting),
                }
            }
        }
        found
    }

    /// The assignment to a key that takes one value: the last.
    pub fn last(&self, section: &str, key: &str) -> Option<&Setting> {
        self.all(section, key).pop()
    }

    /// The assignments to `key` in any other section, which systemd ignores.
    pub fn astray<'a>(&'a self, section: &'a str, key: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.settings.iter().filter(move |setting| setting.key == key && setting.section != section)
    }
}

fn is_mask(file: &Path) -> bool {
    let leads_to = fs::canonicalize(file);
    leads_to.is_ok_and(|path| path == Path::new("/dev/null"))
        || fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}
