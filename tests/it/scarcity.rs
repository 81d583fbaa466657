//! No descriptors left: accepting pauses until there are some, and relaying does without.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::harness::{
    Between, Container, Kind, Pair, Plan, Tape, limit_open_files, next_number, stuff, until,
};

/// Far more than a buffer holds.
const MUCH: usize = 16 << 20;
/// Milliseconds are enough where bytes move at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `bytes` of stream `number` from one end to the other, and the end.
fn pass(number: usize, mut sender: &TcpStream, mut receiver: &TcpStream, bytes: usize) {
    let mut sent = Tape::new(number);
    let mut received = sent.clone();
    sender.set_write_timeout(Some(PATIENCE)).unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Where nothing goes in any more, nothing comes out, and the receiver says how much did.
            while sent.passed() < bytes
                && let Ok(written) = sender.write(sent.ahead(bytes - sent.passed()))
            {
                sent.pass(written);
            }
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let mut buffer = vec![0; 1 << 16];
        let ended = loop {
            match receiver.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => assert!(received.is_continued_by(&buffer[..read])),
                Err(error) => break Err(error),
            }
        };
        assert!(ended.is_ok() && received.passed() == bytes, "{ended:?} after {} bytes", received.passed());
    });
}

#[test]
fn bytes_and_ends_are_passed_on_where_no_pipe_is_to_be_had() {
    let between = Between::new();
    let pairs: Vec<Pair> = (0..10).map(|_| between.pair()).collect();
    let pid = between.host.pid();
    limit_open_files(pid, next_number(pid));
    thread::scope(|scope| {
        for (number, pair) in pairs.iter().enumerate() {
            scope.spawn(move || {
                pass(2 * number, &pair.client, &pair.server, MUCH);
                pass(2 * number + 1, &pair.server, &pair.client, MUCH);
            });
        }
    });
}

#[test]
fn who_reads_gets_bytes_while_those_who_do_not_hold_all_pipes() {
    // Sixteen files are the helper's own, and of the others one in four is kept from connections: eighteen of them fit.
    let between = Between::with(|plan| plan.open_files(64));
    let stuck: Vec<Pair> = (0..17).map(|_| between.pair()).collect();
    let free = between.pair();
    let stuffed: Vec<[usize; 2]> = stuck
        .iter()
        .enumerate()
        .map(|(number, pair)| [stuff(&pair.client, 2 * number), stuff(&pair.server, 2 * number + 1)])
        .collect();
    pass(100, &free.client, &free.server, MUCH);
    pass(101, &free.server, &free.client, MUCH);
    for (number, (pair, stuffed)) in stuck.iter().zip(stuffed).enumerate() {
        for (lane, (sender, mut receiver)) in
            [(&pair.client, &pair.server), (&pair.server, &pair.client)].into_iter().enumerate()
        {
            receiver.set_nonblocking(false).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
            let mut bytes = Vec::new();
            receiver.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), stuffed[lane]);
            assert!(Tape::new(2 * number + lane).is_continued_by(&bytes));
        }
    }
}

#[test]
fn accepting_goes_on_as_soon_as_descriptors_are_free_again() {
    const PAUSE: &str = "accepting pauses until descriptors are free";
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let mut first = host.connect("web");
    assert_eq!(first.ask("echo awake"), "awake");
    // None is closed in between: which numbers are free would change while they are counted.
    let mut held = Vec::new();
    for round in 0..3 {
        limit_open_files(host.pid(), next_number(host.pid()));
        let mut waiting: Vec<_> = (0..20).map(|_| host.connect("web")).collect();
        host.wait("a word about the pause", |facts| {
            (facts.text().matches(PAUSE).count() > round).then_some(())
        });
        assert!(host.queued("web") > 10, "{} of 20 wait in the queue", host.queued("web"));
        assert_eq!(first.ask("echo still served"), "still served");
        limit_open_files(host.pid(), 1000);
        for client in &mut waiting {
            client.deadline(PATIENCE);
            assert_eq!(client.ask("echo served"), "served");
        }
        until("an empty queue", || (host.queued("web") == 0).then_some(()));
        held.append(&mut waiting);
    }
    let told = host.look(|facts| facts.text().matches(PAUSE).count());
    assert!(told <= 6, "{told} words about three pauses");
}
