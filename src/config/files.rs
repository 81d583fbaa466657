//! Which files make up the configuration, and their text.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::error::{Concerns, Error, Wrong};
use super::source::{Place, Source};

/// A larger file is none that somebody wrote; reading, say, a disk image would take all memory.
const LARGEST: u64 = 1 << 20;

/// `rouse.toml` in `base` and `rouse.d/*.toml` in name order, as far as they exist.
pub(super) fn find(base: &Path, errors: &mut Vec<Error>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let main = base.join("rouse.toml");
    // Whatever else is wrong with it, reading will tell; a dangling link is there, and is meant to be read.
    if !fs::symlink_metadata(&main).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        files.push(main);
    }
    let directory = base.join("rouse.d");
    match list(&directory) {
        Ok(found) => files.extend(found),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => errors.push(unreadable(&directory, &error)),
    }
    // A pipe that is given by --config has somebody at its other end; one that lies about would be waited for without end.
    let is_pipe = |file: &PathBuf| fs::metadata(file).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let (pipes, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_pipe);
    for pipe in pipes {
        let wrong = Wrong::new("is a pipe, so it was not read", "a TOML file");
        errors.push(Place::start_of(&pipe).error("", wrong, Concerns::All));
    }
    files
}

/// Reads one file; an error in that concerns every sidecar, because any could be in it.
pub(super) fn read(path: &Path, errors: &mut Vec<Error>) -> Option<Source> {
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = result {
        errors.push(unreadable(path, &error));
        return None;
    }
    if bytes.len() as u64 > LARGEST {
        let wrong = Wrong::new("larger than 1 MiB", "a TOML file of settings");
        errors.push(Place::start_of(path).error("", wrong, Concerns::All));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Source::new(path.to_owned(), text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            // Up to the first bad byte the lossy text is the file itself, so the offset fits it.
            let source = Source::new(path.to_owned(), String::from_utf8_lossy(error.as_bytes()).into_owned());
            let wrong = Wrong::new("not UTF-8 from here on", "save the file as UTF-8");
            errors.push(source.place(valid).error("", wrong, Concerns::All));
            None
        }
    }
}

/// What the shell's `*.toml` would find in `directory`.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            found.push(directory.join(name));
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let cure = match error.kind() {
        ErrorKind::NotFound => "name a file that exists",
        ErrorKind::PermissionDenied => "let the user that runs rouse read it",
        ErrorKind::IsADirectory => "name a file, not a directory",
        ErrorKind::NotADirectory => "make it a directory of *.toml files",
        _ => "a TOML file that can be read",
    };
    Place::start_of(path).error("", Wrong::new(format!("cannot be read: {error}"), cure), Concerns::All)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::{LARGEST, find, read};

    /// An empty directory of this test's own.
    fn directory(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rouse-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn complaint(path: &Path) -> String {
        let mut errors = Vec::new();
        assert!(read(path, &mut errors).is_none());
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn finds_nothing_where_nothing_is() {
        let mut errors = Vec::new();
        assert!(find(Path::new("/nonexistent"), &mut errors).is_empty());
        assert_eq!(errors, []);
    }

    #[test]
    fn finds_files_in_the_order_of_their_names() {
        let base = directory("order");
        fs::create_dir(base.join("rouse.d")).unwrap();
        for name in [
            "rouse.toml",
            "rouse.d/b.toml",
            "rouse.d/10.toml",
            "rouse.d/9.toml",
            "rouse.d/.b.toml",
            "rouse.d/b.toml~",
        ] {
            fs::write(base.join(name), "").unwrap();
        }
        let mut errors = Vec::new();
        let found = find(&base, &mut errors);
        let expected =
            ["rouse.toml", "rouse.d/10.toml", "rouse.d/9.toml", "rouse.d/b.toml"].map(|name| base.join(name));
        assert_eq!(found, expected);
        assert_eq!(errors, []);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn reports_a_dangling_link_and_a_directory_that_is_none() {
        let base = directory("wrong");
        symlink("/nonexistent", base.join("rouse.toml")).unwrap();
        fs::write(base.join("rouse.d"), "").unwrap();
        let mut errors = Vec::new();
        let found = find(&base, &mut errors);
        assert!(complaint(&found[0]).contains("rouse.toml:1:1: cannot be read"));
        assert!(errors[0].to_string().contains("rouse.d:1:1: cannot be read"), "{}", errors[0]);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn reports_what_is_no_file_of_settings() {
        let base = directory("odd");
        assert!(complaint(&base).contains("name a file, not a directory"));
        assert!(complaint(&base.join("none.toml")).contains("name a file that exists"));
        assert!(complaint(Path::new("/dev/zero")).contains("larger than 1 MiB"));
        fs::write(base.join("most.toml"), " ".repeat(LARGEST as usize)).unwrap();
        assert!(read(&base.join("most.toml"), &mut Vec::new()).is_some());
        fs::write(base.join("latin1.toml"), b"a = 1\n# \xc3\xa4 caf\xe9").unwrap();
        assert!(complaint(&base.join("latin1.toml")).contains("latin1.toml:2:8: not UTF-8"));
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_pipe_that_lies_about_is_an_error_and_is_not_waited_for() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("rouse.d")).unwrap();
        let pipe = base.path().join("rouse.d/web.toml");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut errors = Vec::new();
        assert_eq!(find(base.path(), &mut errors), Vec::<PathBuf>::new());
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(error.file == pipe && error.to_string().contains("is a pipe"), "{error}");
    }
}
