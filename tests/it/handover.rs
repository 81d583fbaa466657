//! Which sockets are taken, by which names, and what is refused.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{
    Client, Container, End, Host, Kind, NO_CONTAINER, Plan, engine_socket, is_reset, output, skip, spawn,
    spawn_with, until,
};

/// Whether `client` is served by `container`.
#[track_caller]
fn is_served_by(client: &mut Client, container: &Container) {
    let identity = client.ask("who").split(' ').next().unwrap().to_owned();
    container.logged(&format!("start {identity}"));
}

#[test]
fn sockets_belong_to_the_sidecar_of_their_name_in_any_order() {
    let (a, b) = (Container::new("a", ""), Container::new("b", ""));
    let config = a.sidecar("a", "") + &b.sidecar("b", "");
    for order in [["b", "a", "b", "a"], ["a", "b", "b", "a"]] {
        let host =
            order.into_iter().fold(Plan::new(&config), |plan, name| plan.socket(name, Kind::Tcp4)).listen();
        for number in [0, 1] {
            is_served_by(&mut host.connect_nth("a", number), &a);
            is_served_by(&mut host.connect_nth("b", number), &b);
        }
        assert_eq!(host.look(|facts| facts.starts.len()), 1);
    }
}

#[test]
fn one_sidecar_listens_on_ipv4_ipv6_and_a_unix_socket_at_once() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", ""));
    let host = plan.socket("web", Kind::Unix).socket("web", Kind::Tcp6).socket("web", Kind::Tcp4).listen();
    for number in [1, 0, 2, 0, 1] {
        is_served_by(&mut host.connect_nth("web", number), &web);
    }
}

#[test]
fn a_client_of_a_unix_socket_alone_wakes_its_container() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Unix).listen();
    let mut client = host.connect("web");
    assert_eq!(client.ask("echo over a unix socket"), "over a unix socket");
    client.finish();
    assert_eq!(client.end(), End::Clean);
}

#[test]
fn descriptors_may_begin_at_another_number_and_have_no_listen_pid() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rouse.toml");
    let engine = engine_socket();
    std::fs::write(
        &config,
        format!("[helper]\nengine = \"unix://{}\"\n{}", engine.display(), web.sidecar("web", "")),
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut helper = spawn_with(&[listener.as_fd()], |fds| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
        command.args(["run", "--config"]).arg(&config).stderr(Stdio::null());
        command
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "web")
            .env("LISTEN_FDS_FIRST_FD", fds[0].to_string());
        command.env("STATE_DIRECTORY", dir.path()).env_remove("LISTEN_PID").env_remove("NOTIFY_SOCKET");
        command
    });
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(b"echo hello\n").unwrap();
    let mut answer = [0; 6];
    let read = client.read_exact(&mut answer);
    helper.kill().unwrap();
    helper.wait().unwrap();
    read.unwrap();
    assert_eq!(&answer, b"hello\n");
}

#[test]
fn systemd_socket_activate_is_as_good_as_systemd() {
    if output(Command::new("sh").args(["-c", "command -v systemd-socket-activate"])).stdout.is_empty() {
        return skip("systemd-socket-activate is not installed");
    }
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let (config, socket) = (dir.path().join("rouse.toml"), dir.path().join("web.sock"));
    let engine = engine_socket();
    let keys = web.sidecar("web", "idle_timeout = \"300ms\"");
    std::fs::write(&config, format!("[helper]\nengine = \"unix://{}\"\n{keys}", engine.display())).unwrap();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(&socket).arg("--fdname=web");
    command.arg(format!("--setenv=STATE_DIRECTORY={}", dir.path().display()));
    command.args([env!("CARGO_BIN_EXE_rouse"), "run", "--config"]).arg(&config).stderr(Stdio::piped());
    let mut helper = spawn(&mut command);
    let stream = until("the socket of systemd-socket-activate", || UnixStream::connect(&socket).ok());
    let mut client = Client::from(stream);
    let answer = client.try_ask("echo through activation");
    client.finish();
    drop(client);
    let ended = until("the idle end", || helper.try_wait().unwrap());
    assert_eq!(answer.unwrap(), "through activation");
    assert!(ended.success(), "{ended}");
    assert_eq!(web.status(), "exited");
}

/// A helper that is handed something wrong ends with 78 and says `words`.
#[track_caller]
fn is_refused(plan: Plan, words: &[&str]) -> Host {
    let host = plan.no_restart().boot();
    assert_eq!(host.exit().code(), Some(78));
    let text = host.look(|facts| facts.text());
    for word in words {
        assert!(text.contains(word), "{word:?} is missing");
    }
    host
}

#[test]
fn a_helper_without_sockets_says_how_to_start_it() {
    is_refused(Plan::new(""), &["no sockets"]);
}

#[test]
fn a_datagram_socket_is_refused_by_its_number() {
    let plan = Plan::new("").socket("web", Kind::Tcp4);
    is_refused(plan.other("dns", UdpSocket::bind("127.0.0.1:0").unwrap()), &["fd 4", "dns", "datagram"]);
}

#[test]
fn a_connected_socket_is_refused_by_its_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    is_refused(Plan::new("").other("web", connected), &["fd 3", "web", "connected"]);
}

#[test]
fn fewer_names_than_descriptors_are_refused_by_number() {
    let plan = Plan::new("").socket("a", Kind::Tcp4).socket("b", Kind::Tcp4).socket("c", Kind::Tcp4);
    is_refused(plan.names("a:b"), &["fd 5", "name"]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let plan = Plan::new("").other("web", connected).other("dns", UdpSocket::bind("127.0.0.1:0").unwrap());
    is_refused(plan, &["fd 3", "connected", "fd 4", "datagram"]);
}

#[test]
fn a_control_socket_of_one_helper_for_all_is_answered_too() {
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", "")).socket("control", Kind::Unix).socket("web", Kind::Tcp4);
    let host = plan.listen();
    let mut control = host.connect("control");
    control.write_all(b"GET /v1/sidecars/web HTTP/1.1\r\nHost: rouse\r\nConnection: close\r\n\r\n").unwrap();
    let answer = control.rest();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"state\":\"asleep\""), "{answer}");
    assert_eq!(web.status(), "created", "a call to control has woken the container");
    assert_eq!(host.connect("web").ask("echo beside control"), "beside control");
}

#[test]
fn a_socket_without_a_table_takes_the_container_of_its_name() {
    // Nothing of that name exists, so the wake fails and names what it looked for.
    let host = Plan::new("").socket("rouse-it-no-such-container", Kind::Tcp4).listen();
    let mut client = host.connect("rouse-it-no-such-container");
    assert!(is_reset(&client.try_ask("echo nobody").unwrap_err()));
    assert!(host.event("rouse-it-no-such-container", "wake-failed").contains(NO_CONTAINER.text()));
}
