//! The filter of packaging/examples before the engine.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::docker::skip;
use super::spawn::spawn_with;

const CONFIG: &str = include_str!("../../../packaging/examples/socket-proxy/rouse-engine.cfg");

/// A haproxy with that configuration, and the socket that systemd would pass to it.
pub struct Proxy {
    dir: TempDir,
    haproxy: Child,
}

impl Proxy {
    /// One before `engine` that knows `containers` alone, or all; none, with the reason told, where there is no haproxy.
    #[track_caller]
    pub fn new(engine: &Path, containers: Option<&[String]>) -> Option<Proxy> {
        if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
            skip("haproxy is not installed");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("rouse-proxy-").tempdir().unwrap();
        let mut config = replaced(CONFIG, "/run/docker.sock", &engine.display().to_string());
        if let Some(containers) = containers {
            let list = dir.path().join("containers");
            std::fs::write(&list, containers.join("\n")).unwrap();
            config = replaced(&config, "/etc/haproxy/rouse-containers", &list.display().to_string());
            config = replaced(&replaced(&config, "#acl ours", "acl ours"), "#http-request", "http-request");
        }
        let file = dir.path().join("rouse-engine.cfg");
        std::fs::write(&file, config).unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let haproxy = spawn_with(&[listener.as_fd()], |fds| {
            let script = format!("exec 3<&{0} {0}<&-; exec haproxy -db -f \"$0\"", fds[0]);
            let mut command = Command::new("/bin/bash");
            command.args(["-c", &script]).arg(&file);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        });
        Some(Proxy { dir, haproxy })
    }

    /// Where a helper finds its engine.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.haproxy.id()).unwrap()
    }

    /// Sends this head, with a blank line after it, and `body`; gives the status.
    #[track_caller]
    pub fn ask(&self, head: &str, body: &str) -> u16 {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // At once, since it may answer before it has read all.
        let request = format!("{head}\r\nHost: engine\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
        line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer to {head}: {line:?}")).parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.haproxy.kill();
        let _ = self.haproxy.wait();
    }
}

/// The text with `what`, which it has once, replaced.
#[track_caller]
fn replaced(text: &str, what: &str, by: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what}");
    text.replace(what, by)
}
