//! Where a container is dialled: its networks, the host, another container, an override.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, listen as set_backlog};

use crate::harness::{
    Action, Client, Container, End, Host, Kind, Network, PORT, Plan, Recorder, SERVERS, behind_recorder,
    docker, free_port, skip,
};

fn listen(config: &str) -> Host {
    Plan::new(config).socket("web", Kind::Tcp4).listen()
}

#[test]
fn the_network_asked_for_is_the_one_dialled() {
    let networks = [Network::new("aaa"), Network::new("bbb")];
    let web = Container::with("web", &["--network", networks[0].name()], "");
    docker(&["network", "connect", networks[1].name(), web.name()]);
    for network in &networks {
        let host = listen(&web.sidecar("web", &format!("network = \"{}\"", network.name())));
        let answer = host.connect("web").ask("who");
        let template = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", network.name());
        assert_eq!(answer.split(' ').nth(2).unwrap(), web.inspect(&template));
        drop(host);
        docker(&["stop", web.name()]);
    }
}

#[test]
fn of_several_networks_the_first_by_name_is_dialled_with_a_warning() {
    let networks = [Network::new("zzz"), Network::new("aaa")];
    let web = Container::with("web", &["--network", networks[0].name()], "");
    docker(&["network", "connect", networks[1].name(), web.name()]);
    let host = listen(&web.sidecar("web", ""));
    let answer = host.connect("web").ask("who");
    let first = networks.iter().map(Network::name).min().unwrap();
    let template = format!("{{{{(index .NetworkSettings.Networks \"{first}\").IPAddress}}}}");
    assert_eq!(answer.split(' ').nth(2).unwrap(), web.inspect(&template));
    host.says(first);
}

#[test]
fn a_network_that_the_container_does_not_have_is_named() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", "network = \"elsewhere\""));
    host.connect("web").end();
    assert!(host.event("web", "wake-failed").contains("elsewhere"));
}

#[test]
fn a_container_with_the_hosts_network_is_dialled_on_the_host() {
    let port = free_port();
    let web = Container::with("web", &["--network", "host"], &format!("--port {port}"));
    let config = format!("[sidecar.web]\ncontainer = \"{}\"\nport = {port}\n", web.name());
    assert_eq!(listen(&config).connect("web").ask("echo on the host"), "on the host");
}

#[test]
fn a_container_in_another_containers_network_is_dialled_there() {
    let other = Container::running("other", &["--stop-signal", "KILL"], &["sleep", "1000"]);
    let web = Container::with("web", &["--network", &format!("container:{}", other.name())], "");
    other.start();
    let host = listen(&web.sidecar("web", ""));
    let answer = host.connect("web").ask("who");
    assert_eq!(answer.split(' ').nth(2).unwrap(), other.inspect("{{.NetworkSettings.IPAddress}}"));
}

#[test]
fn a_published_port_can_be_given_as_the_address() {
    let port = free_port();
    let web = Container::with("web", &["--publish", &format!("127.0.0.1:{port}:{PORT}")], "");
    let host = listen(&web.sidecar(
        "web",
        &format!("address = \"127.0.0.1:{port}\"\nready = \"http:/\"\nwhen_late = \"refuse\""),
    ));
    assert_eq!(host.connect("web").ask("echo published"), "published");
}

#[test]
fn a_unix_socket_can_be_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let volume = format!("{}:/sockets", dir.path().display());
    let web = Container::with("web", &["--volume", &volume], "--unix /sockets/web.sock");
    let address = format!("address = \"unix:{}/web.sock\"", dir.path().display());
    let host = listen(&web.sidecar("web", &address));
    let mut client = host.connect("web");
    assert_eq!(client.ask("echo by path"), "by path");
    client.finish();
    assert_eq!(client.rest(), "");
}

#[test]
fn a_unix_address_with_a_full_backlog_is_waited_for() {
    const CLIENTS: usize = 6;
    let web = Container::running("web", &["--stop-signal", "KILL"], &["sleep", "1000"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    let address = UnixListener::bind(&path).unwrap();
    set_backlog(&address, Backlog::new(1).unwrap()).unwrap();
    let host = listen(&web.sidecar("web", &format!("address = \"unix:{}\"", path.display())));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| host.connect("web")).collect();
    host.event("web", "ready");
    for client in &mut clients {
        client.deadline(Duration::from_millis(100));
        assert_eq!(client.end(), End::Open, "the backlog was full for a moment only");
        client.deadline(Duration::from_secs(20));
    }
    thread::spawn(move || {
        for mut accepted in address.incoming().take(CLIENTS).map_while(Result::ok) {
            let _ = accepted.write_all(b"hello\n");
        }
    });
    for client in &mut clients {
        assert_eq!(client.read_line().unwrap(), "hello");
    }
}

/// An address of this machine at which others reach it.
fn own_address() -> Option<Ipv4Addr> {
    let interfaces = nix::ifaddrs::getifaddrs().unwrap();
    let mut addresses = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    addresses.find(|ip| !ip.is_loopback())
}

#[test]
fn an_address_that_leads_back_to_the_socket_is_refused() {
    let Some(own) = own_address() else { return skip("this machine has no address but loopback") };
    let web = Container::new("web", "");
    let plan = Plan::new("").socket("web", Kind::AnyTcp4);
    let address = format!("address = \"{own}:{}\"", plan.listener("web", 0).port());
    // Few files, so that a connection that makes the next one does not go on for long.
    let host = plan.config(&web.sidecar("web", &address)).open_files(200).listen();
    assert_eq!(host.connect("web").end(), End::Reset);
    assert!(host.event("web", "wake-failed").contains("is the socket that rouse itself listens on"));
    let files = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    assert!(files < 50, "{files} open files for one client");
}

#[test]
fn the_address_is_inspected_anew_at_each_wake() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", "idle_timeout = \"200ms\""));
    let first = host.connect("web").ask("who");
    host.event("web", "slept");
    // Somebody takes the address that it had.
    let squatter = Container::new("squatter", "");
    squatter.start();
    let second = host.connect("web").ask("who");
    assert_ne!(first.split(' ').next(), second.split(' ').next());
    web.logged(&format!("start {}", second.split(' ').next().unwrap()));
}

#[test]
fn a_port_map_leads_each_socket_to_its_own_port() {
    let web = Container::running(
        "web",
        &["--volume", SERVERS],
        &[
            "sh",
            "-c",
            "python3 /servers.py --port 8002 & exec python3 /servers.py --port 8001 --listen-after 0.5",
        ],
    );
    let plan = Plan::new("").socket("web", Kind::Tcp4).socket("web", Kind::Tcp4);
    let [one, two] = [0, 1].map(|number| plan.listener("web", number).port());
    let keys =
        format!("[sidecar.web]\ncontainer = \"{}\"\nport = {{ {one} = 8001, {two} = 8002 }}\n", web.name());
    let host = plan.config(&keys).listen();
    let first = host.connect_nth("web", 0).ask("who");
    let second = host.connect_nth("web", 1).ask("who");
    assert_ne!(first.split(' ').next(), second.split(' ').next(), "both sockets lead to one port");
}

/// Something that the test itself holds stands for the container's address, and says when it was touched.
#[test]
fn nothing_touches_the_address_before_the_engine_has_answered_the_start() {
    for ready in ["tcp", "http:/", "http-ok:/"] {
        let web = Container::running("web", &["--stop-signal", "KILL"], &["sleep", "1000"]);
        let address = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = address.local_addr().unwrap().port();
        let touched = thread::spawn(move || {
            let (mut first, _) = address.accept().unwrap();
            let at = Instant::now();
            let _ = first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            at
        });
        let keys = format!("address = \"127.0.0.1:{port}\"\nready = \"{ready}\"");
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", &keys));
        recorder.rule("POST /start", Action::HoldAnswer(Duration::from_millis(400)));
        let _client = host.connect("web");
        let touched = touched.join().unwrap();
        let start = &recorder.calls("POST /start")[0];
        assert!(start.answered.is_some_and(|answered| touched >= answered), "{ready}: touched too early");
    }
}

#[test]
fn a_unix_address_is_not_touched_before_the_start_either() {
    let web = Container::running("web", &["--stop-signal", "KILL"], &["sleep", "1000"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    let address = UnixListener::bind(&path).unwrap();
    let touched = thread::spawn(move || address.accept().map(|_| Instant::now()).unwrap());
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldAnswer(Duration::from_millis(400)));
    let keys = format!("address = \"unix:{}\"", path.display());
    let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", &keys));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let _client = host.connect("web");
    let touched = touched.join().unwrap();
    assert!(recorder.calls("POST /start")[0].answered.is_some_and(|answered| touched >= answered));
}

#[test]
fn waking_again_costs_no_second_on_top_of_the_start() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"200ms\""));
    let mut times: Vec<Duration> = (0..5)
        .map(|round| {
            assert_eq!(host.connect("web").ask("echo one"), "one");
            let answered = Instant::now();
            host.event_nth("web", "slept", round);
            // The engine's own time is another matter: for the start, and for the look that tells the address.
            let started = recorder.calls("POST /start")[round].answered.unwrap();
            let looks = recorder.calls("GET /json");
            let look = looks.iter().find(|look| look.asked >= started).unwrap();
            answered - look.answered.unwrap()
        })
        .collect();
    times.sort();
    // A probe before the container's network exists costs a second since then, on whatever machine.
    assert!(times[2] < Duration::from_millis(500), "answered {times:?} after the start");
}
