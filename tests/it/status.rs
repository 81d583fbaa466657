//! Whoever looks sees what is true, and neither wakes nor starts anything.

use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Container, Host, Kind, Plan, engine_socket, output, skip, until};

/// Nobody, and nogroup, of Debian.
const NOBODY: u32 = 65_534;

/// `rouse status ARGS` with these folders, as any program calls it: to a pipe.
fn status(config: &Path, state: &Path, sockets: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
    command.env("ROUSE_STATE_DIRECTORY", state).env("ROUSE_RUNTIME_DIRECTORY", sockets);
    for name in ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.arg("status").arg("--config").arg(config).args(args);
    command
}

#[track_caller]
fn text(done: &Output) -> String {
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout.clone()).unwrap()
}

/// The one sidecar of the array.
#[track_caller]
fn only(done: &Output) -> Value {
    let Value::Array(mut elements) = serde_json::from_slice(&done.stdout).unwrap() else {
        panic!("{done:?}")
    };
    assert_eq!(elements.len(), 1, "{elements:?}");
    elements.remove(0)
}

/// A sidecar `web` on a container, its host, and the folder with its control socket.
fn web(keys: &str) -> (Container, Host, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").listen();
    (web, host, folder)
}

fn look(host: &Host, sockets: &Path, args: &[&str]) -> Output {
    output(&mut status(&host.config_path, host.state(), sockets, args))
}

#[test]
fn asleep_awake_and_asleep_again_are_seen_and_looking_starts_no_helper() {
    let (web, host, folder) = web("idle_timeout = \"500ms\"");
    let element = || only(&look(&host, folder.path(), &["--json"]));
    let before = element();
    assert_eq!(before["state"], "asleep", "{before}");
    assert_eq!(before["since_ms"], Value::Null, "{before}");
    assert_eq!(before["engine"], "stopped", "{before}");
    assert_eq!(host.look(|facts| facts.starts.len()), 0);
    let mut client = host.connect("web");
    client.ask("who");
    let awake = element();
    assert_eq!((&awake["state"], &awake["engine"]), (&"awake".into(), &"running".into()), "{awake}");
    assert_eq!(awake["helper"], host.pid(), "{awake}");
    assert_eq!(awake["container"], web.name(), "{awake}");
    assert_eq!(awake["enabled"], true, "{awake}");
    drop(client);
    host.event("web", "slept");
    host.exit();
    let after = element();
    assert_eq!((&after["state"], &after["engine"]), (&"asleep".into(), &"stopped".into()), "{after}");
    assert_eq!(after["helper"], Value::Null, "{after}");
    assert!(after["since_ms"].is_u64(), "{after}");
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn a_container_that_a_killed_helper_has_left_is_awake_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", "idle_timeout = \"never\"")).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").no_restart().listen();
    host.connect("web").ask("who");
    host.end_helper(Signal::SIGKILL);
    let left = only(&look(&host, folder.path(), &["--json"]));
    assert_eq!((&left["state"], &left["helper"]), (&"awake".into(), &Value::Null), "{left}");
    assert_eq!(left["why"]["kind"], "unattended", "{left}");
    assert_eq!(left["connections"], 0, "{left}");
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn no_control_socket_is_dialled_and_a_torn_file_hides_no_other_sidecar() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    fs::write(&config, "[helper]\nengine = \"unix:///nowhere/docker.sock\"\n[sidecar.off]\n").unwrap();
    let listeners = ["torn", "web"].map(|name| {
        let listener = UnixListener::bind(dir.path().join(format!("{name}.sock"))).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    fs::write(dir.path().join("torn.json"), "{\"version\":1,").unwrap();
    let table = text(&output(&mut status(&config, dir.path(), dir.path(), &[])));
    let row = |name: &str| {
        let row = table.lines().find(|line| line.starts_with(name));
        row.unwrap_or_else(|| panic!("{name} is missing in {table}"))
    };
    assert!(row("torn").contains("state file unreadable: "), "{table}");
    assert!(row("web").contains("the next connection wakes it"), "{table}");
    assert!(row("off").contains("not enabled") && table.contains("systemctl enable --now"), "{table}");
    assert!(row("web").contains(" ? "), "{table}");
    assert_eq!(table.matches("/nowhere/docker.sock cannot be reached").count(), 1, "said once: {table}");
    assert!(!table.contains('\x1b'), "{table:?}");
    text(&output(&mut status(&config, dir.path(), dir.path(), &["web"])));
    for listener in listeners {
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn anybody_may_look_and_is_told_why_the_engine_says_nothing_to_him() {
    let (_web, host, folder) = web("idle_timeout = \"never\"");
    host.connect("web").ask("who");
    let mut look = status(&host.config_path, host.state(), folder.path(), &["--json"]);
    // A copy where the build's folder is root's alone; the rest of the way is opened for everybody here.
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("rouse");
    fs::copy(env!("CARGO_BIN_EXE_rouse"), &copy).unwrap();
    let config = host.config_path.parent().unwrap();
    for open in [place.path(), config, folder.path()] {
        fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut nobody = Command::new(&copy);
    nobody.args(look.get_args());
    for (name, value) in look.get_envs() {
        match value {
            Some(value) => nobody.env(name, value),
            None => nobody.env_remove(name),
        };
    }
    // Without its supplementary groups, which std drops along with root.
    nobody.uid(NOBODY).gid(NOBODY);
    let may_ask =
        output(Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args([
            "test",
            "-w",
            engine_socket().to_str().unwrap(),
        ]));
    if may_ask.status.success() {
        return skip("everybody may ask this engine");
    }
    let theirs = only(&output(&mut nobody));
    let ours = only(&output(&mut look));
    assert_eq!((&theirs["state"], &theirs["helper"]), (&ours["state"], &ours["helper"]), "{theirs}");
    assert_eq!(theirs["state"], "awake", "{theirs}");
    assert_eq!(theirs["engine"], Value::Null, "{theirs}");
    assert!(theirs["engine_error"].as_str().unwrap().contains("Permission denied"), "{theirs}");
}

#[test]
fn an_unknown_name_ends_it_with_4_and_those_that_are_known_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    fs::write(&config, "[sidecar.ollama]\n").unwrap();
    let done = output(&mut status(&config, dir.path(), dir.path(), &["ollma", "ollama"]));
    let [out, err] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert_eq!(done.status.code(), Some(4), "{out}{err}");
    assert_eq!(err, "rouse: no sidecar is called ollma: did you mean ollama?\n");
    assert!(out.starts_with("ollama\n") && out.contains("last failure: none"), "{out}");
    assert_eq!(text(&output(&mut status(&config, dir.path(), dir.path(), &["ollama"]))), out);
}

#[test]
fn without_a_sidecar_it_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    fs::write(&config, "").unwrap();
    let nowhere = dir.path().join("nowhere");
    let shown = text(&output(&mut status(&config, &nowhere, &nowhere, &[])));
    assert!(shown.contains("rouse add"), "{shown}");
    assert_eq!(text(&output(&mut status(&config, &nowhere, &nowhere, &["--json"]))), "[]\n");
}

#[test]
fn watch_gets_lines_that_fit_and_colours_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    fs::write(&config, "[sidecar.ollama]\nport = 0\n").unwrap();
    let shown = |args: &[&str]| {
        let mut command = status(&config, dir.path(), dir.path(), args);
        text(&output(command.env("COLUMNS", "40")))
    };
    let table = shown(&[]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.ends_with('…') && row.chars().count() <= 40, "{table}");
    assert!(!table.contains('\x1b') && shown(&["--color", "always"]).contains("\x1b[31m"));
}

#[test]
fn fifty_sidecars_behind_a_silent_engine_are_told_of_within_its_one_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let engine = dir.path().join("engine.sock");
    let _silent = UnixListener::bind(&engine).unwrap();
    let config = dir.path().join("rouse.toml");
    let tables: String = (0..50).map(|number| format!("[sidecar.s{number}]\n")).collect();
    fs::write(&config, format!("[helper]\nengine = \"unix://{}\"\n{tables}", engine.display())).unwrap();
    let nowhere = dir.path().join("nowhere");
    let begun = std::time::Instant::now();
    let table = text(&output(&mut status(&config, &nowhere, &nowhere, &[])));
    let took = begun.elapsed();
    assert_eq!(table.lines().filter(|line| line.contains(" ? ")).count(), 50, "{table}");
    assert_eq!(table.matches("has not answered").count(), 1, "{table}");
    assert!(took < std::time::Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_reader_that_closes_its_end_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    fs::write(&config, "[sidecar.ollama]\n").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = status(&config, dir.path(), dir.path(), &[]);
    let mut child = crate::harness::spawn(command.stdout(writer));
    let ended = until("its end", || child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}
