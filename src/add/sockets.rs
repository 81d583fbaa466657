//! Where the sockets of sidecars listen, as their units say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::listen::Listen;
use super::places::Places;
use crate::name::Name;

/// One `ListenStream=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The sidecar.
    pub sidecar: Name,
    /// Where it listens.
    pub listen: Listen,
    /// The file that says so.
    pub file: PathBuf,
}

/// All that the units `rouse@NAME.socket` and their drop-ins say, without the files `except`. What cannot be read is left out:
/// `rouse check` is who complains of it.
pub fn sockets(places: &Places, except: &[PathBuf]) -> Vec<Socket> {
    // By sidecar, then in the order in which systemd reads them: the unit itself has no name here.
    let mut files: BTreeMap<(Name, OsString), PathBuf> = BTreeMap::new();
    for folder in places.units() {
        for unit in entries(&folder) {
            let text = unit.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(instance) = text.strip_prefix("rouse@") else { continue };
            if let Some(name) = instance.strip_suffix(".socket").and_then(|name| Name::new(name).ok()) {
                files.entry((name, OsString::new())).or_insert(unit);
            } else if let Some(name) =
                instance.strip_suffix(".socket.d").and_then(|name| Name::new(name).ok())
            {
                let parts = entries(&unit)
                    .into_iter()
                    .filter(|part| part.extension().is_some_and(|end| end == "conf"));
                for part in parts {
                    let key = (name.clone(), part.file_name().unwrap_or_default().to_owned());
                    files.entry(key).or_insert(part);
                }
            }
        }
    }
    files.retain(|_, path| !except.contains(path));
    let mut found: Vec<Socket> = Vec::new();
    for ((sidecar, _), file) in files {
        for value in values(&fs::read_to_string(&file).unwrap_or_default()) {
            let value = value.replace("%%", "%").replace("%i", sidecar.as_str());
            match value.parse() {
                // An empty one takes back what was said before.
                _ if value.is_empty() => found.retain(|socket| socket.sidecar != sidecar),
                Ok(listen) => found.push(Socket { sidecar: sidecar.clone(), listen, file: file.clone() }),
                Err(_) => {}
            }
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The values of `ListenStream=` in a unit's text.
fn values(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    lines.filter(|(key, _)| key.trim() == "ListenStream").map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_units_and_drop_ins_say_is_found() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "etc/systemd/system/rouse@a.socket.d/listen.conf",
            "[Socket]\n# ListenStream=1\nListenStream = 80\n",
        );
        put("usr/lib/systemd/system/rouse@a.socket.d/listen.conf", "[Socket]\nListenStream=81\n");
        put("etc/systemd/system/rouse@a.socket.d/note.txt", "ListenStream=82\n");
        put("usr/lib/systemd/system/rouse@b.socket", "[Socket]\nListenStream=90\n");
        put(
            "run/systemd/system/rouse@b.socket.d/x.conf",
            "ListenStream=\nListenStream=/run/%i.sock\nListenStream=nonsense\n",
        );
        put("etc/systemd/system/nginx.socket", "[Socket]\nListenStream=80\n");
        put("usr/lib/systemd/system/rouse@.socket", "[Socket]\nListenStream=99\n");
        let places = Places::below(root.path());
        let found = |except: &[PathBuf]| -> Vec<String> {
            let sockets = sockets(&places, except);
            sockets.iter().map(|socket| format!("{} {}", socket.sidecar, socket.listen)).collect()
        };
        assert_eq!(found(&[]), ["a 80", "b /run/b.sock"]);
        assert_eq!(found(&[places.drop_in(&Name::new("a").unwrap())]), ["b /run/b.sock"]);
        assert!(sockets(&Places::below(Path::new("/nonexistent")), &[]).is_empty());
    }
}
