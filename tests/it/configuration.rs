//! What a wrong file stops, and what it leaves working.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal::SIGHUP, kill};
use nix::unistd::Pid;

use crate::harness::{Container, Control, End, Facts, Kind, Plan, engine_socket, is_reset, output};

#[test]
fn one_bad_sidecar_leaves_the_others_working() {
    let web = Container::new("web", "");
    let bad = "[sidecar.bad]\ncontainer = \"x\"\nprot = 80\n";
    let config = bad.to_owned() + &web.sidecar("web", "idle_timeout = \"500ms\"");
    let host = Plan::new(&config).socket("bad", Kind::Tcp4).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").ask("echo works"), "works");
    assert!(is_reset(&host.connect("bad").try_ask("echo nobody").unwrap_err()));
    host.event("bad", "config-rejected");
    // The file begins with the two lines of [helper].
    host.says("rouse.toml:5:1: ");
    assert!(host.look(|facts| facts.text()).contains("prot"));
    assert_eq!(host.connect("web").ask("echo still works"), "still works");
    host.event("web", "slept");
    assert_eq!(host.count("bad", "config-rejected"), 1, "said once");
}

#[test]
fn a_sidecar_is_never_run_on_defaults_because_its_table_is_wrong() {
    let web = Container::new("web", "");
    let config = web.sidecar("web", "idle_timeout = \"10 eons\"");
    let host = Plan::new(&config).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").end(), End::Reset);
    host.event("web", "config-rejected");
    assert_eq!(web.status(), "created");
}

/// Broken at first, and mended while the helper stays.
#[track_caller]
fn is_mended(broken: &str) {
    let web = Container::new("web", "");
    let host = Plan::raw(broken).socket("web", Kind::Tcp4).listen();
    for _ in 0..10 {
        assert_eq!(host.connect("web").end(), End::Reset);
    }
    host.event("web", "config-rejected");
    host.note("STATUS=");
    assert_eq!(web.status(), "created");
    let (starts, rejected) =
        host.look(|facts| (facts.starts.len(), facts.events("web", "config-rejected").len()));
    assert_eq!((starts, rejected), (1, 1), "one helper, which says it once");
    fs::write(&host.config_path, mended(&web)).unwrap();
    assert_eq!(host.connect("web").ask("echo mended"), "mended");
    assert!(host.exit().success());
}

fn mended(web: &Container) -> String {
    let engine = engine_socket();
    let table = web.sidecar("web", "idle_timeout = \"400ms\"");
    format!("[helper]\nengine = \"unix://{}\"\n{table}", engine.display())
}

#[test]
fn a_call_is_refused_with_the_error_and_the_one_that_finds_it_mended_is_answered() {
    let web = Container::new("web", "");
    let folder = tempfile::tempdir().unwrap();
    let host = Plan::raw("]").socket("web", Kind::Tcp4).control(folder.path(), "web").listen();
    let control = Control::new(folder.path(), "web");
    let (status, body) = control.post("wake");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("rouse.toml:1:1: "), "{body}");
    fs::write(&host.config_path, mended(&web)).unwrap();
    assert_eq!(control.post("wake").0, 200);
    assert_eq!(web.status(), "running");
    assert!(host.exit().success());
}

#[test]
fn a_file_that_is_not_toml_resets_clients_until_it_is_mended() {
    is_mended("[sidecar.web\ncontainer = ");
}

#[test]
fn an_error_in_defaults_resets_clients_until_it_is_mended() {
    is_mended("[defaults]\nidle_timeout = 5\n");
}

#[test]
fn an_error_in_helper_resets_clients_until_it_is_mended() {
    is_mended("[helper]\nengine = \"tcp://127.0.0.1:2375\"\n");
}

#[test]
fn a_broken_file_does_not_end_the_helper_however_long_nobody_comes() {
    let host = Plan::raw("]").socket("web", Kind::Tcp4).boot();
    host.event("web", "config-rejected");
    assert!(host.wait_for(Duration::from_secs(2), |facts| facts.exits.first().copied()).is_none());
}

#[test]
fn every_error_is_told_at_once_with_its_place() {
    let config = "[defaults]\nidle_timeout = \"soon\"\n[sidecar.web]\nready = \"ftp\"\nidle = \"maybe\"\nbusy_cpu = \"10%\"\n";
    let host = Plan::raw(config).socket("web", Kind::Tcp4).boot();
    host.event("web", "config-rejected");
    for place in ["rouse.toml:2:", "rouse.toml:4:", "rouse.toml:5:", "rouse.toml:6:"] {
        host.says(place);
    }
}

#[test]
fn a_requirement_that_cannot_be_met_is_told_with_its_place() {
    for (keys, place) in [
        ("requires = [\"db\"]", "rouse.toml:3:13: "),
        ("requires = [\"web\"]", "rouse.toml:3:13: "),
        ("exclusive = \"gpu0\"\nrequires = [\"b\"]\n[sidecar.b]\nexclusive = \"gpu0\"", "rouse.toml:4:13: "),
    ] {
        let config = format!("[sidecar.web]\ncontainer = \"x\"\n{keys}\n");
        let host = Plan::raw(&config).socket("web", Kind::Tcp4).boot();
        host.event("web", "config-rejected");
        host.says(place);
    }
}

#[test]
fn a_reload_with_an_error_in_one_table_changes_the_others_and_leaves_that_one_as_it_was() {
    let (web, other) = (Container::new("web", ""), Container::new("other", ""));
    let short = "idle_timeout = \"400ms\"";
    let used = "idle_timeout = \"400ms\"\nidle = \"connections\"";
    let config = web.sidecar("web", short) + &other.sidecar("other", used);
    let host = Plan::new(&config).socket("web", Kind::Tcp4).socket("other", Kind::Tcp4).listen();
    // It keeps the helper while the other sleeps.
    let mut stays = host.connect("other");
    assert_eq!(stays.ask("echo one"), "one");
    assert_eq!(host.connect("web").ask("echo one"), "one");
    host.event("web", "slept");
    // A client that comes before the last look is served by the old life still.
    host.wait("the end of its life", |facts| {
        facts.notes.last().filter(|(_, note)| note.contains("web: asleep")).map(drop)
    });
    let file = fs::read_to_string(&host.config_path).unwrap();
    let changed = file.replace(&web.sidecar("web", short), &web.sidecar("web", "idle_timeout = \"never\""));
    let broken = changed.replace(used, "idle_timeout = \"10 eons\"");
    assert!(file != changed && changed != broken);
    fs::write(&host.config_path, broken).unwrap();
    kill(Pid::from_raw(host.pid()), SIGHUP).unwrap();
    host.says("10 eons");
    assert_eq!(host.connect("web").ask("echo two"), "two");
    let slept = |number| move |facts: &Facts| facts.events("web", "slept").get(number).cloned();
    let again = host.wait_for(Duration::from_millis(1500), slept(1));
    assert!(again.is_none(), "{again:?}: the changed value is not in force");
    // The broken one goes to sleep, wakes and sleeps again by what it had.
    assert_eq!(stays.ask("echo two"), "two");
    drop(stays);
    host.event("other", "slept");
    assert_eq!(host.connect("other").ask("echo three"), "three");
    host.event_nth("other", "slept", 1);
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn two_sidecars_on_one_container_are_an_error_for_both() {
    let web = Container::new("web", "");
    let config = web.sidecar("a", "") + &web.sidecar("b", "");
    let host = Plan::new(&config).socket("a", Kind::Tcp4).socket("b", Kind::Tcp4).listen();
    assert_eq!(host.connect("a").end(), End::Reset);
    assert_eq!(host.connect("b").end(), End::Reset);
    assert_eq!(web.status(), "created");
}

#[test]
fn check_prints_every_error_and_ends_with_78() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rouse.toml");
    fs::write(&file, "[sidecar.web]\nready = \"ftp\"\nnope = 1\n").unwrap();
    // Neither units nor an engine: the configuration is all there is to look at.
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
        command.env("SYSTEMD_UNIT_PATH", dir.path()).env_remove("DOCKER_HOST");
        output(command.args(["check", "--config"]).arg(&file))
    };
    let done = check();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(78), "{said}");
    for place in [":2:9: ", ":3:1: "] {
        assert!(said.contains(&format!("{}{place}", file.display())), "{place} is missing in {said}");
    }
    let engine = dir.path().join("none.sock");
    let mended =
        format!("[helper]\nengine = \"unix://{}\"\n[sidecar.web]\nready = \"http:/\"\n", engine.display());
    fs::write(&file, mended).unwrap();
    let done = check();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "configuration is fine: 1 sidecar: web\n");
}
