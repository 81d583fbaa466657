//! The part of a service unit that matters here, and the manager that keeps it.

use std::io::{BufRead, BufReader};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::listener::{Address, Listener};
use super::record::Record;
use super::spawn::spawn_with;

/// More starts than any test needs: a helper that exits at once with a client queued would run for ever.
const MOST_STARTS: usize = 400;

/// What the unit file of a helper says.
pub struct Unit {
    pub env: Vec<(String, String)>,
    pub config: PathBuf,
    pub open_files: Option<usize>,
    pub restart: bool,
    pub arguments: Vec<String>,
}

impl Unit {
    /// The descriptors at 3 and up, LISTEN_PID and WATCHDOG_PID true, as systemd does it.
    fn command(&self, fds: &[RawFd]) -> Command {
        let moves: String =
            fds.iter().enumerate().map(|(i, fd)| format!("exec {}<&{fd} {fd}<&-; ", i + 3)).collect();
        let limit = self.open_files.map(|limit| format!("ulimit -n {limit}; ")).unwrap_or_default();
        let script = format!("{moves}{limit}export LISTEN_PID=$$ WATCHDOG_PID=$$; exec \"$0\" \"$@\"");
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_rouse")]).args(&self.arguments);
        command.arg("--config").arg(&self.config);
        command.env_remove("JOURNAL_STREAM").envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Starts the helper when it is wanted or a client is queued, until the host closes.
pub fn supervise(unit: &Unit, listeners: &[Listener], record: &Arc<Record>) {
    loop {
        let (wanted, closing) = record.change(|facts| {
            assert!(facts.starts.len() < MOST_STARTS, "the helper is started for ever");
            (std::mem::take(&mut facts.start_wanted), facts.closing)
        });
        if closing {
            return;
        }
        if wanted || client_queued(listeners) {
            let status = run_once(unit, listeners, record);
            if unit.restart && !status.success() {
                let closed = record.wait_for(Duration::from_millis(100), |facts| facts.closing.then_some(()));
                record.change(|facts| facts.start_wanted = closed.is_none());
            }
        }
    }
}

fn client_queued(listeners: &[Listener]) -> bool {
    let listening = listeners.iter().filter(|listener| !matches!(listener.address, Address::Nowhere));
    let mut polled: Vec<PollFd<'_>> =
        listening.map(|listener| PollFd::new(listener.fd(), PollFlags::POLLIN)).collect();
    poll(&mut polled, PollTimeout::from(10u8)).unwrap() > 0
}

fn run_once(unit: &Unit, listeners: &[Listener], record: &Arc<Record>) -> ExitStatus {
    let fds: Vec<BorrowedFd<'_>> = listeners.iter().map(Listener::fd).collect();
    let at = record.now();
    let mut child = spawn_with(&fds, |fds| unit.command(fds));
    let pid = i32::try_from(child.id()).unwrap();
    record.change(|facts| {
        facts.starts.push(at);
        facts.pid = Some(pid);
        // The host may have closed since it was asked, and has found nobody to end.
        if facts.closing {
            let _ = child.kill();
        }
    });
    let reader = hear_lines(&mut child, Arc::clone(record));
    // Seen dead first and reaped under the record's lock, so that `signal` never meets a number used anew.
    waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    reader.join().unwrap();
    let at = record.now();
    record.change(|facts| {
        let status = child.wait().unwrap();
        facts.pid = None;
        facts.exits.push((at, status));
        status
    })
}

fn hear_lines(child: &mut Child, record: Arc<Record>) -> JoinHandle<()> {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            let at = record.now();
            record.change(|facts| facts.lines.push((at, String::from_utf8_lossy(&line).into_owned())));
        }
    })
}

/// Gathers notifications until the empty message that `Host::drop` sends.
pub fn hear_notes(socket: UnixDatagram, record: Arc<Record>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = socket.recv(&mut buffer) {
            let at = record.now();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            record.change(|facts| facts.notes.extend(text.lines().map(|line| (at, line.to_owned()))));
        }
    });
}
