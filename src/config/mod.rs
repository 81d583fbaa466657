//! Files to a checked configuration; every error with its place, all of them at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::name::Name;
use crate::places;

pub use error::{Error, table_key};
pub use sidecar::{Idle, Port, Ready, Rival, Sidecar, WakeOn, WhenLate};
pub use source::Place;
use source::Source;
pub use suggest::closest;
use walk::{Table, Walk};

mod clash; // what is defined twice
mod document; // one file as TOML, and what is no TOML in it
mod error; // one thing that is wrong
mod files; // which files, and their text
mod keys; // the keys of a sidecar
mod names; // the names of other sidecars and of groups
mod pattern; // what a line of a log must look like
mod port; // the port, or the map of ports
mod relations; // what sidecars require of each other
mod sidecar; // the settings and their defaults
mod source; // the line and column of a byte
mod suggest; // the key that was meant
mod value; // one value, checked
mod walk; // the tables, key by key

#[cfg(test)]
mod annotated; // packaging/rouse.toml holds what it says
#[cfg(test)]
mod documented; // rouse.toml(5) has every key and its default
#[cfg(test)]
mod golden; // each case in tests/config, and what is said about it
#[cfg(test)]
mod properties; // whatever a file holds, reading it ends well

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    shared: Vec<PathBuf>,
    errors: Vec<Error>,
    template: sidecar::Template,
    tables: BTreeMap<Name, Table>,
}

impl Config {
    /// Reads `file` alone when given, else `/etc/rouse/rouse.toml` and `/etc/rouse/rouse.d/*.toml` (or a user's) in name order,
    /// none of which needs to exist. Never fails: what is wrong is in the errors.
    pub fn read(file: Option<&Path>) -> Config {
        match file {
            Some(file) => Config::of(vec![file.to_owned()], Vec::new()),
            None => Config::read_in(places::configuration()),
        }
    }

    /// Reads `rouse.toml` and `rouse.d/*.toml` in the directory `base`.
    pub fn read_in(base: &Path) -> Config {
        let mut errors = Vec::new();
        let files = files::find(base, &mut errors);
        Config { shared: files.clone(), ..Config::of(files, errors) }
    }

    /// Reads the same as it would be with the files `added`, whose texts may replace those of files that are there.
    pub fn read_with(base: &Path, added: &[(PathBuf, String)]) -> Config {
        let mut errors = Vec::new();
        let mut files = files::find(base, &mut errors);
        files.retain(|file| added.iter().all(|(path, _)| path != file));
        let mut sources: Vec<_> = files.iter().filter_map(|path| files::read(path, &mut errors)).collect();
        files.extend(added.iter().map(|(path, _)| path.clone()));
        sources.extend(added.iter().map(|(path, text)| Source::new(path.clone(), text.clone())));
        Config::from_sources(&files, sources, errors)
    }

    fn of(files: Vec<PathBuf>, mut errors: Vec<Error>) -> Config {
        let sources = files.iter().filter_map(|path| files::read(path, &mut errors)).collect();
        Config::from_sources(&files, sources, errors)
    }

    fn from_sources(files: &[PathBuf], mut sources: Vec<Source>, mut errors: Vec<Error>) -> Config {
        let Walk { errors: found, template, tables } = walk::walk(&mut sources);
        errors.extend(found);
        let complete = !errors.iter().any(Error::hides_tables);
        errors.extend(relations::errors(&tables, complete));
        // Only the directory itself can be missing among the files, and it comes after them.
        let rank = |file: &Path| files.iter().position(|other| other == file).unwrap_or(usize::MAX);
        errors.sort_by_cached_key(|error| (rank(&error.file), error.line, error.column));
        Config { shared: Vec::new(), errors, template, tables }
    }

    /// The files that every helper reads too; none where one was given instead of them.
    pub fn shared(&self) -> &[PathBuf] {
        &self.shared
    }

    /// Everything that is wrong, in the order of files and lines.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// The sidecars that have a table.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.tables.keys()
    }

    /// Where the table of the sidecar `name` begins, if it has one.
    pub fn table(&self, name: &Name) -> Option<&Place> {
        self.tables.get(name)?.places.first()
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
            true => Ok(settings.clone().named(name.clone(), self.rivals(name))),
            false => Err(errors),
        }
    }

    /// The others in the group of the sidecar `name`, without those of which nobody can tell the container.
    fn rivals(&self, name: &Name) -> Vec<Rival> {
        let group = |table: &Table| table.settings.exclusive.clone();
        let Some(own) = self.tables.get(name).and_then(group) else {
            return Vec::new();
        };
        let in_group = |(other, table): &(&Name, &Table)| {
            *other != name && table.settings.exclusive.as_ref() == Some(&own) && table.is_certain()
        };
        let rival = |(other, table): (&Name, &Table)| Rival {
            name: other.clone(),
            engine: table.settings.engine.clone(),
            container: table.settings.container(other).to_owned(),
        };
        self.tables.iter().filter(in_group).map(rival).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    /// The configuration of files with these texts, called `0`, `1` and so on.
    pub fn config(texts: &[&str]) -> Config {
        let files: Vec<_> = (0..texts.len()).map(|number| PathBuf::from(number.to_string())).collect();
        let sources = files.iter().zip(texts).map(|(file, text)| Source::new(file.clone(), text.to_string()));
        Config::from_sources(&files, sources.collect(), Vec::new())
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Which of the sidecars `a`, `b` and `z` may run; `z` has no table in any test.
    fn runnable(texts: &[&str]) -> String {
        let config = config(texts);
        ["a", "b", "z"].into_iter().filter(|text| config.sidecar(&name(text)).is_ok()).collect()
    }

    #[test]
    fn needs_no_file() {
        let config = config(&[]);
        let ollama = config.sidecar(&name("ollama")).unwrap();
        assert_eq!(config.errors(), []);
        assert_eq!(ollama.container, "ollama");
        assert_eq!(ollama.port, Port::Connected);
        assert_eq!(ollama.idle_timeout, Some(Duration::from_secs(300)));
    }

    #[test]
    fn builds_each_sidecar_on_the_shared_settings() {
        let config = config(&[
            "[sidecar.a]\nidle_timeout = \"1h\"",
            "[sidecar.b]\nengine = \"unix:///b\"\nport = 80",
            "[helper]\nengine = \"unix:///h\"\n[defaults]\nidle_timeout = \"never\"\nready = \"http:/\"",
        ]);
        let [a, b, z] = ["a", "b", "z"].map(|text| config.sidecar(&name(text)).unwrap());
        assert_eq!(
            [a.idle_timeout, b.idle_timeout, z.idle_timeout],
            [Some(Duration::from_secs(3600)), None, None]
        );
        assert_eq!([a.engine, b.engine, z.engine], ["/h", "/b", "/h"].map(|path| Some(path.into())));
        assert_eq!([a.port, b.port, z.port], [Port::Connected, Port::One(80), Port::Connected]);
        assert_eq!(a.ready, Ready::Http("/".into()));
    }

    #[test]
    fn defaults_come_before_the_helper_in_whatever_file() {
        let config = config(&["[defaults]\nengine = \"unix:///d\"", "[helper]\nengine = \"unix:///h\""]);
        assert_eq!(config.sidecar(&name("a")).unwrap().engine, Some("/d".into()));
    }

    #[test]
    fn an_error_in_a_table_stops_that_sidecar_alone() {
        assert_eq!(runnable(&["[sidecar.a]\nport = 0\n[sidecar.b]"]), "bz");
        assert_eq!(runnable(&["[sidecar.a]\ncolour = 1\n[sidecar.b]"]), "bz");
        assert_eq!(runnable(&["[sidecar]\na = 1\nb = {}"]), "bz");
        assert_eq!(runnable(&["[sidecar.a]", "[sidecar.a]\n[sidecar.b]"]), "bz");
    }

    #[test]
    fn an_error_that_could_concern_all_stops_all() {
        for text in [
            "[helper]\nengine = 1",
            "[defaults]\nport = 0",
            "[default]",
            "port = 80",
            "sidecar = 1",
            "[sidecar.\"a b\"]",
            "[sidecar.a]\nport = = 80",
            "[sidecar.a]\nport 80",
        ] {
            assert_eq!(runnable(&["[sidecar.b]", text]), "", "{text}");
        }
        assert_eq!(runnable(&["[defaults]\nport = 80", "[defaults]\nport = 80"]), "");
    }

    #[test]
    fn two_sidecars_on_one_container_both_stop() {
        assert_eq!(runnable(&["[sidecar.a]\ncontainer = \"b\"", "[sidecar.b]"]), "z");
        assert_eq!(
            runnable(&["[sidecar.a]\ncontainer = \"b\"\nengine = \"unix:///a\"", "[sidecar.b]"]),
            "abz"
        );
        assert_eq!(runnable(&["[defaults]\ncontainer = \"x\"\n[sidecar.a]\n[sidecar.b]"]), "");
    }

    #[test]
    fn naming_the_default_engine_is_no_other_engine() {
        for engine in ["/run/docker.sock", "/var/run/docker.sock"] {
            let a = format!("[sidecar.a]\ncontainer = \"b\"\nengine = \"unix://{engine}\"");
            assert_eq!(runnable(&[&a, "[sidecar.b]"]), "z", "{engine}");
        }
    }

    #[test]
    fn a_sidecar_without_a_table_cannot_take_the_container_of_another() {
        let config = config(&["[sidecar.a]\ncontainer = \"z\""]);
        assert_eq!(config.errors(), []);
        assert!(config.sidecar(&name("a")).is_ok());
        let errors = config.sidecar(&name("z")).unwrap_err();
        let message = errors.iter().map(ToString::to_string).collect::<String>();
        assert!(message.starts_with("0:2:13: sidecar.a.container: the container \"z\""), "{message}");
    }

    #[test]
    fn rivals_are_the_others_of_the_group_whose_container_is_certain() {
        let text = "[sidecar.a]\nexclusive = \"g\"
            [sidecar.b]\nexclusive = \"g\"\ncontainer = \"x\"\nengine = \"unix:///b\"\nidle_timeout = 5
            [sidecar.other]\nexclusive = \"h\"
            [sidecar.none]
            [sidecar.doubtful]\nexclusive = \"g\"\ncontainer = 5";
        let config = config(&[text, "[sidecar.twice]\nexclusive = \"g\"", "[sidecar.twice]"]);
        let rivals = |text: &str| config.sidecar(&name(text)).unwrap().rivals;
        let b = Rival { name: name("b"), engine: Some("/b".into()), container: "x".into() };
        assert_eq!(rivals("a"), [b]);
        for alone in ["other", "none", "nobody"] {
            assert_eq!(rivals(alone), [], "{alone}");
        }
    }

    #[test]
    fn says_what_a_sidecar_requires_in_the_order_of_the_list() {
        let config = config(&["[sidecar.a]\nrequires = [\"c\", \"b\"]", "[sidecar.b]", "[sidecar.c]"]);
        assert_eq!(config.errors(), []);
        assert_eq!(config.sidecar(&name("a")).unwrap().requires, [name("c"), name("b")]);
    }

    #[test]
    fn a_sidecar_need_not_pause_because_others_do() {
        let config = config(&["[defaults]\npause_after = \"1m\"\n[sidecar.a]\npause_after = \"never\""]);
        let [a, z] = ["a", "z"].map(|text| config.sidecar(&name(text)).unwrap().pause_after);
        assert_eq!([a, z], [None, Some(Duration::from_secs(60))]);
    }

    #[test]
    fn an_error_between_tables_stops_the_one_that_makes_it() {
        assert_eq!(runnable(&["[sidecar.a]\nrequires = [\"x\"]\n[sidecar.b]\nrequires = [\"a\"]"]), "bz");
        assert_eq!(runnable(&["[sidecar.a]\nrequires = [\"b\"]", "[sidecar.b]\nrequires = [\"a\"]"]), "z");
        assert_eq!(
            runnable(&["[sidecar.a]\nidle_timeout = \"1m\"\npause_after = \"1m\"\n[sidecar.b]"]),
            "bz"
        );
    }

    #[test]
    fn errors_are_in_the_order_of_files_and_lines() {
        let config = config(&["b = 1\na = 1\n[sidecar.a]\nport = 0", "[defaults]\nport = 0\nx"]);
        let places: Vec<_> =
            config.errors().iter().map(|error| (error.file.to_str().unwrap(), error.line)).collect();
        assert_eq!(places, [("0", 1), ("0", 2), ("0", 4), ("1", 2), ("1", 3)]);
    }
}
