//! Where unit files are looked for: the load path of systemd.unit(5).

use std::env;
use std::path::{Path, PathBuf};

/// The directories of the system manager, of which the first that has a file wins.
const USUAL: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// `$SYSTEMD_UNIT_PATH` where it is set, else the usual directories.
pub fn search_path() -> Vec<PathBuf> {
    path(env::var("SYSTEMD_UNIT_PATH").ok().as_deref())
}

fn path(variable: Option<&str>) -> Vec<PathBuf> {
    let Some(variable) = variable else { return usual().collect() };
    let own = variable.split(':').filter(|part| !part.is_empty()).map(PathBuf::from);
    // As for systemd, an empty end stands for the usual directories.
    let rest = (variable.is_empty() || variable.ends_with(':')).then(usual).into_iter().flatten();
    own.chain(rest).collect()
}

fn usual() -> impl Iterator<Item = PathBuf> {
    USUAL.iter().map(PathBuf::from)
}

/// The file `name` in the first directory of `path` that has it; a dangling link counts, for it hides those below.
pub(super) fn find(path: &[PathBuf], name: &str) -> Option<PathBuf> {
    let is_there = |file: &PathBuf| Path::symlink_metadata(file).is_ok();
    path.iter().map(|directory| directory.join(name)).find(is_there)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{USUAL, path};

    #[test]
    fn the_variable_replaces_the_usual_directories_or_goes_before_them() {
        assert_eq!(path(None).len(), USUAL.len());
        assert_eq!(path(Some("/a:/b")), [Path::new("/a"), Path::new("/b")]);
        let both = path(Some("/a:"));
        assert_eq!((both.len(), both[0].as_path()), (USUAL.len() + 1, Path::new("/a")));
    }
}
