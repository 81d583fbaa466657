//! The control socket of a sidecar, as another program calls it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::wait::DEADLINE;

/// One sidecar's control socket.
pub struct Control {
    path: PathBuf,
    name: String,
}

/// The status of an answer, and its body or the first line of it.
pub type Reply = (u16, String);

/// A hold, for as long as it is kept.
pub struct Kept {
    reader: BufReader<UnixStream>,
}

impl Kept {
    /// Waits until it has been ended from the other side.
    #[track_caller]
    pub fn ends(&mut self) {
        self.reader.read_to_string(&mut String::new()).unwrap();
    }
}

impl Control {
    /// The one that `Plan::control` has put into `folder`.
    pub fn new(folder: &Path, name: &str) -> Control {
        Control { path: folder.join(format!("{name}.sock")), name: name.to_owned() }
    }

    /// Asks for `verb`, such as `yield?to=web`, and reads the whole answer.
    #[track_caller]
    pub fn post(&self, verb: &str) -> Reply {
        let (status, mut kept) = self.begin(verb);
        let mut body = String::new();
        kept.reader.read_to_string(&mut body).unwrap();
        (status, body)
    }

    /// What the sidecar says of itself.
    #[track_caller]
    pub fn show(&self) -> Value {
        let (status, mut kept) = self.send("GET", "");
        let mut body = String::new();
        kept.reader.read_to_string(&mut body).unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Takes a hold: it is granted when this returns.
    #[track_caller]
    pub fn hold(&self, by: &str) -> Kept {
        let (status, mut kept) = self.begin(&format!("hold?by={by}"));
        let mut line = String::new();
        kept.reader.read_line(&mut line).unwrap();
        assert_eq!(status, 200, "{line}");
        kept
    }

    /// Sends the request and reads the head of the answer.
    #[track_caller]
    pub fn begin(&self, verb: &str) -> (u16, Kept) {
        self.send("POST", &format!("/{verb}"))
    }

    /// Asks for `verb`, and leaves without an answer once `meanwhile` has returned.
    pub fn leave(&self, verb: &str, meanwhile: impl FnOnce()) {
        let stream = self.ask("POST", &format!("/{verb}"));
        meanwhile();
        drop(stream);
    }

    #[track_caller]
    fn send(&self, method: &str, verb: &str) -> (u16, Kept) {
        let mut reader = BufReader::new(self.ask(method, verb));
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer to {verb}: {line:?}"));
        let status = status.parse().unwrap();
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        (status, Kept { reader })
    }

    #[track_caller]
    fn ask(&self, method: &str, verb: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let Control { name, .. } = self;
        write!(
            stream,
            "{method} /v1/sidecars/{name}{verb} HTTP/1.1\r\nhost: rouse\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        stream
    }
}
