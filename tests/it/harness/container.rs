//! A container for one test, removed with it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::docker::{docker, docker_anyway, label};
use super::wait::until;

/// The image with all servers in it.
const IMAGE: &str = "rouse-test:bookworm";
/// What `--volume` puts `servers.py` into a container with.
pub const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro");
/// The port of `servers.py`, unless told otherwise.
pub const PORT: u16 = 8000;

/// A name that no other test of any run has.
fn unique(what: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("rouse-it-{}-{}-{what}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A created container; what it was made of is kept to make it again.
pub struct Container {
    name: String,
    create: Vec<String>,
}

impl Container {
    /// Creates, but does not start, a container that runs `servers.py` with `args`.
    #[track_caller]
    pub fn new(what: &str, args: &str) -> Container {
        Container::with(what, &[], args)
    }

    /// The same with options of `docker create`.
    #[track_caller]
    pub fn with(what: &str, options: &[&str], args: &str) -> Container {
        let mut all = vec!["--volume", SERVERS];
        all.extend(options);
        let mut command = vec!["python3", "/servers.py"];
        command.extend(args.split_whitespace());
        Container::running(what, &all, &command)
    }

    /// Creates a container that runs any command of the image.
    #[track_caller]
    pub fn running(what: &str, options: &[&str], command: &[&str]) -> Container {
        let (name, label) = (unique(what), label());
        let mut create = vec!["create", "--name", &name, "--label", &label];
        create.extend(options);
        create.push(IMAGE);
        create.extend(command);
        let create = create.into_iter().map(str::to_owned).collect();
        let container = Container { name, create };
        container.create();
        container
    }

    /// Creates it, again after `remove`.
    #[track_caller]
    pub fn create(&self) {
        docker(&self.create.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Removes it, whatever else the engine could not do then: Podman may trip over the names of its networks.
    #[track_caller]
    pub fn remove(&self) {
        let said = docker_anyway(&["rm", "--force", "--volumes", &self.name]);
        let all = docker(&["ps", "--all", "--format", "{{.Names}}"]);
        assert!(all.lines().all(|name| name != self.name), "{said}");
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table of a sidecar `name` on this container, with `keys` besides.
    pub fn sidecar(&self, name: &str, keys: &str) -> String {
        format!("[sidecar.{name}]\ncontainer = \"{}\"\nport = {PORT}\n{keys}\n", self.name)
    }

    pub fn start(&self) {
        docker(&["start", &self.name]);
    }

    /// Kills its first process from within: nobody's hand, as far as the engine knows.
    pub fn end_by_itself(&self) {
        docker_anyway(&["exec", &self.name, "bash", "-c", "kill -TERM 1"]);
    }

    /// One value of `docker inspect`.
    #[track_caller]
    pub fn inspect(&self, template: &str) -> String {
        docker(&["inspect", "--type", "container", "--format", template, &self.name])
    }

    /// State.Status: created, running, exited, …
    #[track_caller]
    pub fn status(&self) -> String {
        self.inspect("{{.State.Status}}")
    }

    /// When it was last started, which tells one start from the next.
    #[track_caller]
    pub fn started_at(&self) -> String {
        self.inspect("{{.State.StartedAt}}")
    }

    /// How many connections this machine has to its port.
    pub fn connections(&self) -> usize {
        let ip: Ipv4Addr =
            self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").parse().unwrap();
        let remote = format!("{:08X}:{PORT:04X}", u32::from_ne_bytes(ip.octets()));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|words| words[2] == remote && words[3] == "01").count()
    }

    /// Whether it runs without an address.
    pub fn is_unreachable(&self) -> bool {
        self.inspect("{{.State.Status}}{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}") == "running"
    }

    pub fn logs(&self) -> String {
        docker_anyway(&["logs", &self.name])
    }

    /// Waits until its log has `text` in it.
    #[track_caller]
    pub fn logged(&self, text: &str) -> String {
        until(&format!("{text:?} in the log of {}", self.name), || {
            Some(self.logs()).filter(|logs| logs.contains(text))
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if thread::panicking() {
            let template = "{{json .State}}\n{{json .NetworkSettings.Networks}}";
            let state = docker_anyway(&["inspect", "--format", template, &self.name]);
            eprintln!("--- {}\n{}\n{}{}", self.name, self.create.join(" "), state, self.logs());
        }
        docker_anyway(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// A network for one test, removed with it.
pub struct Network {
    name: String,
}

impl Network {
    #[track_caller]
    pub fn new(what: &str) -> Network {
        let name = unique(what);
        docker(&["network", "create", "--label", &label(), &name]);
        Network { name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker_anyway(&["network", "rm", &self.name]);
    }
}
