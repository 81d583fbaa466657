//! What must go on while bytes or clients never cease.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::sendfile::sendfile;
use nix::sys::signal::Signal::SIGTERM;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt::Linger,
};

use crate::harness::{Client, Container, Host, Kind, Plan, docker, free_port, until};

const MEGABYTE: usize = 1 << 20;
/// A flood ends then, whatever becomes of its test.
const LONGEST_FLOOD: Duration = Duration::from_secs(10);

fn serve() -> (Container, Host) {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    (web, host)
}

/// Sends without a pause until the connection ends; under way when this returns.
fn pour(mut client: Client) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(MEGABYTE as u64).unwrap();
    std::io::Write::write_all(&mut client, b"sink\n").unwrap();
    let poured = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&poured);
    thread::spawn(move || pour_on(&client, &file, &count));
    until("a transfer under way", || (poured.load(Ordering::Relaxed) > 64 * MEGABYTE as u64).then_some(()));
}

fn pour_on(client: &Client, file: &File, poured: &AtomicU64) {
    while let Ok(sent @ 1..) = sendfile(client.fd(), file, Some(&mut 0), MEGABYTE) {
        poured.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

/// Eight at once: a helper that leaves one only when it pauses has seven more before it looks elsewhere.
fn pour_without_a_pause(host: &Host) {
    (0..8).for_each(|_| pour(host.connect("web")));
}

#[test]
fn small_answers_come_at_once_beside_transfers_that_never_pause() {
    let (_web, host) = serve();
    let mut client = host.connect("web");
    client.ask("echo before");
    pour_without_a_pause(&host);
    let ask = |number: u32| {
        // At moments that have nothing to do with each other.
        thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        assert_eq!(client.ask(&format!("echo {number}")), number.to_string());
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..50).map(ask).collect();
    times.sort();
    assert!(times[24] < Duration::from_millis(50), "half of them took longer: {times:?}");
    assert!(times[49] < Duration::from_millis(500), "the slowest took longer: {times:?}");
}

#[test]
fn sigterm_is_obeyed_during_transfers_that_never_pause() {
    let (_web, host) = serve();
    pour_without_a_pause(&host);
    let begun = Instant::now();
    let status = host.end_helper(SIGTERM);
    let took = begun.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(1), "SIGTERM took {took:?}: it means leave now");
}

/// Connects and resets at once, again and again, without waiting for anything.
fn flood(target: SocketAddr, end: &AtomicBool) {
    let SocketAddr::V4(target) = target else { panic!("{target} is not IPv4") };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let begun = Instant::now();
    while !end.load(Ordering::Relaxed) && begun.elapsed() < LONGEST_FLOOD {
        let open: Vec<_> = (0..64)
            .map(|_| {
                let client = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
                let _ = connect(client.as_raw_fd(), &SockaddrIn::from(target));
                setsockopt(&client, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
                client
            })
            .collect();
        drop(open);
    }
}

#[test]
fn a_death_is_noticed_however_many_clients_come() {
    // On the host's network a dead server refuses at once, so that nothing slows the helper down.
    let port = free_port();
    let server = format!(
        "import socket\ns = socket.create_server(('127.0.0.1', {port}), backlog=4096)\n\
         while True: s.accept()[0].close()"
    );
    let web = Container::running("web", &["--network", "host"], &["python3", "-c", &server]);
    let config = format!("[sidecar.web]\ncontainer = \"{}\"\nport = {port}\n", web.name());
    let host = Plan::new(&config).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").rest(), "");
    let target = SocketAddr::from(([127, 0, 0, 1], host.listener("web", 0).port()));
    let end = AtomicBool::new(false);
    let noticed = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| flood(target, &end));
        }
        until("a queue that never empties", || (host.queued("web") > 100).then_some(()));
        docker(&["kill", web.name()]);
        let noticed =
            host.wait_for(Duration::from_secs(2), |facts| facts.events("web", "died").first().cloned());
        end.store(true, Ordering::Relaxed);
        noticed
    });
    assert!(noticed.is_some(), "the container's death was not noticed within 2 s");
}
