//! Both files of all sidecars, or none: written whole under another name first, and taken back when one cannot be.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

use nix::errno::Errno;

/// A file that is to be.
#[derive(Clone, Debug)]
pub struct New {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// Why a file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// These are there already.
    #[error("{} there already: --force overwrites what is there", are(.0))]
    Exists(Vec<PathBuf>),
    /// This user may not change that folder.
    #[error("{} cannot be changed by this user", .0.display())]
    Denied(PathBuf),
    /// The system said no.
    #[error("{} cannot be {verb}: {cause}", path.display())]
    Failed {
        /// The file or folder.
        path: PathBuf,
        /// What was to be done with it.
        verb: &'static str,
        /// The system's error.
        cause: io::Error,
    },
}

fn are(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// What has been done so far, each to be taken back.
enum Done {
    /// This folder was made.
    Folder(PathBuf),
    /// This file was written under the name that is not its own yet.
    Draft(PathBuf),
    /// This file is new.
    Placed(PathBuf),
    /// The file of the first name was replaced; it has the second name now.
    Replaced(PathBuf, PathBuf),
}

/// Says which of `files` are there already, unless that is no reason not to write them.
pub fn may_write(files: &[New], force: bool) -> Result<(), Error> {
    let there: Vec<PathBuf> =
        files.iter().map(|file| &file.path).filter(|path| is_there(path)).cloned().collect();
    if there.is_empty() || force { Ok(()) } else { Err(Error::Exists(there)) }
}

/// Writes all of `files`, over those that are there if `force`, or leaves all as it was.
pub fn write(files: &[New], force: bool) -> Result<(), Error> {
    may_write(files, force)?;
    let mut done = Vec::new();
    if let Err(error) = try_write(files, force, &mut done) {
        // The last first: a folder is empty again only after what was put into it.
        for step in done.into_iter().rev() {
            step.take_back();
        }
        return Err(error);
    }
    for step in &done {
        if let Done::Replaced(_, old) = step {
            let _ = fs::remove_file(old);
        }
    }
    Ok(())
}

fn try_write(files: &[New], force: bool, done: &mut Vec<Done>) -> Result<(), Error> {
    for file in files {
        let folder = file.path.parent().unwrap_or(Path::new("/"));
        make_folder(folder, done)?;
        let draft = beside(&file.path, "new");
        done.push(Done::Draft(draft.clone()));
        write_draft(&draft, &file.text).map_err(failed(&file.path, "written"))?;
    }
    for file in files {
        place(&file.path, force, done).map_err(failed(&file.path, "written"))?;
    }
    for folder in files.iter().filter_map(|file| file.path.parent()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "written"))?;
    }
    Ok(())
}

/// Makes `folder` and those above it; whatever the umask is, others can look into them.
fn make_folder(folder: &Path, done: &mut Vec<Done>) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above, done)?;
    }
    let made = match fs::create_dir(folder) {
        // Another one, just now.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        made => made,
    };
    made.map_err(failed(folder, "made"))?;
    done.push(Done::Folder(folder.to_owned()));
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(failed(folder, "made"))
}

fn write_draft(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// Gives the draft its name.
fn place(path: &Path, force: bool, done: &mut Vec<Done>) -> io::Result<()> {
    let (draft, old) = (beside(path, "new"), beside(path, "old"));
    if force && is_there(path) {
        // A second name for the old one, under which it waits to be needed again.
        fs::hard_link(path, &old)?;
        done.push(Done::Replaced(path.to_owned(), old));
        return fs::rename(&draft, path);
    }
    // Unlike a rename this fails if somebody has made the file in the meantime.
    fs::hard_link(&draft, path)?;
    done.push(Done::Placed(path.to_owned()));
    fs::remove_file(&draft)
}

impl Done {
    /// Nothing more can be done where this fails.
    fn take_back(self) {
        let _ = match self {
            Done::Folder(path) => fs::remove_dir(path),
            Done::Draft(path) | Done::Placed(path) => fs::remove_file(path),
            Done::Replaced(path, old) => fs::rename(&old, &path).and_then(|()| match is_there(&old) {
                // Two names of one file: a rename does nothing then (rename(2)).
                true => fs::remove_file(&old),
                false => Ok(()),
            }),
        };
    }
}

/// A name that neither systemd nor rouse reads.
fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}-{}", process::id()))
}

pub(super) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(super) fn failed(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    // Not EPERM, which says that nobody may, such as about a file that cannot be changed.
    move |cause| match cause.raw_os_error() == Some(Errno::EACCES as i32) {
        true => Error::Denied(path.parent().map_or(path.clone(), Path::to_owned)),
        false => Error::Failed { path, verb, cause },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn new(path: PathBuf, text: &str) -> New {
        New { path, text: text.to_owned() }
    }

    /// Every name below `folder`, and the text of each file.
    fn all(folder: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
                let name = entry.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&entry).unwrap_or_default()));
                if entry.is_dir() {
                    open.push(entry);
                }
            }
        }
        found.sort();
        found
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_and_their_folders_can_be_read_by_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c.toml");
        write(&[new(path.clone(), "text\n")], false).unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(mode(&dir.path().join("a")), 0o755);
        let names: Vec<_> = all(dir.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c.toml"], "nothing else is left");
    }

    #[test]
    fn what_is_there_is_overwritten_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("x/one"), dir.path().join("two"));
        fs::write(&two, "old").unwrap();
        let before = all(dir.path());
        let files = [new(one, "new"), new(two.clone(), "new")];
        let error = write(&files, false).unwrap_err().to_string();
        assert!(error.contains(&two.display().to_string()) && error.contains("--force"), "{error}");
        assert_eq!(all(dir.path()), before);
        write(&files, true).unwrap();
        let texts: Vec<_> = all(dir.path()).into_iter().collect();
        assert_eq!(texts, [("two", "new"), ("x", ""), ("x/one", "new")].map(|(a, b)| (a.into(), b.into())));
    }

    #[test]
    fn if_one_cannot_be_written_all_is_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let (old, taken) = (dir.path().join("old"), dir.path().join("taken"));
        fs::write(&old, "old").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o600)).unwrap();
        // A folder cannot be replaced by a file.
        fs::create_dir(&taken).unwrap();
        let before = all(dir.path());
        let files = [new(dir.path().join("x/y/new"), "new"), new(old.clone(), "new"), new(taken, "new")];
        let error = write(&files, true).unwrap_err().to_string();
        assert!(error.contains("taken cannot be"), "{error}");
        assert_eq!(all(dir.path()), before);
        assert_eq!(mode(&old), 0o600, "the same file as before");
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rouse.d"), "").unwrap();
        let before = all(dir.path());
        let error = write(&[new(dir.path().join("rouse.d/a.toml"), "")], false).unwrap_err().to_string();
        assert!(error.contains("rouse.d"), "{error}");
        assert_eq!(all(dir.path()), before);
    }
}
