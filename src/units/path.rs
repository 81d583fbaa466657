//! Where unit files are looked for: the load path of systemd.unit(5).

use std::env;
use std::path::{Path, PathBuf};

use crate::places;

/// `$SYSTEMD_UNIT_PATH` where it is set, else the usual directories; below `root`, as with `systemctl --root`.
pub fn search_path(root: &Path) -> Vec<PathBuf> {
    let path = path(env::var("SYSTEMD_UNIT_PATH").ok().as_deref());
    path.iter().map(|directory| below(root, directory)).collect()
}

/// Where `directory` is if `root` stands for `/`.
pub fn below(root: &Path, directory: &Path) -> PathBuf {
    root.join(directory.strip_prefix("/").unwrap_or(directory))
}

fn path(variable: Option<&str>) -> Vec<PathBuf> {
    let Some(variable) = variable else { return usual().collect() };
    let own = variable.split(':').filter(|part| !part.is_empty()).map(PathBuf::from);
    // As for systemd, an empty end stands for the usual directories.
    let rest = (variable.is_empty() || variable.ends_with(':')).then(usual).into_iter().flatten();
    own.chain(rest).collect()
}

fn usual() -> impl Iterator<Item = PathBuf> {
    places::unit_path().iter().cloned()
}

/// The file `name` in the first directory of `path` that has it; a dangling link counts, for it hides those below.
pub(super) fn find(path: &[PathBuf], name: &str) -> Option<PathBuf> {
    let is_there = |file: &PathBuf| Path::symlink_metadata(file).is_ok();
    path.iter().map(|directory| directory.join(name)).find(is_there)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{below, path, usual};

    #[test]
    fn the_variable_replaces_the_usual_directories_or_goes_before_them() {
        assert_eq!(path(None).len(), usual().count());
        assert_eq!(path(Some("/a:/b")), [Path::new("/a"), Path::new("/b")]);
        let both = path(Some("/a:"));
        assert_eq!((both.len(), both[0].as_path()), (usual().count() + 1, Path::new("/a")));
    }

    #[test]
    fn a_root_stands_before_each_directory() {
        assert_eq!(below(Path::new("/"), Path::new("/etc/x")), Path::new("/etc/x"));
        assert_eq!(below(Path::new("/srv/image"), Path::new("/etc/x")), Path::new("/srv/image/etc/x"));
    }
}
