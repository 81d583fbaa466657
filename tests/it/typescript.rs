//! Old callers keep working: the functions of `packaging/examples/typescript`, run by node.

mod caller; // a program that runs on node and uses sidecars through these functions

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::caller::{Caller, Compiled, PROGRAM, compiled};
use crate::harness::{Container, Host, Kind, Plan, Recorder, engine_socket};

/// A host with the sidecar `web`, whose control socket is in `folder`.
fn host(folder: &Path, web: &Container, keys: &str) -> Host {
    Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).control(folder, "web").listen()
}

#[test]
fn callers_see_the_types_that_they_always_saw() {
    let Some(Compiled { folder, .. }) = compiled() else { return };
    let types = fs::read_to_string(folder.join("rouse.d.ts")).unwrap();
    let exports: Vec<_> = types.lines().filter(|line| line.starts_with("export")).collect();
    let expected = [
        "export declare function ensureSidecar(name: string): Promise<void>;",
        "export declare function markSidecarUsed(name: string): void;",
        "export declare function isSidecarRunning(name: string): Promise<boolean>;",
    ];
    assert_eq!(exports, expected);
}

#[test]
fn a_sidecar_is_ready_when_it_was_ensured_and_sleeps_when_nobody_uses_it() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "--listen-after 1");
    let host = host(folder.path(), &web, "idle_timeout = \"1s\"");
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("running web"), "false");
    assert_eq!(web.status(), "created", "looking has woken it");
    for slept in 0..2 {
        assert_eq!(caller.says("ensure web"), "ready");
        assert!(web.logs().matches("listening").count() == slept + 1, "it was not ready");
        assert_eq!(caller.says("running web"), "true");
        assert_eq!(caller.says("ensure web"), "ready");
        host.event_nth("web", "slept", slept);
        assert_eq!(caller.says("running web"), "false");
    }
    assert_eq!(host.count("web", "waking"), 2);
    caller.leaves_in_order();
}

#[test]
fn twenty_who_ensure_at_once_wake_it_once() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "--listen-after 0.5");
    let recorder = Recorder::new(&folder.path().join("engine.sock"));
    let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", "")).socket("web", Kind::Tcp4);
    let _host = plan.control(folder.path(), "web").listen();
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("ensure web 20"), "ready");
    assert_eq!(recorder.calls("POST /start").len(), 1);
    caller.leaves_in_order();
}

#[test]
fn a_sidecar_that_is_marked_as_used_stays_awake_and_one_that_sleeps_is_not_woken() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let host = host(folder.path(), &web, "idle_timeout = \"1500ms\"");
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("mark web"), "marked");
    assert_eq!(caller.says("running web"), "false");
    assert_eq!(web.status(), "created");
    assert_eq!(caller.says("ensure web"), "ready");
    let begun = host.now();
    while host.now() - begun < Duration::from_secs(4) {
        assert_eq!(caller.says("mark web"), "marked");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(host.count("web", "slept"), 0);
    host.event("web", "slept");
    caller.leaves_in_order();
}

#[test]
fn whenever_it_is_ensured_around_its_sleep_it_gets_ready() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let host = host(folder.path(), &web, "idle_timeout = \"200ms\"\nbusy_cpu = 0");
    let mut caller = Caller::new(&compiled, folder.path());
    for moment in 0..16 {
        assert_eq!(caller.says("ensure web 3"), "ready");
        thread::sleep(Duration::from_millis(150 + 12 * moment));
    }
    assert!(host.count("web", "slept") > 3, "it never slept");
    caller.leaves_in_order();
}

#[test]
fn without_the_folder_nothing_is_to_do_and_all_counts_as_running() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut caller = Caller::new(&compiled, &folder.path().join("rouse"));
    for name in ["web", "../x", ""] {
        assert_eq!(caller.says(&format!("ensure {name}")), "ready");
        assert_eq!(caller.says(&format!("mark {name}")), "marked");
        assert_eq!(caller.says(&format!("running {name}")), "true");
    }
    caller.leaves_in_order();
}

#[test]
fn a_name_without_a_socket_is_unknown_and_no_name_leaves_the_folder() {
    let Some(compiled) = compiled() else { return };
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("rouse");
    fs::create_dir(&folder).unwrap();
    let trap = UnixListener::bind(outside.path().join("x.sock")).unwrap();
    trap.set_nonblocking(true).unwrap();
    let mut caller = Caller::new(&compiled, &folder);
    for name in ["web", "../x", "./../x", "..%2fx", "", ".", "-x", "@x", "a/b", &"x".repeat(91)] {
        assert_eq!(caller.says(&format!("ensure {name}")), format!("Unknown sidecar: {name}"));
        assert_eq!(caller.says(&format!("mark {name}")), "marked");
        assert_eq!(caller.says(&format!("running {name}")), "false");
    }
    caller.leaves_in_order();
    assert_eq!(
        trap.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "somebody called outside the folder"
    );
}

#[test]
fn a_sidecar_that_its_helper_does_not_know_is_unknown() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4);
    let _host = plan.control(folder.path(), "other").listen();
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("ensure other"), "Unknown sidecar: other");
    assert_eq!(caller.says("mark other"), "marked");
    assert_eq!(caller.says("running other"), "false");
    caller.leaves_in_order();
}

#[test]
fn a_wake_that_fails_is_told_with_the_reason_and_what_to_do() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "--die-after 0.1");
    let host = host(folder.path(), &web, "");
    let mut caller = Caller::new(&compiled, folder.path());
    let told = caller.says("ensure web 3");
    let failed = host.event("web", "wake-failed");
    assert!(told.starts_with("Failed to start web: ") && told.contains(web.name()), "{told}\n{failed}");
    // A reason and a hint.
    assert!(told.matches(": ").count() >= 2, "{told}");
    assert_eq!(caller.says("running web"), "false");
    caller.leaves_in_order();
}

#[test]
fn a_container_that_is_late_counts_as_ready_where_late_clients_are_let_through() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "--ready-after 600");
    let keys = "ready = \"http-ok:/ready\"\nwake_timeout = \"1s\"";
    let host = host(folder.path(), &web, keys);
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("ensure web"), "ready");
    host.event("web", "late");
    caller.leaves_in_order();
}

#[test]
fn a_helper_that_is_killed_in_a_wake_has_a_successor_that_answers() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "--listen-after 2");
    let host = host(folder.path(), &web, "");
    let mut caller = Caller::new(&compiled, folder.path());
    caller.send("ensure web");
    host.event("web", "waking");
    host.end_helper(Signal::SIGKILL);
    assert_eq!(caller.hear(), "ready");
    assert!(web.logs().contains("listening"), "it was not ready");
    host.end_helper(Signal::SIGKILL);
    assert_eq!(caller.says("running web"), "true");
    caller.leaves_in_order();
}

#[test]
fn who_may_not_call_or_calls_nobody_is_told_so() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let _web = UnixListener::bind(folder.path().join("web.sock")).unwrap();
    fs::set_permissions(folder.path().join("web.sock"), Permissions::from_mode(0o660)).unwrap();
    drop(UnixListener::bind(folder.path().join("off.sock")).unwrap());
    let mut caller = Caller::new(&compiled, folder.path());
    let told = caller.says("ensure off");
    assert!(
        told.contains("ECONNREFUSED") && told.contains("systemctl enable --now rouse@off.socket"),
        "{told}"
    );
    assert_eq!(caller.says("become 65534"), "became 65534");
    let told = caller.says("ensure web");
    assert!(told.contains("EACCES") && told.contains("member of group rouse"), "{told}");
    for name in ["web", "off"] {
        assert_eq!(caller.says(&format!("mark {name}")), "marked");
        assert_eq!(caller.says(&format!("running {name}")), "false");
    }
    caller.leaves_in_order();
}

#[test]
fn a_helper_that_does_not_answer_is_given_up() {
    let Some(compiled) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let _web = UnixListener::bind(folder.path().join("web.sock")).unwrap();
    let mut caller = Caller::new(&compiled, folder.path());
    assert_eq!(caller.says("mark web"), "marked");
    let begun = Instant::now();
    assert_eq!(caller.says("running web"), "false");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    caller.leaves_in_order();
}

#[test]
fn a_caller_in_a_container_needs_the_folder_and_the_group() {
    let Some(Compiled { node, folder: js }) = compiled() else { return };
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let host = host(folder.path(), &web, "");
    let (socket, group) = (folder.path().join("web.sock"), 4242);
    for (path, mode) in [(folder.path(), 0o2755), (&socket, 0o660)] {
        chown(path, None, Some(group)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let volumes = [
        format!("{}:/run/rouse", folder.path().display()),
        format!("{}:/node:ro", node.display()),
        format!("{}:/js:ro", js.display()),
        format!("{PROGRAM}:/caller.mjs:ro"),
    ];
    let mut options =
        vec!["--user", "65534:65534", "--stop-signal", "KILL", "--env", "ROUSE_JS=/js/rouse.js"];
    options.extend(volumes.iter().flat_map(|volume| ["--volume", volume]));
    let command = ["sleep", "infinity"];
    let stranger = Container::running("stranger", &options, &command);
    options.extend(["--group-add", "4242"]);
    let member = Container::running("member", &options, &command);
    let inside = |container: &Container| {
        container.start();
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", engine_socket().display()));
        command.args(["exec", "--interactive", container.name(), "/node", "/caller.mjs"]);
        Caller::start(command)
    };
    let told = inside(&stranger).says("ensure web");
    assert!(told.contains("EACCES") && told.contains("group_add"), "{told}");
    let mut caller = inside(&member);
    assert_eq!(caller.says("ensure web"), "ready");
    assert_eq!(caller.says("running web"), "true");
    caller.leaves_in_order();
    host.event("web", "ready");
}
