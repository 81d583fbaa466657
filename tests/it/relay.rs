//! Bytes, half-close, reset and urgent data, both ways.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};

use crate::harness::{Client, Container, End, Host, Kind, Plan, spawn, until};

const GIGABYTE: u64 = 1 << 30;

fn serve(keys: &str) -> (Container, Host) {
    let web = Container::new("web", "");
    let host =
        Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).socket("web", Kind::Unix).listen();
    (web, host)
}

/// sha256sum(1), which is faster than any digest in a debug build.
struct Digest {
    process: std::process::Child,
}

impl Digest {
    fn new() -> Digest {
        let process = spawn(Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()));
        Digest { process }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.process.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn hex(self) -> String {
        let output = self.process.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    }
}

/// A gigabyte up, whose digest the server gives back after the client has ended its direction.
fn upload(client: &mut Client) {
    let mut digest = Digest::new();
    client.write_all(b"until-eof\n").unwrap();
    let mut block = vec![0u8; 1 << 20];
    block.iter_mut().enumerate().for_each(|(i, byte)| *byte = ((i * i) >> 7) as u8);
    for number in 0..GIGABYTE >> 20 {
        block[..8].copy_from_slice(&number.to_be_bytes());
        client.write_all(&block).unwrap();
        digest.update(&block);
    }
    client.finish();
    assert_eq!(client.rest().trim(), format!("{GIGABYTE} {}", digest.hex()));
}

/// A gigabyte down, with its digest behind it and a clean end.
fn download(client: &mut Client) {
    let mut digest = Digest::new();
    client.write_all(format!("source {GIGABYTE}\n").as_bytes()).unwrap();
    let mut block = vec![0; 1 << 20];
    let mut left = GIGABYTE;
    while left > 0 {
        let most = block.len().min(left as usize);
        let read = client.read(&mut block[..most]).unwrap();
        assert_ne!(read, 0, "ended {left} bytes early");
        digest.update(&block[..read]);
        left -= read as u64;
    }
    assert_eq!(client.rest(), digest.hex());
}

#[test]
fn a_gigabyte_goes_up_unchanged() {
    let (_web, host) = serve("");
    upload(&mut host.connect("web"));
}

#[test]
fn a_gigabyte_comes_down_unchanged() {
    let (_web, host) = serve("");
    download(&mut host.connect("web"));
}

#[test]
fn large_transfers_both_ways_at_once_over_tcp_and_unix_do_not_disturb_each_other() {
    let (_web, host) = serve("");
    thread::scope(|scope| {
        for number in 0..6 {
            let host = &host;
            scope.spawn(move || {
                let mut client = host.connect_nth("web", number % 2);
                client.write_all(b"source 20000000\n").unwrap();
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len(), 20_000_064);
                let mut digest = Digest::new();
                digest.update(&bytes[..20_000_000]);
                assert_eq!(&bytes[20_000_000..], digest.hex().as_bytes());
            });
        }
    });
}

#[test]
fn the_reply_survives_the_clients_half_close() {
    let (_web, host) = serve("");
    for number in [0, 1] {
        let mut client = host.connect_nth("web", number);
        client.write_all(b"until-eof\nall that I have to say").unwrap();
        client.finish();
        assert!(client.rest().starts_with("22 "));
        assert_eq!(client.end(), End::Clean);
    }
}

#[test]
fn the_client_may_go_on_after_the_containers_half_close() {
    let (web, host) = serve("");
    for number in [0, 1] {
        let mut client = host.connect_nth("web", number);
        client.write_all(b"half\n").unwrap();
        assert_eq!(client.rest(), "half\n");
        client.write_all(&[b'x'; 100_000]).unwrap();
        client.finish();
        web.logged(&format!("half-closed connection {} received 100000 bytes", number + 1));
    }
}

#[test]
fn a_half_close_before_the_container_is_awake_is_passed_on_too() {
    let slow = Container::new("slow", "--listen-after 1");
    let host = Plan::new(&slow.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.write_all(b"until-eof\nearly").unwrap();
    client.finish();
    assert!(client.rest().starts_with("5 "));
}

#[test]
fn a_reset_by_the_client_reaches_the_container_as_a_reset() {
    let (web, host) = serve("");
    let mut client = host.connect("web");
    client.ask("echo one");
    client.reset();
    web.logged("connection 1 ended: reset");
    let mut other = host.connect("web");
    other.ask("echo two");
    other.finish();
    web.logged("connection 2 ended: clean");
}

#[test]
fn a_reset_in_the_middle_of_a_transfer_ends_both_sides() {
    let (web, host) = serve("");
    let mut client = host.connect("web");
    client.write_all(b"source 1000000000\n").unwrap();
    client.read_exact(&mut vec![0; 1 << 20]).unwrap();
    client.reset();
    web.logged("connection 1 ended: reset");
}

#[test]
fn a_reset_by_the_container_reaches_the_client_as_a_reset() {
    let (_web, host) = serve("");
    let mut client = host.connect("web");
    client.write_all(b"reset\n").unwrap();
    assert_eq!(client.end(), End::Reset);
    let mut clean = host.connect("web");
    clean.write_all(b"close\n").unwrap();
    assert_eq!(clean.end(), End::Clean);
}

#[test]
fn a_reset_by_the_container_is_an_end_on_a_unix_socket() {
    let (_web, host) = serve("");
    let mut client = host.connect_nth("web", 1);
    client.write_all(b"reset\n").unwrap();
    assert_ne!(client.end(), End::Open);
}

#[test]
fn urgent_data_from_the_client_does_not_wedge_the_connection() {
    let (_web, host) = serve("");
    let mut client = host.connect("web");
    client.ask("echo awake");
    for _ in 0..5 {
        client.write_all(b"echo be").unwrap();
        send(client.fd().as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        client.write_all(b"hind\n").unwrap();
        // The urgent byte itself is no part of the stream for most servers.
        assert_eq!(client.read_line().unwrap().replace('!', ""), "behind");
    }
    assert_eq!(client.ask("echo fine"), "fine");
}

#[test]
fn urgent_data_from_the_container_does_not_wedge_the_connection() {
    let (_web, host) = serve("");
    let mut client = host.connect("web");
    setsockopt(&client.fd(), sockopt::ReceiveTimeout, &nix::sys::time::TimeVal::new(20, 0)).unwrap();
    for _ in 0..5 {
        assert_eq!(client.ask("urgent"), "before");
        assert_eq!(client.read_line().unwrap().replace('!', ""), "after");
    }
    assert_eq!(client.ask("echo fine"), "fine");
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_else() {
    let (_web, host) = serve("");
    let mut stuck = host.connect("web");
    stuck.write_all(b"source 200000000\n").unwrap();
    let mut other = host.connect("web");
    for _ in 0..20 {
        assert_eq!(other.ask("echo past it"), "past it");
    }
    let mut bytes = Vec::new();
    stuck.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 200_000_064);
}

#[test]
fn a_connection_that_carries_nothing_holds_no_pipe() {
    let (_web, host) = serve("");
    let mut clients: Vec<Client> = (0..20).map(|_| host.connect("web")).collect();
    for client in &mut clients {
        assert_eq!(client.ask("echo here"), "here");
    }
    let directory = format!("/proc/{}/fd", host.pid());
    let pipes = || {
        let fds = std::fs::read_dir(&directory).unwrap().flatten();
        let links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
    };
    // Its stderr is one; a few may be kept for the next bytes.
    until("pipes given back", || (pipes() < 20).then_some(()));
}
