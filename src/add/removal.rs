//! What `rouse add` has written, gone again, and nothing else.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{Error, failed, is_there};
use super::texts::MARK;

/// What became of a sidecar's files.
#[derive(Debug, PartialEq, Eq)]
pub enum Removal {
    /// These are gone, or would be.
    Removed(Vec<PathBuf>),
    /// These are somebody else's work, so all of them are still there.
    Foreign(Vec<PathBuf>),
    /// There were none.
    Nothing,
}

/// Removes those of `paths` that `rouse add` has written, or all if `force`, and the folder of the last if that leaves it empty;
/// with `pretend` it only says so.
pub fn remove(paths: &[PathBuf], force: bool, pretend: bool) -> Result<Removal, Error> {
    let there: Vec<PathBuf> = paths.iter().filter(|path| is_there(path)).cloned().collect();
    if !force {
        let mut foreign = Vec::new();
        for path in &there {
            if !is_marked(path)? {
                foreign.push(path.clone());
            }
        }
        if !foreign.is_empty() {
            return Ok(Removal::Foreign(foreign));
        }
    }
    if there.is_empty() {
        return Ok(Removal::Nothing);
    }
    if !pretend {
        for path in &there {
            fs::remove_file(path).map_err(failed(path, "removed"))?;
        }
        // Others may have put drop-ins of their own there.
        let _ = paths.last().and_then(|path| path.parent()).map(fs::remove_dir);
    }
    Ok(Removal::Removed(there))
}

/// Whether its first line says that `rouse add` wrote it.
fn is_marked(path: &Path) -> Result<bool, Error> {
    // A pipe would be waited for.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(false);
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().next() == Some(MARK)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(path, "read")(error)),
        // What is no text was not written here.
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Every name below `folder`.
    fn all(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let below = |path: PathBuf| {
            if path.is_dir() { [vec![path.clone()], all(&path)].concat() } else { vec![path] }
        };
        entries.flat_map(below).collect()
    }

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn only_what_carries_the_mark_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [table, drop_in] = ["web.toml", "web.d/listen.conf"].map(|name| dir.path().join(name));
        let paths = [table.clone(), drop_in.clone()];
        assert_eq!(remove(&paths, false, false).unwrap(), Removal::Nothing);
        let marked = format!("{MARK}\nwhatever an admin has added\n");
        put(&table, &marked);
        put(&drop_in, "[Socket]\n");
        let before = all(dir.path());
        assert_eq!(remove(&paths, false, false).unwrap(), Removal::Foreign(vec![drop_in.clone()]));
        assert_eq!(remove(&paths, true, true).unwrap(), Removal::Removed(paths.to_vec()));
        assert_eq!(all(dir.path()), before);
        fs::write(&drop_in, &marked).unwrap();
        assert_eq!(remove(&paths, false, false).unwrap(), Removal::Removed(paths.to_vec()));
        assert!(all(dir.path()).is_empty());
    }

    #[test]
    fn a_folder_with_other_drop_ins_stays() {
        let dir = tempfile::tempdir().unwrap();
        let drop_in = dir.path().join("web.d/listen.conf");
        put(&drop_in, MARK);
        put(&dir.path().join("web.d/mine.conf"), "");
        assert_eq!(
            remove(std::slice::from_ref(&drop_in), false, false).unwrap(),
            Removal::Removed(vec![drop_in])
        );
        assert!(dir.path().join("web.d/mine.conf").exists());
    }
}
