//! Who the client is, as the server in the container is told by a PROXY protocol header.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Action, Address, Client, Container, End, Host, Kind, Plan, Recorder, until};

const VERSIONS: [&str; 2] = ["v1", "v2"];
/// The bytes of a client, all of them.
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// nginx listening on `listen`, which refuses what has no header, and answers with the ends that the header names.
fn nginx(listen: &str, options: &[&str]) -> Container {
    let ends =
        "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    let config = format!(
        "daemon off; error_log /dev/stderr info; events {{}} http {{ \
         log_format ends \"$http_user_agent for <$proxy_protocol_addr> by $remote_addr\"; \
         access_log /dev/stdout ends; \
         server {{ listen {listen} proxy_protocol; location / {{ return 200 \"{ends}\"; }} }} }}"
    );
    let start = format!("echo '{config}' > /n.conf && exec nginx -c /n.conf");
    Container::running("nginx", options, &["sh", "-c", &start])
}

/// A late wake would let its clients through all the same, and nobody would see that no probe was understood.
fn keys(version: &str, more: &str) -> String {
    format!("proxy_protocol = \"{version}\"\nwake_timeout = \"10s\"\nwhen_late = \"refuse\"\n{more}")
}

fn listen(web: &Container, kind: Kind, version: &str, more: &str) -> Host {
    Plan::new(&web.sidecar("web", &keys(version, more))).socket("web", kind).listen()
}

/// What nginx tells a client of itself.
#[track_caller]
fn told(client: &mut Client) -> String {
    client.write_all(REQUEST).unwrap();
    let answer = client.rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

/// What a client knows of itself.
fn known(client: &Client) -> String {
    let stream = TcpStream::from(client.fd().try_clone_to_owned().unwrap());
    let (from, to) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    format!("{} {} {} {}", from.ip(), from.port(), to.ip(), to.port())
}

#[track_caller]
fn assert_told(mut client: Client) {
    let known = known(&client);
    assert_eq!(told(&mut client), known);
}

/// nginx tells of each connection whose header is missing, cut off or unknown to it.
#[track_caller]
fn assert_understood(web: &Container) {
    let logs = web.logs();
    assert!(!logs.contains("broken header") && !logs.contains("while reading PROXY protocol"), "{logs}");
}

#[test]
fn the_first_client_of_a_cold_wake_and_the_next_ones_are_named() {
    for version in VERSIONS {
        for kind in [Kind::Tcp4, Kind::Tcp6] {
            let web = nginx("8000", &[]);
            let host = listen(&web, kind, version, "");
            assert_told(host.connect("web"));
            assert_told(host.connect("web"));
            assert_understood(&web);
        }
    }
}

#[test]
fn an_ipv4_client_of_a_socket_for_both_families_is_an_ipv4_one() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let host = listen(&web, Kind::AnyTcp6, version, "");
        let port = host.listener("web", 0).port();
        assert_told(Client::connect(&Address::Tcp(([127, 0, 0, 1], port).into())));
        assert_told(Client::connect(&Address::Tcp((std::net::Ipv6Addr::LOCALHOST, port).into())));
    }
}

#[test]
fn a_client_on_a_unix_socket_is_served_without_a_name() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let host = listen(&web, Kind::Unix, version, "");
        assert_eq!(told(&mut host.connect("web")).trim(), "");
        assert_eq!(told(&mut host.connect("web")).trim(), "");
        assert_understood(&web);
    }
}

#[test]
fn each_of_many_that_waited_is_named_before_its_first_byte() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let host = listen(&web, Kind::Tcp4, version, "");
        let mut clients: Vec<Client> = (0..50).map(|_| host.connect("web")).collect();
        for client in &mut clients {
            client.write_all(REQUEST).unwrap();
        }
        for mut client in clients {
            let known = known(&client);
            assert!(client.rest().ends_with(&known), "{known}");
        }
        assert_understood(&web);
    }
}

#[test]
fn an_adopted_container_is_told_as_well() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        web.start();
        let host = listen(&web, Kind::Tcp4, version, "");
        host.start();
        host.event("web", "adopted");
        assert_told(host.connect("web"));
        assert_told(host.connect("web"));
        assert_understood(&web);
    }
}

#[test]
fn http_probes_are_understood_and_pass_for_no_client() {
    // Version 1 names the probe's own connection, version 2 says that it is the proxy's own.
    for (version, named) in [("v1", true), ("v2", false)] {
        for ready in ["http:/", "http-ok:/"] {
            let web = nginx("8000", &[]);
            let host = listen(&web, Kind::Tcp4, version, &format!("ready = \"{ready}\""));
            assert_told(host.connect("web"));
            let logs = web.logged("rouse for <");
            let probe = logs.lines().find(|line| line.starts_with("rouse for <")).unwrap();
            let (name, address) = probe["rouse for <".len()..].split_once("> by ").unwrap();
            assert_eq!(name, if named { address } else { "-" }, "{version}: {probe}");
            assert_understood(&web);
        }
    }
}

#[test]
fn a_server_on_a_unix_socket_is_told_too() {
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let volume = format!("{}:/sockets", dir.path().display());
        let web = nginx("unix:/sockets/web.sock", &["--volume", &volume]);
        let address = format!("address = \"unix:{}/web.sock\"", dir.path().display());
        let host = listen(&web, Kind::Tcp4, version, &format!("{address}\nready = \"http-ok:/\""));
        assert_told(host.connect("web"));
        assert_understood(&web);
    }
}

#[test]
fn a_client_that_went_while_it_waited_is_no_trouble_to_the_next() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let dir = tempfile::tempdir().unwrap();
        let engine = Recorder::new(&dir.path().join("engine.sock"));
        engine.rule("POST /start", Action::HoldAnswer(Duration::from_millis(300)));
        let plan = Plan::with_engine(engine.path(), &web.sidecar("web", &keys(version, "")));
        let host = plan.socket("web", Kind::Tcp4).listen();
        let gone = host.connect("web");
        host.event("web", "waking");
        gone.reset();
        assert_told(host.connect("web"));
    }
}

/// Nobody waits any more when the container answers at last, so the probe's connection becomes no client's.
#[test]
fn a_probe_that_no_client_came_for_is_understood() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let dir = tempfile::tempdir().unwrap();
        let engine = Recorder::new(&dir.path().join("engine.sock"));
        engine.rule("POST /start", Action::HoldAnswer(Duration::from_secs(1)));
        let keys = format!("proxy_protocol = \"{version}\"\nwake_timeout = \"300ms\"");
        let plan = Plan::with_engine(engine.path(), &web.sidecar("web", &keys));
        let host = plan.socket("web", Kind::Tcp4).listen();
        assert_eq!(host.connect("web").end(), End::Reset);
        host.event("web", "ready");
        // nginx writes down whatever ended a connection before its request.
        until("the end of the probe", || web.logs().contains("while waiting for request").then_some(()));
        assert_understood(&web);
    }
}

#[test]
fn the_header_is_none_of_the_clients_bytes() {
    for version in VERSIONS {
        let web = nginx("8000", &[]);
        let host = listen(&web, Kind::Tcp4, version, "idle_timeout = \"200ms\"");
        assert_told(host.connect("web"));
        let slept = host.event("web", "slept");
        assert!(slept.contains(&format!("bytes up: {},", REQUEST.len())), "{slept}");
    }
}

#[test]
fn a_container_that_is_told_nothing_hears_the_client_first() {
    let web = Container::new("web", "");
    for key in ["", "proxy_protocol = \"off\""] {
        let host = Plan::new(&web.sidecar("web", key)).socket("web", Kind::Tcp4).listen();
        assert_eq!(host.connect("web").ask("echo first"), "first");
    }
}
