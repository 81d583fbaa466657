//! All sidecars that this machine knows, and what can be seen of each without asking anybody.
//!
//! Folders and files are looked at, sockets are not connected to: systemd would start a helper.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::config::{Config, Error, Sidecar};
use crate::name::Name;
use crate::neighbours::socket;
use crate::places::{named, rouse};
use crate::record::Record;
use crate::state;

/// One sidecar, and what is known of it.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: Name,
    /// Its settings, the defaults if it has no table; or the errors that concern it.
    pub settings: Result<Sidecar, Vec<Error>>,
    /// Its control socket is there.
    pub enabled: bool,
    /// The process that has it now.
    pub helper: Option<u32>,
    /// What its last helper wrote; an error is a file that cannot be read.
    pub record: io::Result<Option<Record>>,
}

/// All sidecars by name, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those that have a table, a control socket or a state file.
    pub sidecars: Vec<Known>,
    /// What kept some from being found, each with its place.
    pub troubles: Vec<String>,
}

impl Survey {
    /// Looks at the configuration, the state files in `states` and the control sockets in `sockets`.
    pub fn of(config: &Config, states: &Path, sockets: &Path) -> Survey {
        let (names, mut troubles) = names(config, states, sockets);
        if !config.errors().is_empty() {
            troubles.insert(0, format!("the configuration has errors: `{}` shows them", rouse("check")));
        }
        let look = |name: Name| Known {
            settings: config.sidecar(&name),
            enabled: socket(sockets, &name).exists(),
            // Before the record: a helper that comes in between would make an old record look like its own.
            helper: state::helper(states, &name),
            record: state::look(states, &name),
            name,
        };
        Survey { sidecars: names.into_iter().map(look).collect(), troubles }
    }
}

/// The names of those that have a table, a control socket or a state file, and which folders could not be looked into.
pub fn names(config: &Config, states: &Path, sockets: &Path) -> (BTreeSet<Name>, Vec<String>) {
    let mut names: BTreeSet<Name> = config.names().cloned().collect();
    let mut troubles = Vec::new();
    for (folder, found) in [(states, state::sidecars(states)), (sockets, named(sockets, ".sock"))] {
        match found {
            Ok(found) => names.extend(found),
            Err(error) => troubles.push(format!("{} cannot be listed: {error}", folder.display())),
        }
    }
    (names, troubles)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use std::fs;

    use super::*;

    /// Folders for state files and control sockets with these files in them, and a configuration.
    fn machine(config: &str, states: &[(&str, &str)], sockets: &[&str]) -> (TempDir, Survey) {
        let dir = tempfile::tempdir().unwrap();
        let [state, run] = ["state", "run"].map(|folder| dir.path().join(folder));
        for folder in [&state, &run] {
            fs::create_dir(folder).unwrap();
        }
        states.iter().for_each(|(file, text)| fs::write(state.join(file), text).unwrap());
        sockets.iter().for_each(|file| fs::write(run.join(file), "").unwrap());
        let file = dir.path().join("rouse.toml");
        fs::write(&file, config).unwrap();
        let survey = Survey::of(&Config::read(Some(&file)), &state, &run);
        (dir, survey)
    }

    fn shown(survey: &Survey) -> Vec<&str> {
        survey.sidecars.iter().map(|known| known.name.as_str()).collect()
    }

    #[test]
    fn a_table_a_socket_or_a_state_file_makes_a_sidecar_known() {
        let states = [("c.json", "{"), ("d.lock", ""), ("e.json.bad", "")];
        let (_dir, survey) = machine("[sidecar.a]\n[sidecar.b]", &states, &["b.sock", "x", "z.sock"]);
        assert_eq!(shown(&survey), ["a", "b", "c", "z"]);
        let enabled: Vec<_> = survey.sidecars.iter().map(|known| known.enabled).collect();
        assert_eq!(enabled, [false, true, false, true]);
        assert!(survey.sidecars[2].record.is_err());
        assert_eq!(survey.troubles, [""; 0]);
    }

    #[test]
    fn a_broken_table_is_known_with_what_is_wrong() {
        let (_dir, survey) = machine("[sidecar.a]\nport = 0\n[sidecar.b]", &[], &[]);
        let rejected: Vec<_> = survey.sidecars.iter().map(|known| known.settings.is_err()).collect();
        assert_eq!(rejected, [true, false]);
        assert_eq!(survey.troubles.len(), 1);
    }

    #[test]
    fn folders_that_are_not_there_hold_nothing_and_others_are_told_of() {
        let config = Config::read_in(Path::new("/nowhere"));
        let survey = Survey::of(&config, Path::new("/nowhere"), Path::new("/nowhere"));
        assert!(survey.sidecars.is_empty() && survey.troubles.is_empty());
        let survey = Survey::of(&config, Path::new("/proc/version"), Path::new("/nowhere"));
        assert!(survey.troubles[0].starts_with("/proc/version cannot be listed: "), "{survey:?}");
    }
}
