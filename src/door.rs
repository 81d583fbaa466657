//! The door: who comes in at a sidecar's sockets, and when he counts as asking.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::time::{Instant, sleep_until};

use crate::socket::{Listeners, Stream};

/// How long a client may stay that has to send and does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Someone who has come in.
#[derive(Debug)]
pub struct Client {
    /// The accepted connection.
    pub stream: Stream,
    /// The port that it came to; none for a unix socket.
    pub port: Option<u16>,
    /// When it was accepted.
    pub since: Instant,
}

/// What a client does to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// It connects.
    ByConnecting,
    /// It sends a byte. One that sends none within 30 s is closed, in order.
    BySending,
}

/// The sockets of one sidecar, and who has come in and is not served yet. One at a time may wait on it.
///
/// It goes on only while it is waited on or looked at: who is to be closed may stay as long as nobody does.
#[derive(Debug)]
pub struct Door {
    listeners: Rc<Listeners>,
    asks: Asks,
    most: usize,
    patience: Duration,
    /// Who has to send and has not, the first one first; nobody where connecting is enough.
    porch: VecDeque<Client>,
    /// Who asks and has not been fetched.
    asking: VecDeque<Client>,
}

impl Door {
    /// A door with nobody in it. `most` is how many may be in it at once, at least one; the others wait in the kernel's queue.
    pub fn new(listeners: Rc<Listeners>, asks: Asks, most: usize) -> Door {
        let (porch, asking) = (VecDeque::new(), VecDeque::new());
        Door { listeners, asks, most, patience: PATIENCE, porch, asking }
    }

    /// Other settings from now on. Whoever is in the door stays; where connecting becomes enough, all of them ask.
    pub fn set(&mut self, asks: Asks, most: usize) {
        (self.asks, self.most) = (asks, most);
        if asks == Asks::ByConnecting {
            self.asking.append(&mut self.porch);
        }
    }

    /// The next client that asks. Cancelling it loses none.
    pub async fn accept(&mut self) -> Client {
        loop {
            if let Some(client) = self.asking.pop_front() {
                return client;
            }
            match self.asks {
                Asks::ByConnecting => return Client::new(self.listeners.accept().await),
                Asks::BySending => self.sent().await,
            }
        }
    }

    /// Waits until somebody asks, and leaves him where he is: in the kernel's queue where connecting is enough.
    pub async fn asked(&mut self) {
        match self.asks {
            _ if !self.asking.is_empty() => {}
            Asks::ByConnecting => self.listeners.client().await,
            Asks::BySending => self.sent().await,
        }
    }

    /// Whether somebody asks at this moment, whatever the reactor has heard of it.
    pub fn is_asked(&mut self) -> bool {
        self.look();
        !self.asking.is_empty() || (self.asks == Asks::ByConnecting && self.listeners.has_client())
    }

    /// Whether nobody is here at all: neither in the kernel's queue nor in the door, silent or asking.
    pub fn is_empty(&self) -> bool {
        self.porch.is_empty() && self.asking.is_empty() && !self.listeners.has_client()
    }

    /// Resets who asks at this moment and says how many that were: where connecting is enough, the kernel's queue too. Who is
    /// silent stays.
    pub fn turn_away(&mut self) -> usize {
        self.look();
        let queued = match self.asks {
            Asks::ByConnecting => self.listeners.reset_queued(),
            Asks::BySending => 0,
        };
        queued + self.asking.drain(..).count()
    }

    /// Waits until somebody who had to send asks, and lets clients in meanwhile.
    async fn sent(&mut self) {
        let listeners = self.listeners.clone();
        while self.asking.is_empty() {
            let (has_room, is_awaited) = (self.has_room(), !self.porch.is_empty());
            let first_leaves =
                self.porch.front().map_or_else(Instant::now, |first| first.since + self.patience);
            tokio::select! {
                // Those who came first come first: a flood of clients must not hide them.
                biased;
                () = poll_fn(|context| self.poll_porch(context)), if is_awaited => {}
                () = sleep_until(first_leaves), if is_awaited => self.sort(has_sent),
                client = listeners.accept(), if has_room => self.porch.push_back(Client::new(client)),
            }
        }
    }

    /// Ready once somebody has left the porch, whichever way.
    fn poll_porch(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let before = self.porch.len();
        self.sort(|stream| poll_sent(stream, context));
        if self.porch.len() < before { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does what is due at this moment where clients have to send, whatever the reactor has heard.
    fn look(&mut self) {
        if self.asks == Asks::BySending {
            while self.has_room()
                && let Some(client) = self.listeners.accept_queued()
            {
                self.porch.push_back(Client::new(client));
            }
            self.sort(has_sent);
        }
    }

    /// Parts those on the porch, by what is `heard` of each, into who asks, who leaves and who stays.
    fn sort(&mut self, mut heard: impl FnMut(&Stream) -> Heard) {
        let now = Instant::now();
        for _ in 0..self.porch.len() {
            let Some(client) = self.porch.pop_front() else { return };
            let is_late = client.since + self.patience <= now;
            // The reactor may not have heard yet of a byte that has come in time.
            match if is_late { has_sent(&client.stream) } else { heard(&client.stream) } {
                Heard::Sent => self.asking.push_back(client),
                Heard::Nothing if !is_late => self.porch.push_back(client),
                // An error means that he has gone anyway.
                Heard::Nothing | Heard::End => drop(client.stream.end_writing()),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.porch.len() + self.asking.len() < self.most.max(1)
    }
}

impl Client {
    fn new((stream, port): (Stream, Option<u16>)) -> Client {
        Client { stream, port, since: Instant::now() }
    }
}

/// What a client has let be heard.
enum Heard {
    Nothing,
    /// A byte, which may be followed by an end.
    Sent,
    /// An end or a reset without a byte.
    End,
}

/// Looks at the first byte and leaves it where it is. Urgent data is in line, so it is seen here too (tcp(7)).
fn has_sent(stream: &Stream) -> Heard {
    match recv(stream.io().as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN) => Heard::Nothing,
        Ok(0) | Err(_) => Heard::End,
        Ok(_) => Heard::Sent,
    }
}

/// The same by what the reactor has heard, which will tell of more. A readiness is cleared only where there is no byte: the
/// relay shall find that of a byte in place.
fn poll_sent(stream: &Stream, context: &mut Context<'_>) -> Heard {
    while let Poll::Ready(ready) = stream.io().poll_read_ready(context) {
        // The reactor has gone.
        let Ok(mut ready) = ready else { return Heard::End };
        match has_sent(stream) {
            Heard::Nothing => ready.clear_ready(),
            heard => return heard,
        }
    }
    Heard::Nothing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::{self, spawn};

    use nix::libc::linger;
    use nix::sys::socket::{SockaddrStorage, getpeername, send, setsockopt, sockopt};
    use tokio::io::Interest;
    use tokio::task::yield_now;
    use tokio::time::{sleep, timeout};

    use super::Asks::{ByConnecting, BySending};
    use super::*;

    /// Longer than anything takes that happens at all.
    const LONG: Duration = Duration::from_secs(10);
    /// Longer than what has happened already takes to be heard of.
    const SHORT: Duration = Duration::from_millis(50);

    fn door(asks: Asks, most: usize) -> (Door, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = Listeners::new(vec![listener.into()]).unwrap();
        (Door::new(Rc::new(listeners), asks, most), address)
    }

    fn client(address: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client
    }

    fn saying_client(address: SocketAddr, text: &str) -> TcpStream {
        let mut client = client(address);
        client.write_all(text.as_bytes()).unwrap();
        client
    }

    fn reset(client: TcpStream) {
        setsockopt(&client, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    }

    /// The end of the time looks once more, and must not pass for having been told.
    async fn soon<T>(future: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let output = timeout(LONG, future).await.unwrap();
        assert!(begun.elapsed() < LONG);
        output
    }

    async fn accepted(door: &mut Door) -> Client {
        soon(door.accept()).await
    }

    async fn nobody_asks(door: &mut Door) {
        assert!(timeout(SHORT, door.accept()).await.is_err());
    }

    /// What the relay would find.
    async fn text(client: &Client) -> String {
        let io = client.stream.io();
        drop(soon(io.ready(Interest::READABLE | Interest::PRIORITY)).await.unwrap());
        let mut bytes = [0; 100];
        let length = recv(io.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn peer(client: &Client) -> SocketAddr {
        let peer: SockaddrStorage = getpeername(client.stream.io().as_raw_fd()).unwrap();
        let peer = peer.as_sockaddr_in().unwrap();
        SocketAddr::from((peer.ip(), peer.port()))
    }

    #[tokio::test]
    async fn who_is_silent_is_closed_in_order() {
        let (mut door, address) = door(BySending, 9);
        door.patience = SHORT;
        let begun = Instant::now();
        let (mut one, other) = (client(address), client(address));
        other.set_nonblocking(true).unwrap();
        let other = tokio::net::TcpStream::from_std(other).unwrap();
        // Nothing but the door's own clock moves it on.
        tokio::select! {
            _ = accepted(&mut door) => panic!("nobody has sent"),
            readable = other.readable() => readable.unwrap(),
        }
        assert!(begun.elapsed() >= SHORT && door.is_empty());
        assert_eq!(other.try_read(&mut [0]).unwrap() + one.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn who_sends_asks_and_is_heard_in_full() {
        let (mut door, address) = door(BySending, 9);
        for is_late in [false, true] {
            let mut client = client(address);
            if is_late {
                nobody_asks(&mut door).await;
            }
            let sent = Instant::now();
            client.write_all(b"hello").unwrap();
            soon(door.asked()).await;
            assert!(door.is_asked());
            let accepted = accepted(&mut door).await;
            assert_eq!(
                (peer(&accepted), accepted.port),
                (client.local_addr().unwrap(), Some(address.port()))
            );
            assert_eq!(accepted.since < sent, is_late);
            assert_eq!(text(&accepted).await, "hello");
        }
    }

    #[tokio::test]
    async fn who_sends_and_ends_asks() {
        let (mut door, address) = door(BySending, 9);
        drop(saying_client(address, "hello"));
        assert_eq!(text(&accepted(&mut door).await).await, "hello");
    }

    #[tokio::test]
    async fn urgent_data_is_data() {
        let (mut door, address) = door(BySending, 9);
        let client = client(address);
        nobody_asks(&mut door).await;
        send(client.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        assert_eq!(text(&accepted(&mut door).await).await, "!");
    }

    #[tokio::test]
    async fn a_unix_client_is_no_different() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let listeners = Listeners::new(vec![listener.into()]).unwrap();
        let mut door = Door::new(Rc::new(listeners), BySending, 9);
        let connect = || UnixStream::connect(&path).unwrap();
        let (mut silent, mut client, mut urgent) = (connect(), connect(), connect());
        client.write_all(b"hello").unwrap();
        let accepted = accepted(&mut door).await;
        assert_eq!((accepted.port, text(&accepted).await.as_str()), (None, "hello"));
        // Urgent data is not in line here: it is readable, and yet there is nothing to read. Not every kernel knows it.
        let _ = send(urgent.as_raw_fd(), b"!", MsgFlags::MSG_OOB);
        nobody_asks(&mut door).await;
        let writing = spawn(move || {
            thread::sleep(SHORT);
            urgent.write_all(b"hello").map(|()| urgent)
        });
        soon(door.accept()).await;
        drop(writing.join().unwrap().unwrap());
        door.patience = Duration::ZERO;
        assert!(!door.is_asked() && door.is_empty());
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten() {
        let (mut door, address) = door(BySending, 9);
        let (mut ended, resetting) = (client(address), client(address));
        nobody_asks(&mut door).await;
        assert!(!door.is_empty());
        ended.shutdown(std::net::Shutdown::Write).unwrap();
        reset(resetting);
        nobody_asks(&mut door).await;
        assert!(door.is_empty());
        assert_eq!(ended.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn the_silent_hide_nobody() {
        let (mut door, address) = door(BySending, 200);
        let silent: Vec<TcpStream> = (0..100).map(|_| client(address)).collect();
        nobody_asks(&mut door).await;
        let late = saying_client(address, "late");
        assert_eq!(peer(&accepted(&mut door).await), late.local_addr().unwrap());
        (&silent[70]).write_all(b"70").unwrap();
        assert_eq!(peer(&accepted(&mut door).await), silent[70].local_addr().unwrap());
        assert_eq!(door.porch.len(), 99);
    }

    #[tokio::test]
    async fn beyond_the_most_they_wait_outside() {
        let (mut door, address) = door(BySending, 2);
        let silent = [client(address), client(address)];
        let _third = saying_client(address, "third");
        nobody_asks(&mut door).await;
        assert!(!door.is_asked() && door.listeners.has_client());
        assert_eq!(door.porch.len(), 2);
        let leaving = spawn(|| {
            thread::sleep(SHORT);
            drop(silent);
        });
        assert_eq!(text(&accepted(&mut door).await).await, "third");
        leaving.join().unwrap();
    }

    #[tokio::test]
    async fn those_who_ask_count_among_the_most() {
        let (mut door, address) = door(BySending, 2);
        let _clients: Vec<TcpStream> = (0..5).map(|_| saying_client(address, "hello")).collect();
        for _ in 0..5 {
            assert!(door.is_asked());
            assert!(door.asking.len() <= 2);
        }
        for _ in 0..5 {
            accepted(&mut door).await;
        }
        assert!(door.is_empty());
    }

    #[tokio::test]
    async fn cancelling_loses_nobody() {
        for asks in [ByConnecting, BySending] {
            let (mut door, address) = door(asks, 9);
            let mut clients = Vec::new();
            let mut found = BTreeSet::new();
            while found.len() < 50 {
                if clients.len() < 50 {
                    clients.push(saying_client(address, "hello"));
                }
                tokio::select! {
                    biased;
                    client = door.accept() => assert!(found.insert(peer(&client))),
                    () = yield_now() => {}
                }
                tokio::select! { biased; () = door.asked() => {}, () = yield_now() => {} }
            }
            assert!(door.is_empty());
            assert!(clients.iter().all(|client| found.contains(&client.local_addr().unwrap())));
        }
    }

    #[tokio::test]
    async fn where_connecting_becomes_enough_all_of_them_ask() {
        let (mut door, address) = door(BySending, 9);
        door.patience = SHORT;
        let clients = [client(address), client(address)];
        assert!(!door.is_asked());
        door.set(ByConnecting, 9);
        assert!(door.is_asked());
        // Who asks has asked, whatever comes then.
        door.set(BySending, 9);
        sleep(SHORT * 2).await;
        for client in clients {
            assert_eq!(peer(&accepted(&mut door).await), client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_look_sees_what_the_reactor_has_not_heard() {
        let (mut door, address) = door(BySending, 9);
        assert!(door.is_empty() && !door.is_asked());
        let mut client = client(address);
        assert!(!door.is_empty() && !door.is_asked());
        client.write_all(b"hello").unwrap();
        assert!(door.is_asked());
        assert_eq!(text(&accepted(&mut door).await).await, "hello");
    }

    #[tokio::test]
    async fn who_has_sent_is_not_too_late_though_nobody_has_looked() {
        let (mut door, address) = door(BySending, 9);
        door.patience = SHORT;
        let mut client = client(address);
        assert!(!door.is_asked());
        thread::sleep(SHORT * 2);
        client.write_all(b"hello").unwrap();
        assert_eq!(text(&accepted(&mut door).await).await, "hello");
    }

    #[tokio::test]
    async fn where_connecting_is_enough_they_ask_from_outside() {
        let (mut door, address) = door(ByConnecting, 1);
        assert!(timeout(SHORT, door.asked()).await.is_err() && !door.is_asked() && door.is_empty());
        let _clients = [client(address), client(address)];
        assert!(door.is_asked());
        soon(door.asked()).await;
        assert!(door.asking.is_empty() && !door.is_empty());
        accepted(&mut door).await;
        accepted(&mut door).await;
        assert!(door.is_empty());
    }

    #[tokio::test]
    async fn turning_away_resets_who_asks() {
        for (asks, count) in [(BySending, 1), (ByConnecting, 2)] {
            let (mut door, address) = door(asks, 9);
            let (mut silent, mut saying) = (client(address), saying_client(address, "hello"));
            assert_eq!(door.turn_away(), count);
            assert_eq!(saying.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(door.is_empty(), asks == ByConnecting);
            silent.set_nonblocking(true).unwrap();
            let expected =
                if asks == ByConnecting { ErrorKind::ConnectionReset } else { ErrorKind::WouldBlock };
            assert_eq!(silent.read(&mut [0]).unwrap_err().kind(), expected);
        }
    }
}
