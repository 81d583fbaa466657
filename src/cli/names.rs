//! `rouse names`: the sidecars that a shell may complete, one on each line.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;
use crate::name::Name;
use crate::{places, state};

/// Prints those with a table, a control socket or a state file. It says nothing else, not even of errors: who completes a
/// line is in the middle of typing it.
pub fn run(config: Option<&Path>) -> ExitCode {
    let names = known(&Config::read(config), &places::sockets(), &places::states());
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    // A shell that has gone does not complete any more.
    let _ = io::stdout().lock().write_all(lines.as_bytes());
    ExitCode::SUCCESS
}

fn known(config: &Config, sockets: &Path, states: &Path) -> BTreeSet<Name> {
    let tables = config.names().cloned();
    let sockets = fs::read_dir(sockets).into_iter().flatten().flatten().filter_map(|socket| {
        let socket = socket.file_name();
        Name::new(socket.to_str()?.strip_suffix(".sock")?).ok()
    });
    tables.chain(sockets).chain(state::sidecars(states).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_table_a_control_socket_or_a_state_file_makes_a_sidecar_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rouse.toml");
        fs::write(&file, "[sidecar.web]\n[sidecar.postgres]\n").unwrap();
        for (folder, files) in [("run", ["ollama.sock", "web.sock"]), ("lib", ["old.json", "old.lock"])] {
            let _ = files.map(|name| {
                let folder = file.with_file_name(folder);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(name), "").unwrap();
            });
        }
        let known =
            known(&Config::read(Some(&file)), &file.with_file_name("run"), &file.with_file_name("lib"));
        let known: Vec<_> = known.iter().map(Name::as_str).collect();
        assert_eq!(known, ["old", "ollama", "postgres", "web"]);
    }

    #[test]
    fn a_machine_without_rouse_knows_none() {
        let nowhere = Path::new("/proc/nowhere");
        assert!(known(&Config::read(Some(Path::new("/dev/null"))), nowhere, nowhere).is_empty());
    }
}
