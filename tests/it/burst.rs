//! Thousands of clients at one moment, and nobody is refused, reset or forgotten.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};

use crate::harness::{Address, Container, Host, Kind, PORT, Plan, skip};

/// As many as fit into the kernel's queue, with a few to spare.
const CLIENTS: usize = 4000;
/// Of the helper: two sockets for each client, and what it has besides.
const FILES: u64 = 2 * CLIENTS as u64 + 1000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each connection's first bytes with the same, on one thread.
const ECHO: &str = "import asyncio
async def serve(reader, writer):
    writer.write(await reader.read(100))
    await reader.read()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, '0.0.0.0', PORT, backlog=4096)
    await server.serve_forever()
asyncio.run(main())";

/// A connection that is on its way as soon as this returns.
fn set_out(address: SockaddrIn) -> TcpStream {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let client = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    match connect(client.as_raw_fd(), &address) {
        Ok(()) | Err(Errno::EINPROGRESS) => client.into(),
        Err(error) => panic!("{error}"),
    }
}

/// Waits until something happens at the socket, be it an error, which the next call on it tells.
fn wait(client: &TcpStream, what: PollFlags, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let mut polled = [PollFd::new(client.as_fd(), what)];
    poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
}

fn burst(host: &Host) {
    let Address::Tcp(std::net::SocketAddr::V4(address)) = host.listener("web", 0).address else {
        unreachable!()
    };
    let begun = Instant::now();
    let deadline = begun + PATIENCE;
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| set_out(address.into())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        wait(client, PollFlags::POLLOUT, deadline);
        client.write_all(&(number as u64).to_be_bytes()).unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut answer = [0; 8];
        wait(client, PollFlags::POLLIN, deadline);
        client.read_exact(&mut answer).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(u64::from_be_bytes(answer), number as u64);
    }
    println!("{CLIENTS} clients were answered in {:?}", begun.elapsed());
    assert_eq!(host.look(|facts| (facts.starts.len(), facts.events("web", "waking").len())), (1, 1));
}

/// The sidecar, asleep; none where this machine has not enough descriptors.
fn serve() -> Option<(Container, Host)> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let queue = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if hard < FILES || queue.trim().parse::<usize>().unwrap() < CLIENTS {
        skip(&format!("{hard} open files or a queue of {} are too few for {CLIENTS} clients", queue.trim()));
        return None;
    }
    let echo = ECHO.replace("PORT", &PORT.to_string());
    let web = Container::running("web", &["--stop-signal", "KILL"], &["python3", "-c", &echo]);
    let keys = format!("max_waiting = {CLIENTS}\nmax_connections = {}", 2 * CLIENTS);
    let host = Plan::new(&web.sidecar("web", &keys)).socket("web", Kind::Tcp4).listen();
    Some((web, host))
}

#[test]
fn four_thousand_clients_at_once_are_all_served_by_one_that_is_awake() {
    let Some((_web, host)) = serve() else { return };
    host.connect("web").ask("good morning");
    burst(&host);
}

#[test]
fn four_thousand_clients_at_once_are_all_served_by_one_that_was_asleep() {
    let Some((_web, host)) = serve() else { return };
    burst(&host);
}
