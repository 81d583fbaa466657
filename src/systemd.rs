//! What systemd hands over, and what it is told back: sd_listen_fds(3) and sd_notify(3).

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use listenfd::ListenFd;
use nix::libc::{AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};
use nix::sys::socket::{SockaddrStorage, getpeername, getsockopt, sockopt};
use sd_notify::NotifyState;

use crate::name::{CONTROL, Name};

/// SD_LISTEN_FDS_START of sd_listen_fds(3).
const FIRST_FD: usize = 3;

/// The listening sockets of one helper, by the name that their socket unit gave them.
#[derive(Debug, Default)]
pub struct Sockets {
    /// At least one socket for each sidecar.
    pub sidecars: BTreeMap<Name, Vec<OwnedFd>>,
    /// The sockets named `control`.
    pub control: Vec<OwnedFd>,
}

/// Why the sockets cannot be used: a sentence for each thing that is wrong.
#[derive(Debug, PartialEq)]
pub struct Unusable(Vec<String>);

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

/// Takes the sockets that systemd passed. Call it once, while the process has one thread: listenfd edits the
/// environment.
pub fn take_sockets() -> Result<Sockets, Unusable> {
    let names = env::var("LISTEN_FDNAMES").ok();
    let first = env::var("LISTEN_FDS_FIRST_FD").ok().and_then(|text| text.parse().ok()).unwrap_or(FIRST_FD);
    let mut passed = ListenFd::from_env();
    let names = pair(names.as_deref(), passed.len(), first)?;

    let mut sockets = Sockets::default();
    let mut wrong = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let place = format!("fd {} ({name})", first + index);
        match take_listener(&mut passed, index) {
            Err(why) => wrong.push(format!("{place}: {why}")),
            Ok(socket) if name == CONTROL => sockets.control.push(socket),
            Ok(socket) => match Name::new(name) {
                Ok(name) => sockets.sidecars.entry(name).or_default().push(socket),
                Err(why) => wrong.push(format!("{place}: {why}: set FileDescriptorName= in its socket unit")),
            },
        }
    }
    if wrong.is_empty() && sockets.sidecars.is_empty() {
        wrong.push(format!(
            "only sockets named {CONTROL:?} were passed, and none of a sidecar: is its socket unit up?"
        ));
    }
    if wrong.is_empty() { Ok(sockets) } else { Err(Unusable(wrong)) }
}

/// Takes whatever listening sockets systemd passed; their names do not matter. Call it as [`take_sockets`].
pub fn take_listeners() -> Result<Vec<OwnedFd>, Unusable> {
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        let why = "no sockets were passed: start it through its socket unit (systemctl start rouse-metrics.socket) \
                   or with systemd-socket-activate";
        return Err(Unusable(vec![why.into()]));
    }
    let (mut sockets, mut wrong) = (Vec::new(), Vec::new());
    for index in 0..passed.len() {
        match take_listener(&mut passed, index) {
            Ok(socket) => sockets.push(socket),
            Err(why) => wrong.push(format!("fd {}: {why}", FIRST_FD + index)),
        }
    }
    if wrong.is_empty() { Ok(sockets) } else { Err(Unusable(wrong)) }
}

/// One name for each fd, in the order of the fds.
fn pair(names: Option<&str>, fds: usize, first: usize) -> Result<Vec<String>, Unusable> {
    let refuse = |why: String| Err(Unusable(vec![why]));
    if fds == 0 {
        return refuse(
            "no sockets were passed: start it through its socket unit (systemctl start rouse@NAME.socket) \
             or with systemd-socket-activate"
                .into(),
        );
    }
    let Some(names) = names else {
        return refuse(format!(
            "fd {first} has no name: LISTEN_FDNAMES is not set: set FileDescriptorName= in the socket unit"
        ));
    };
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    if names.len() < fds {
        return refuse(format!(
            "fd {} has no name: {fds} fds were passed, and {} in LISTEN_FDNAMES",
            first + names.len(),
            if names.len() == 1 { "one name".into() } else { format!("{} names", names.len()) },
        ));
    }
    if names.len() > fds {
        return refuse(format!(
            "fd {} is missing: {} names in LISTEN_FDNAMES, and {fds} fds were passed",
            first + fds,
            names.len()
        ));
    }
    Ok(names)
}

/// listenfd checks family and type, but neither says which is wrong nor that the socket listens.
fn take_listener(passed: &mut ListenFd, index: usize) -> Result<OwnedFd, String> {
    // AF_INET stands for both IP families there.
    for family in [AF_INET, AF_UNIX] {
        if let Ok(Some(socket)) = passed.take_custom::<OwnedFd>(index, family, SOCK_STREAM, "stream socket") {
            return listening(socket);
        }
        if let Ok(Some(_)) = passed.take_custom::<OwnedFd>(index, family, SOCK_DGRAM, "datagram socket") {
            return Err("is a datagram socket: use ListenStream=, not ListenDatagram=".into());
        }
    }
    Err("is not a stream socket: only ListenStream= with TCP or a unix path works".into())
}

fn listening(socket: OwnedFd) -> Result<OwnedFd, String> {
    if getsockopt(&socket, sockopt::AcceptConn) == Ok(true) {
        return Ok(socket);
    }
    use std::os::fd::AsRawFd;
    match getpeername::<SockaddrStorage>(socket.as_raw_fd()) {
        Ok(_) => Err("is a connected socket: use Accept=no in its socket unit".into()),
        Err(_) => Err("is a socket that does not listen".into()),
    }
}

/// The sockets are taken: systemd's start job is done.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// The line that `systemctl status` shows.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(&one_line(status))]);
}

/// The helper leaves, with a last line for `systemctl status`.
pub fn notify_stopping(status: &str) {
    notify(&[NotifyState::Status(status), NotifyState::Stopping]);
}

/// The helper is alive.
pub fn notify_watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// How often [`notify_watchdog`] is due: half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero())
}

fn notify(state: &[NotifyState<'_>]) {
    // Nobody can be told when telling fails; the helper's work does not depend on it.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(target: "rouse", "cannot notify systemd: {error}");
    }
}

/// The end of a line would begin another notification, and the text may hold an engine's own words.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{one_line, pair};

    #[test]
    fn a_status_is_one_notification_whatever_its_text() {
        assert_eq!(one_line("wake failed: no\nMAINPID=1\r\x1b[2J"), "wake failed: no MAINPID=1  [2J");
    }

    fn names(names: &str, fds: usize) -> Result<Vec<String>, String> {
        pair(Some(names), fds, 3).map_err(|error| error.to_string())
    }

    #[test]
    fn names_follow_the_order_of_the_fds() {
        assert_eq!(names("web", 1).unwrap(), ["web"]);
        assert_eq!(names("control:web:web", 3).unwrap(), ["control", "web", "web"]);
    }

    #[test]
    fn an_fd_without_a_name_is_told_by_its_number() {
        assert!(names("web", 2).unwrap_err().starts_with("fd 4 has no name"));
        assert!(names("a:b", 4).unwrap_err().starts_with("fd 5 has no name"));
        assert!(pair(None, 1, 3).unwrap_err().to_string().starts_with("fd 3 has no name"));
    }

    #[test]
    fn a_name_without_an_fd_is_told_too() {
        assert!(names("a:b", 1).unwrap_err().starts_with("fd 4 is missing"));
    }

    #[test]
    fn no_fds_at_all_says_how_to_start_it() {
        assert!(pair(None, 0, 3).unwrap_err().to_string().contains("rouse@NAME.socket"));
    }
}
