//! How a connection ends: after a half-close, after urgent data.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::sys::socket::{MsgFlags, send};

use crate::harness::{Container, End, Host, Kind, Plan, spawn};

const ROUNDS: usize = 20;

fn serve() -> (Container, Host) {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    (web, host)
}

fn digest(bytes: &[u8]) -> String {
    let mut process = spawn(Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()));
    process.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned()
}

#[test]
fn what_follows_an_urgent_byte_arrives_whole_with_the_end_behind_it() {
    let (_web, host) = serve();
    let bulk: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 7) >> 5) as u8).collect();
    // The urgent byte is passed on as an ordinary one, in its place.
    let whole = [&bulk, &b"!tail"[..]].concat();
    let expected = format!("{} {}\n", whole.len(), digest(&whole));
    for round in 0..ROUNDS {
        let mut client = host.connect("web");
        client.write_all(b"until-eof\n").unwrap();
        client.write_all(&bulk).unwrap();
        send(client.fd().as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        client.write_all(b"tail").unwrap();
        client.finish();
        assert_eq!(client.rest(), expected, "round {round}");
        assert_eq!(client.end(), End::Clean, "round {round}");
    }
}

#[test]
fn a_reset_after_the_clients_half_close_reaches_the_container_before_its_answer() {
    let (web, host) = serve();
    let mut client = host.connect("web");
    client.write_all(b"await-reset\nall that I have to say").unwrap();
    client.finish();
    web.logged("connection 1 is half-closed");
    client.reset();
    web.logged("connection 1 ended: reset");
}

#[test]
fn a_reset_after_the_containers_half_close_reaches_a_client_that_says_nothing() {
    let (_web, host) = serve();
    let mut client = host.connect("web");
    client.write_all(b"half-reset\n").unwrap();
    assert_eq!(client.rest(), "half\n");
    client.write_all(b"now\n").unwrap();
    assert!(client.is_reset_after_all(), "the client was not told of the reset");
}
