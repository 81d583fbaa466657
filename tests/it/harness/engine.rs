//! An engine of a test's own, which it may stop, kill and halt.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::docker::skip;
use super::spawn::{output, spawn};
use super::wait::until;

/// The image that it makes for itself: `sleep`, and nothing else.
const IMAGE: &str = "sleep";

/// A dockerd without a network, its containers, and all that belongs to it.
pub struct Engine {
    dir: TempDir,
    options: Vec<&'static str>,
    dockerd: Option<Child>,
}

impl Engine {
    /// None, with the reason told, where no engine can be started.
    #[track_caller]
    pub fn new(options: &[&'static str]) -> Option<Engine> {
        let has =
            |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        if !is_root || !["dockerd", "containerd", "unshare"].into_iter().all(has) {
            skip("an engine of its own needs root, dockerd and containerd");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("rouse-engine-").tempdir().unwrap();
        let mut engine = Engine { dir, options: options.to_vec(), dockerd: None };
        engine.start();
        let root = engine.dir.path().join("image.tar");
        let script = "tar -chPf \"$1\" /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*')";
        let made = output(Command::new("sh").args(["-c", script, "sh"]).arg(&root));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        engine.docker(&["import", &root.display().to_string(), IMAGE]);
        Some(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Starts it, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        // A network namespace of its own: `--bridge=none` removes docker0, whosever it is.
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "dockerd",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--log-level=warn",
        ]);
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
            ("--config-file", "none.json"),
        ] {
            std::fs::write(self.path("none.json"), "{}").unwrap();
            command.arg(option).arg(self.path(name));
        }
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(&self.options);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.dockerd = Some(spawn(&mut command));
        until("an engine that answers", || self.docker_anyway(&["version"]).then_some(()));
    }

    /// Sends a signal to the engine; its containers hear nothing of it.
    pub fn signal(&self, signal: Signal) {
        let dockerd = self.dockerd.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(dockerd.id()).unwrap()), signal).unwrap();
    }

    /// Ends it in order, and waits until it has ended.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.wait();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        self.dockerd.take().unwrap().wait().unwrap();
        // Its containerd dies with it, and where nobody reaps that one it would be taken for alive.
        let _ = std::fs::remove_file(self.path("exec/containerd/containerd.pid"));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(args);
        command
    }

    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        let done = output(&mut self.command(args));
        assert!(done.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    fn docker_anyway(&self, args: &[&str]) -> bool {
        output(&mut self.command(args)).status.success()
    }

    /// Creates a container `name` that does nothing and dies at once when it is stopped.
    #[track_caller]
    pub fn create(&self, name: &str) {
        self.docker(&[
            "create",
            "--name",
            name,
            "--network",
            "none",
            "--stop-signal",
            "KILL",
            IMAGE,
            "/bin/sleep",
            "1000",
        ]);
    }

    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        self.docker(&["inspect", "--format", "{{.State.Status}}", name])
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the engine's log\n{}", self.log());
        }
        if self.dockerd.is_none() {
            self.start();
        }
        self.signal(Signal::SIGCONT);
        let ids = output(&mut self.command(&["ps", "--all", "--quiet"])).stdout;
        for id in String::from_utf8_lossy(&ids).lines() {
            self.docker_anyway(&["rm", "--force", id]);
        }
        self.signal(Signal::SIGTERM);
        let mut dockerd = self.dockerd.take().unwrap();
        if ended(&mut dockerd, Duration::from_secs(20)).is_none() {
            let _ = dockerd.kill();
            let _ = dockerd.wait();
        }
        unmount(self.dir.path());
    }
}

fn ended(child: &mut Child, limit: Duration) -> Option<()> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < limit {
        if child.try_wait().unwrap().is_some() {
            return Some(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// What is still mounted below cannot be removed.
fn unmount(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| Path::new(path).starts_with(folder));
    for path in below.collect::<Vec<_>>().into_iter().rev() {
        output(Command::new("umount").args(["--lazy", path]));
    }
}
