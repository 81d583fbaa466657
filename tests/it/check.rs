//! `rouse check`: what it finds in units and containers, what it says of it, and that it changes nothing.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::unistd::Uid;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Container, engine_socket, free_port, is_podman, output, skip, spawn};

const TEMPLATE: &str = "[Socket]\nFileDescriptorName=%i\n[Install]\nWantedBy=sockets.target\n";
/// The user that has no rights anywhere.
const NOBODY: u32 = 65534;

/// The files of a machine that `rouse check` reads, with rouse's template installed.
struct Machine {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What `rouse check` has found.
struct Found {
    code: i32,
    findings: Vec<Value>,
}

impl Machine {
    fn new(config: &str) -> Machine {
        Machine::with_engine(&engine_socket(), config)
    }

    fn with_engine(engine: &Path, config: &str) -> Machine {
        let dir = tempfile::Builder::new().prefix("rouse-check-").tempdir().unwrap();
        let machine = Machine { dir, env: Vec::new() };
        let engine = format!("[helper]\nengine = \"unix://{}\"\n", engine.display());
        machine.write("rouse.toml", &(engine + config));
        machine.write("units/rouse@.socket", TEMPLATE);
        machine
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The drop-in that lets the socket of `name` listen at `address`.
    fn listen(self, name: &str, address: &str) -> Machine {
        let text = format!("[Socket]\nListenStream={address}\n");
        self.write(&format!("units/rouse@{name}.socket.d/listen.conf"), &text);
        self
    }

    /// What `systemctl enable` does.
    fn enable(self, name: &str) -> Machine {
        let wants = self.path("units/sockets.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink(self.path("units/rouse@.socket"), wants.join(format!("rouse@{name}.socket"))).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Machine {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.arg("check").arg("--config").arg(self.path("rouse.toml"));
        command.env("SYSTEMD_UNIT_PATH", self.path("units")).env_remove("DOCKER_HOST");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    #[track_caller]
    fn check(&self) -> Found {
        Found::of(self.command(Path::new(env!("CARGO_BIN_EXE_rouse"))).arg("--json"))
    }
}

impl Found {
    #[track_caller]
    fn of(command: &mut Command) -> Found {
        let done = output(command);
        let findings = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&[done.stdout, done.stderr].concat()))
        });
        Found { code: done.status.code().unwrap(), findings }
    }

    /// Those that are more than a note, as "severity: key: message: hint".
    fn grave(&self) -> Vec<String> {
        self.lines(|severity| severity != "note")
    }

    fn notes(&self) -> Vec<String> {
        self.lines(|severity| severity == "note")
    }

    fn lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        let line = |finding: &Value| {
            ["severity", "key", "message", "hint"].map(|field| text(finding, field)).join(": ")
        };
        let findings = self.findings.iter().filter(|finding| wanted(finding["severity"].as_str().unwrap()));
        findings.map(line).collect()
    }

    /// The only finding that is more than a note; it has these severity and key, and all of `words` in it.
    #[track_caller]
    fn only(&self, severity: &str, key: &str, words: &[&str]) -> &Value {
        let grave = self.grave();
        let [line] = grave.as_slice() else { panic!("not one finding: {grave:#?}") };
        assert!(line.starts_with(&format!("{severity}: {key}: ")), "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }
        assert_eq!(self.code, if severity == "error" { 78 } else { 1 });
        self.findings.iter().find(|finding| finding["severity"] == severity).unwrap()
    }
}

/// A machine with one sidecar `web` that is enabled, on this container.
fn machine(web: &Container, keys: &str) -> Machine {
    let address = format!("127.0.0.1:{}", free_port());
    Machine::new(&web.sidecar("web", keys)).listen("web", &address).enable("web")
}

#[test]
fn a_sidecar_that_is_set_up_well_gets_praise_and_the_note_of_prune() {
    let web = Container::with("web", &["--restart", "unless-stopped"], "");
    let machine = machine(&web, "");
    let found = machine.check();
    assert_eq!((found.code, found.grave()), (0, vec![]));
    let notes = found.notes();
    assert!(notes.len() == 1 && notes[0].contains("docker system prune"), "{notes:?}");
    let done = output(&mut machine.command(Path::new(env!("CARGO_BIN_EXE_rouse"))));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "configuration is fine: 1 sidecar: web\n");
    assert_eq!(web.status(), "created", "nothing is started");
}

#[test]
fn a_container_that_does_not_exist_is_an_error_at_the_table_or_else_the_socket_that_means_it() {
    let table = Machine::new("[sidecar.web]\ncontainer = \"rouse-it-none\"\n");
    let table = table.listen("web", "127.0.0.1:1").enable("web");
    let found = table.check();
    let finding = found.only("error", "sidecar.web.container", &["\"rouse-it-none\"", "create it"]);
    assert_eq!(finding["file"], table.path("rouse.toml").to_str().unwrap());
    assert_eq!((&finding["line"], &finding["container"]), (&3.into(), &"rouse-it-none".into()));
    assert!(found.notes().is_empty(), "no container, nothing to prune");

    let socket = Machine::new("").listen("rouse-it-none", "127.0.0.1:1").enable("rouse-it-none");
    let found = socket.check();
    let finding =
        found.only("error", "sidecar.rouse-it-none.container", &["in a table [sidecar.rouse-it-none]"]);
    let drop_in = socket.path("units/rouse@rouse-it-none.socket.d/listen.conf");
    assert_eq!(finding["file"], drop_in.to_str().unwrap());
}

#[test]
fn a_container_that_publishes_the_port_of_the_socket_is_an_error_asleep_and_awake() {
    let port = free_port();
    let web = Container::with("web", &["--publish", &format!("127.0.0.1:{port}:8000")], "");
    let machine = Machine::new(&web.sidecar("web", "")).listen("web", &port.to_string()).enable("web");
    let publishes = format!("publishes port {port}");
    let found = machine.check();
    let finding =
        found.only("error", "", &[&publishes, "rouse@web.socket", "cannot start while the socket is up"]);
    assert_eq!(finding["container"], web.name());
    web.start();
    machine.check().only("error", "", &[&publishes, "rouse@web.socket cannot start while it runs"]);
}

#[test]
fn a_stranger_that_publishes_the_port_of_a_socket_is_an_error_while_it_runs() {
    let port = free_port();
    let web = Container::new("web", "");
    let stranger = Container::with("stranger", &["--publish", &format!("{port}:8000")], "");
    let address = format!("127.0.0.1:{port}");
    let machine = Machine::new(&web.sidecar("web", "")).listen("web", &address).enable("web");
    assert_eq!(machine.check().grave(), Vec::<String>::new());
    stranger.start();
    let found = machine.check();
    let finding = found.only("error", "", &[&format!("publishes port {port}"), "rouse@web.socket"]);
    assert_eq!(finding["container"], stranger.name());
}

#[test]
fn a_container_that_would_not_stay_or_not_stay_asleep_is_found() {
    let web = Container::with("web", &["--rm"], "");
    machine(&web, "").check().only("error", "sidecar.web", &["--rm"]);
    let web = Container::with("web", &["--restart", "always"], "");
    let cure = format!("docker update --restart unless-stopped {}", web.name());
    machine(&web, "").check().only("warning", "sidecar.web", &["restart=always", &cure]);
}

#[test]
fn a_container_in_the_network_of_another_needs_that_one() {
    let lender = Container::new("lender", "");
    let network = format!("container:{}", lender.name());
    let web = Container::with("web", &["--network", &network], "");
    let required = lender.sidecar("lender", "");
    let machine = |keys: &str| {
        let (address, other) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let machine = Machine::new(&(web.sidecar("web", keys) + &required));
        machine.listen("web", &address).enable("web").listen("lender", &other).enable("lender")
    };
    let words = [lender.name(), "does not run", "`requires`"];
    machine("").check().only("warning", "sidecar.web", &words);
    assert_eq!(machine("requires = [\"lender\"]").check().grave(), Vec::<String>::new());
    lender.start();
    assert_eq!(machine("").check().grave(), Vec::<String>::new());
    if is_podman() {
        return skip("Podman removes no container whose network another one shares");
    }
    lender.remove();
    let found = machine("").check();
    let gone = "error: sidecar.web: it shares the network of a container that is gone";
    assert!(found.grave().iter().any(|line| line.starts_with(gone)), "{:?}", found.grave());
}

#[test]
fn ready_healthy_needs_a_healthcheck() {
    let keys = "ready = \"healthy\"";
    let web = Container::new("web", "");
    machine(&web, keys).check().only("warning", "sidecar.web.ready", &["no HEALTHCHECK"]);
    let web = Container::with("web", &["--health-cmd", "true"], "");
    assert_eq!(machine(&web, keys).check().grave(), Vec::<String>::new());
}

#[test]
fn a_way_that_leads_back_to_the_socket_is_an_error() {
    let port = free_port();
    let web = Container::with("web", &["--network", "host"], "");
    let plain = format!("[sidecar.web]\ncontainer = \"{}\"\n", web.name());
    let machine = |keys: &str, address: String| {
        Machine::new(&(plain.clone() + keys)).listen("web", &address).enable("web").check()
    };
    let itself = ["its own socket", &format!("127.0.0.1:{port}")];
    machine("", port.to_string()).only("error", "sidecar.web.port", &itself);
    let address = format!("address = \"127.0.0.1:{port}\"");
    machine(&address, format!("0.0.0.0:{port}")).only("error", "sidecar.web.address", &itself);
    assert_eq!(machine("port = 1", port.to_string()).grave(), Vec::<String>::new());
    assert_eq!(machine("", format!("127.0.0.2:{port}")).grave(), Vec::<String>::new());
}

#[test]
fn an_address_that_the_helpers_unit_denies_is_an_error_until_a_drop_in_allows_it() {
    let web = Container::new("web", "");
    let machine = machine(&web, "address = \"198.51.100.1:80\"");
    machine
        .write("units/rouse@.service", "[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.0/8\n");
    let found = machine.check();
    let words = ["198.51.100.1", "IPAddressAllow=198.51.100.1", "rouse@web.service.d/address.conf"];
    let finding = found.only("error", "IPAddressDeny", &words);
    assert_eq!((&finding["line"], &finding["column"]), (&2.into(), &Value::Null));
    machine.write("units/rouse@web.service.d/address.conf", "[Service]\nIPAddressAllow=198.51.100.0/24\n");
    assert!(!machine.check().grave().iter().any(|line| line.contains("198.51.100.1")));
}

#[test]
fn a_socket_for_whose_port_there_is_none_in_the_container_is_an_error() {
    let web = Container::new("web", "");
    let plain = format!("[sidecar.web]\ncontainer = \"{}\"\n", web.name());
    let machine =
        |keys: &str, address| Machine::new(&(plain.clone() + keys)).listen("web", address).enable("web");
    machine("port = { 80 = 8000 }", "127.0.0.1:81").check().only(
        "error",
        "sidecar.web.port",
        &["add `81 = …`"],
    );
    machine("", "%t/rouse-check/%i.sock").check().only(
        "error",
        "sidecar.web.port",
        &["a unix socket has no port"],
    );
}

#[test]
fn two_sockets_on_one_address_are_an_error() {
    let (a, b) = (Container::new("a", ""), Container::new("b", ""));
    let port = free_port();
    let machine = Machine::new(&(a.sidecar("a", "") + &b.sidecar("b", "")));
    let machine = machine.listen("a", &format!("127.0.0.1:{port}")).listen("b", &port.to_string());
    let machine = machine.enable("a").enable("b");
    let found = machine.check();
    let first = format!("{}:2", machine.path("units/rouse@a.socket.d/listen.conf").display());
    let finding = found.only("error", "ListenStream", &["rouse@b.socket", "rouse@a.socket has", &first]);
    assert_eq!(finding["file"], machine.path("units/rouse@b.socket.d/listen.conf").to_str().unwrap());
    assert_eq!(finding["line"], 2);
}

#[test]
fn a_table_without_a_socket_is_warned_about_at_its_place() {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let config = web.sidecar("web", "") + &db.sidecar("db", "");
    let machine = Machine::new(&config).listen("web", &free_port().to_string()).enable("web");
    let found = machine.check();
    let finding = found.only("warning", "sidecar.db", &["has no socket", "rouse@db.socket.d/listen.conf"]);
    assert_eq!((&finding["line"], &finding["column"]), (&7.into(), &10.into()));
    // A hand-written socket is one too.
    let text = format!("[Socket]\nFileDescriptorName=db\nListenStream=127.0.0.1:{}\n", free_port());
    machine.write("units/db.socket", &text);
    symlink(machine.path("units/db.socket"), machine.path("units/sockets.target.wants/db.socket")).unwrap();
    assert_eq!(machine.check().grave(), Vec::<String>::new());
}

#[test]
fn a_socket_that_is_not_enabled_is_warned_about() {
    let web = Container::new("web", "");
    let machine = Machine::new(&web.sidecar("web", "")).listen("web", &free_port().to_string());
    let found = machine.check();
    let finding = found.only("warning", "", &["not enabled", "systemctl enable --now rouse@web.socket"]);
    assert_eq!(finding["line"], 2);
}

#[test]
fn a_mistyped_drop_in_is_found_from_both_of_its_ends() {
    let web = Container::new("web", "");
    let machine =
        Machine::new(&web.sidecar("web", "")).enable("web").listen("webb", &free_port().to_string());
    let found = machine.check();
    assert_eq!(found.code, 78);
    let grave = found.grave().join("\n");
    let mistyped = machine.path("units/rouse@webb.socket.d");
    for words in [
        "error: ListenStream: rouse@web.socket is enabled, but no drop-in says where it listens",
        &format!("if {} was meant for it, rename that to rouse@web.socket.d", mistyped.display()),
        "warning: : rouse@webb.socket is not enabled",
        "error: sidecar.webb.container: there is no container \"webb\"",
    ] {
        assert!(grave.contains(words), "{words:?} is not in\n{grave}");
    }
}

#[test]
fn a_drop_in_that_says_nothing_to_systemd_is_an_error_at_its_line() {
    let web = Container::new("web", "");
    for (text, line, words) in [
        ("ListenStream=80\n", 1, "in no section"),
        ("# here\n[Service]\nListenStream=80\n", 3, "in the section [Service]"),
        ("[Socket]\nListenStream=localhost:80\n", 2, "\"localhost:80\""),
    ] {
        let machine = Machine::new(&web.sidecar("web", "")).enable("web");
        machine.write("units/rouse@web.socket.d/listen.conf", text);
        let found = machine.check();
        assert_eq!(found.only("error", "ListenStream", &[words])["line"], line, "{text}");
    }
}

#[test]
fn a_docker_host_that_is_another_engine_is_warned_about() {
    let web = Container::new("web", "");
    let own = format!("unix://{}", engine_socket().display());
    assert_eq!(machine(&web, "").env("DOCKER_HOST", &own).check().grave(), Vec::<String>::new());
    for other in ["tcp://127.0.0.1:2375", "unix:///run/rouse-it-none.sock"] {
        let found = machine(&web, "").env("DOCKER_HOST", other).check();
        found.only("warning", "$DOCKER_HOST", &[other, &engine_socket().display().to_string()]);
    }
}

#[test]
fn an_engine_that_is_not_there_is_a_warning_where_it_is_needed_and_a_note_where_not() {
    let none = Path::new("/run/rouse-it-none/docker.sock");
    let machine = Machine::with_engine(none, "[sidecar.web]\n").listen("web", "127.0.0.1:1").enable("web");
    let found = machine.check();
    let finding = found.only("warning", "", &["cannot be reached", "install an engine"]);
    assert_eq!(finding["file"], none.to_str().unwrap());

    let machine = Machine::with_engine(none, "[sidecar.web]\n");
    fs::remove_file(machine.path("units/rouse@.socket")).unwrap();
    let found = machine.check();
    assert_eq!((found.code, found.grave()), (0, vec![]));
    let notes = found.notes().join("\n");
    assert!(
        notes.contains("no socket units were looked at") && notes.contains("cannot be reached"),
        "{notes}"
    );
}

/// The suite's engine in a directory that is closed for all but its owner.
fn closed_engine() -> (TempDir, PathBuf) {
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let engine = closed.path().join("engine.sock");
    symlink(engine_socket(), &engine).unwrap();
    (closed, engine)
}

#[test]
fn an_engine_that_the_user_of_the_helper_may_not_use_is_an_error() {
    let web = Container::new("web", "");
    let address = free_port().to_string();
    let (closed, engine) = closed_engine();
    let machine =
        Machine::with_engine(&engine, &web.sidecar("web", "")).listen("web", &address).enable("web");
    machine.write("units/rouse@.service", "[Service]\nUser=nobody\n");
    let found = machine.check();
    let place = closed.path().display().to_string();
    let finding = found.only("error", "", &["user nobody", &place]);
    assert_eq!(finding["file"], engine.to_str().unwrap());
    machine.write("units/rouse@.service", "[Service]\nUser=rouse-it-none\n");
    machine.check().only("error", "User", &["rouse-it-none", "does not exist", "systemd-sysusers"]);
}

#[test]
fn an_engine_that_the_caller_may_not_use_is_a_warning() {
    if !Uid::effective().is_root() {
        return skip("only root can call it as somebody else");
    }
    let web = Container::new("web", "");
    let (_closed, engine) = closed_engine();
    let address = free_port().to_string();
    let machine =
        Machine::with_engine(&engine, &web.sidecar("web", "")).listen("web", &address).enable("web");
    // Where the suite is built, not everybody may go.
    let binary = machine.path("rouse");
    fs::copy(env!("CARGO_BIN_EXE_rouse"), &binary).unwrap();
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let found = Found::of(machine.command(&binary).arg("--json").uid(NOBODY).gid(NOBODY));
    found.only("warning", "", &["cannot be reached", "run this as root"]);
}

/// It answers a ping and nothing else, as an engine does that is stuck with its containers.
#[test]
fn an_engine_that_hangs_is_asked_for_one_container_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let engine = UnixListener::bind(&path).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        let mut open = Vec::new();
        for mut client in engine.incoming().flatten() {
            let mut head = [0; 4096];
            let length = client.read(&mut head).unwrap_or_default();
            if String::from_utf8_lossy(&head[..length]).contains("/_ping") {
                let answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
                let _ = client.write_all(answer.as_bytes());
            } else {
                count.fetch_add(1, Ordering::SeqCst);
                open.push(client);
            }
        }
    });
    let mut machine = Machine::with_engine(&path, "");
    for name in ["a", "b", "c"] {
        machine = machine.listen(name, &format!("127.0.0.1:{}", free_port())).enable(name);
    }
    let found = machine.check();
    let finding =
        found.only("warning", "", &["has not answered GET", "/containers/a/json", "after it were not"]);
    assert_eq!(finding["file"], path.display().to_string());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn instances_without_a_template_are_an_error() {
    let web = Container::new("web", "");
    let machine = machine(&web, "");
    fs::remove_file(machine.path("units/rouse@.socket")).unwrap();
    machine.check().only("error", "", &["rouse@.socket", "install the units of rouse"]);
}

#[test]
fn a_reader_that_has_closed_its_end_changes_nothing_about_the_verdict() {
    let machine = Machine::new("[sidecar.web]\nnope = 1\n");
    for json in [&["--json"][..], &[]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = machine.command(Path::new(env!("CARGO_BIN_EXE_rouse")));
        command.args(json).stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(spawn(&mut command).wait().unwrap().code(), Some(78));
    }
}
