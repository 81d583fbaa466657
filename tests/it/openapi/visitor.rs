//! Somebody who calls control sockets and holds every answer against the description.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::description::{Answer, Case, Description};

/// So long a call may take.
const ENOUGH: Duration = Duration::from_secs(30);

pub struct Visitor {
    description: Description,
    folder: PathBuf,
    seen: RefCell<BTreeSet<Case>>,
}

impl Visitor {
    /// One who finds control sockets in `folder`.
    pub fn new(folder: &Path) -> Visitor {
        let seen = RefCell::default();
        Visitor { description: Description::read(), folder: folder.to_owned(), seen }
    }

    /// Where the control sockets are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is described and was not seen.
    pub fn unseen(&self) -> BTreeSet<Case> {
        &self.description.cases() - &self.seen.borrow()
    }

    /// `GET` of the sidecar.
    #[track_caller]
    pub fn show(&self, sidecar: &str) -> Answer {
        self.call("GET", sidecar, sidecar, "", &[])
    }

    /// `POST` of a verb and its parameters.
    #[track_caller]
    pub fn post(&self, sidecar: &str, verb: &str) -> Answer {
        self.call("POST", sidecar, sidecar, &format!("/{verb}"), &[])
    }

    /// Calls about `sidecar` over the socket of `socket`, with a body. The answer is held against the description of what
    /// is there for another method, if nothing is for this one.
    #[track_caller]
    pub fn call(&self, method: &str, socket: &str, sidecar: &str, rest: &str, body: &[u8]) -> Answer {
        let (answer, _) =
            self.exchange(method, socket, &format!("/v1/sidecars/{sidecar}{rest}"), "1.1", body);
        self.judge(method, rest, answer)
    }

    /// A hold that lasts until the stream is dropped, and its answer so far.
    #[track_caller]
    pub fn hold(&self, sidecar: &str, parameters: &str) -> (Answer, UnixStream) {
        let rest = format!("/hold{parameters}");
        // Without chunks its body is the line alone.
        let path = format!("/v1/sidecars/{sidecar}{rest}");
        let (answer, stream) = self.exchange("POST", sidecar, &path, "1.0", &[]);
        (self.judge("POST", &rest, answer), stream)
    }

    #[track_caller]
    fn judge(&self, method: &str, rest: &str, answer: Answer) -> Answer {
        let path = format!("/v1/sidecars/{{name}}{}", rest.split('?').next().unwrap_or_default());
        let cases = self.description.cases();
        let here = cases.iter().map(|(operation, _)| operation).filter(|(_, its)| *its == path);
        let operations: BTreeSet<_> = here.collect();
        let own = operations.iter().find(|(its, _)| its.eq_ignore_ascii_case(method));
        let operation = own.or(operations.first()).unwrap_or_else(|| panic!("{path} is not described"));
        self.description.check(operation, &answer);
        self.seen.borrow_mut().insert(((*operation).clone(), answer.status));
        answer
    }

    /// The answer to any request as it is, to its end, or of a body that stays open its first line.
    #[track_caller]
    pub fn exchange(
        &self,
        method: &str,
        socket: &str,
        path: &str,
        version: &str,
        body: &[u8],
    ) -> (Answer, UnixStream) {
        let mut stream = UnixStream::connect(self.folder.join(format!("{socket}.sock"))).unwrap();
        stream.set_read_timeout(Some(ENOUGH)).unwrap();
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        write!(stream, "{method} {path} HTTP/{version}\r\nhost: rouse\r\n{length}\r\n").unwrap();
        // A helper that reads no body may have answered and gone before the end of it.
        let _ = stream.write_all(body);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            line.trim_end().to_owned()
        };
        let status = line();
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer to {method} {path}"));
        let heads = std::iter::repeat_with(&mut line).take_while(|line| !line.is_empty());
        let headers = heads.filter_map(|head| {
            head.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        });
        let headers: Vec<_> = headers.collect();
        let length = headers.iter().find(|(key, _)| key == "content-length").map(|(_, value)| value);
        let mut body = String::new();
        match length.and_then(|value| value.parse().ok()) {
            Some(length) => drop(reader.take(length).read_to_string(&mut body).unwrap()),
            None => drop(reader.read_line(&mut body).unwrap()),
        }
        (Answer { status, headers, body }, stream)
    }
}
