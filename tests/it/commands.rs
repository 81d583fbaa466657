//! What an admin asks for in a terminal, and with which exit code it is answered.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Container, Town, docker, output, spawn};

const LONG: &str = "busy_cpu = 0\nidle_timeout = \"20m\"\n";

fn code(done: &Output) -> i32 {
    done.status.code().unwrap_or_else(|| panic!("{done:?}"))
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn wake_touch_sleep_and_is_running_do_what_they_say() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    let run = |words: &[&str]| output(&mut town.rouse(words));
    assert_eq!(code(&run(&["is-running", "web"])), 3);
    assert_eq!(code(&run(&["touch", "web"])), 0);
    assert_eq!(code(&run(&["is-running", "web"])), 3, "a touch wakes nothing");
    let woken = run(&["wake", "web"]);
    assert_eq!((code(&woken), said(&woken).as_str()), (0, ""), "not a terminal: nothing to read");
    assert_eq!(code(&run(&["is-running", "web"])), 0);
    docker(&["pause", web.name()]);
    assert_eq!(code(&run(&["is-running", "web"])), 0, "paused is not asleep");
    docker(&["unpause", web.name()]);
    assert_eq!(code(&run(&["sleep", "web"])), 0);
    assert_eq!(code(&run(&["is-running", "web"])), 3);
    assert_eq!(web.status(), "exited");
}

#[test]
fn what_is_refused_says_what_why_and_what_to_do() {
    let web = Container::running("web", &[], &["sh", "-c", "exit 3"]);
    let town = Town::new(&(web.sidecar("web", LONG) + "[sidecar.off]\n"));
    let _hosts = town.settle(false, &["web"]);
    let run = |words: &[&str]| output(&mut town.rouse(words));
    let failed = run(&["wake", "web"]);
    assert_eq!(code(&failed), 1);
    assert!(said(&failed).contains("web: ") && said(&failed).contains("before it was ready"), "{failed:?}");
    for verb in ["wake", "touch", "hold"] {
        let off = run(&[verb, "off"]);
        assert_eq!(code(&off), 1);
        assert!(said(&off).contains("systemctl enable --now rouse@off.socket"), "{off:?}");
    }
    let unknown = run(&["is-running", "nobody"]);
    assert_eq!(code(&unknown), 4);
    assert!(said(&unknown).contains("no such sidecar"), "{unknown:?}");
    assert_eq!(code(&run(&["sleep", "nobody"])), 1);
    let malformed = run(&["wake", "../web"]);
    assert_eq!(code(&malformed), 2);
    assert!(said(&malformed).contains("not a sidecar name"), "{malformed:?}");
}

#[test]
fn an_engine_that_cannot_be_asked_is_neither_running_nor_asleep() {
    let town = Town::new("[sidecar.web]\nengine = \"unix:///nowhere/engine.sock\"\n");
    let unknown = output(&mut town.rouse(&["is-running", "web"]));
    assert_eq!(code(&unknown), 1);
    assert!(said(&unknown).contains("/nowhere/engine.sock"), "{unknown:?}");
}

#[test]
fn a_sidecar_that_is_turned_off_is_put_to_sleep_without_a_helper() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    web.start();
    docker(&["pause", web.name()]);
    let done = output(&mut town.rouse(&["sleep", "web"]));
    assert_eq!(code(&done), 0, "{done:?}");
    assert_eq!(web.status(), "exited");
    assert_eq!(code(&output(&mut town.rouse(&["sleep", "web"]))), 0, "asleep already");
}

#[test]
fn a_hold_lasts_until_it_is_interrupted() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"300ms\""));
    let host = &town.settle(false, &["web"])[0];
    let mut held = spawn(town.rouse(&["hold", "web"]).stderr(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(held.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("web is awake"), "{line:?}");
    let shown = town.control("web").show();
    assert_eq!(shown["text"], format!("held by pid {}", held.id()), "{shown}");
    host.never("web", "slept", Duration::from_secs(1));
    kill(Pid::from_raw(held.id() as i32), Signal::SIGINT).unwrap();
    assert!(held.wait().unwrap().success());
    host.event("web", "slept");
}

#[test]
fn a_hold_that_is_ended_by_the_other_side_says_so() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let mut held = spawn(town.rouse(&["hold", "web"]).stderr(Stdio::piped()));
    let mut errors = BufReader::new(held.stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    web.end_by_itself();
    host.event("web", "died");
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(held.wait().unwrap().code(), Some(1));
    assert!(rest.contains("the hold has ended"), "{rest}");
}

#[test]
fn a_hold_goes_on_with_the_next_helper() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"500ms\""));
    let host = &town.settle(false, &["web"])[0];
    let mut held = spawn(town.rouse(&["hold", "web"]).stderr(Stdio::piped()));
    let mut errors = BufReader::new(held.stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    for (number, signal) in [Signal::SIGKILL, Signal::SIGTERM].into_iter().enumerate() {
        host.end_helper(signal);
        host.event_nth("web", "adopted", number);
        host.never("web", "slept", Duration::from_secs(1));
    }
    assert!(town.control("web").show()["text"].as_str().unwrap().contains(&held.id().to_string()));
    kill(Pid::from_raw(held.id() as i32), Signal::SIGINT).unwrap();
    assert!(held.wait().unwrap().success());
    host.event("web", "slept");
}

#[test]
fn a_hold_for_a_while_returns_when_it_is_ready() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    assert_eq!(code(&output(&mut town.rouse(&["hold", "web", "--for", "1h 30m"]))), 0);
    let text = town.control("web").show()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("held by pid ") && text.ends_with(" for 1 h 30 min"), "{text}");
    let refused = output(&mut town.rouse(&["sleep", "web"]));
    assert_eq!(code(&refused), 1);
    assert!(said(&refused).contains("held by pid"), "{refused:?}");
    assert_eq!(code(&output(&mut town.rouse(&["sleep", "web", "--force"]))), 0);
    assert_eq!(web.status(), "exited");
}

#[test]
fn on_a_terminal_a_wake_tells_what_it_waits_for_and_how_long_that_usually_takes() {
    let web = Container::new("web", "--listen-after 2");
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    let on_a_terminal = || {
        let rouse = town.rouse(&["wake", "web"]);
        let words: Vec<_> = std::iter::once(rouse.get_program()).chain(rouse.get_args()).collect();
        let line = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.envs(rouse.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let done = output(&mut script);
        assert_eq!(code(&done), 0, "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let first = on_a_terminal();
    assert!(first.contains("waking web: 1."), "{first:?}");
    assert!(first.contains("waiting for its port to accept a connection"), "{first:?}");
    assert!(!first.contains("usually"), "{first:?}");
    assert!(first.ends_with("\r\u{1b}[K"), "nothing stays on the terminal: {first:?}");
    assert_eq!(code(&output(&mut town.rouse(&["sleep", "web"]))), 0);
    let second = on_a_terminal();
    assert!(second.contains("(usually 2."), "{second:?}");
}

#[test]
fn with_user_the_sidecars_are_those_of_the_user_and_add_says_that_it_does_not_know_them() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "SYSTEMD_UNIT_PATH", "DOCKER_HOST"] {
            command.env_remove(name);
        }
        output(command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path().join("run")).args(words))
    };
    let put = |file: &str, text: &str| {
        let file = home.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let none = String::from_utf8(run(&["status", "--user"]).stdout).unwrap();
    assert!(none.contains("user-manager.md") && !none.contains("rouse add"), "{none}");
    put(".config/rouse/rouse.toml", "[helper]\nengine = \"unix:///nowhere\"\n[sidecar.told]\n");
    put(".config/systemd/user/rouse@.socket", "[Socket]\nFileDescriptorName=%i\n");
    put("run/rouse/called.sock", "");
    put(".local/state/rouse/kept.json", "");
    let names = run(&["--user", "names"]);
    assert_eq!(String::from_utf8_lossy(&names.stdout), "called\nkept\ntold\n");
    let found = said(&run(&["check", "--user"]));
    let drop_in = home.path().join(".config/systemd/user/rouse@told.socket.d/listen.conf");
    assert!(found.contains(drop_in.to_str().unwrap()), "{found}");
    assert!(found.contains("systemctl --user enable --now rouse@told.socket"), "{found}");
    assert!(said(&run(&["wake", "--user", "told"])).contains("systemctl --user enable"));
    assert!(said(&run(&["is-running", "--user", "typo"])).contains("rouse status --user"));
    let refused = run(&["add", "--user", "told"]);
    assert_eq!(code(&refused), 1);
    assert!(said(&refused).contains("user-manager.md"), "{refused:?}");
}
