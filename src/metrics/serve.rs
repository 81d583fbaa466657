//! Answers scrapers over HTTP, on the sockets that systemd passes, until none has come for a while.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{SockaddrStorage, getsockname};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answer::Desk;
use crate::socket::is_full_table;
use crate::systemd;

/// Without a request for so long, it leaves: longer than most scrape intervals, so that it is not started for each.
const LINGER: Duration = Duration::from_secs(60);
/// A scraper's time to say what it wants, and how long a connection is kept for the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After so long a connection takes no further request,
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);
/// and so long after that it is ended, even if the scraper has not read its answer.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// Connections at a time. One more takes the place of the oldest, so that those who say nothing keep nobody out.
const MAX_CONNECTIONS: usize = 64;
/// How long accepting pauses when the file table is full.
const FULL_TABLE_PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever connects to `sockets`, from the state files in `directory`; ends when nobody has asked for a while.
pub async fn serve(sockets: Vec<OwnedFd>, directory: PathBuf) -> io::Result<()> {
    let doors = sockets.into_iter().map(Door::new).collect::<io::Result<Vec<_>>>()?;
    let desk = Rc::new(Desk::new(directory));
    let last_request = Rc::new(Cell::new(Instant::now()));
    let mut talks = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    systemd::notify_ready();
    loop {
        tokio::select! {
            biased;
            accepted = poll_fn(|context| poll_accept(&doors, context)) => match accepted {
                Ok(client) => {
                    oldest_first.retain(|talk| !talk.is_finished());
                    if oldest_first.len() >= MAX_CONNECTIONS && let Some(oldest) = oldest_first.pop_front() {
                        oldest.abort();
                    }
                    let (desk, last_request) = (desk.clone(), last_request.clone());
                    oldest_first.push_back(talks.spawn_local(async move {
                        match client {
                            Client::Tcp(client) => talk(client, &desk, &last_request).await,
                            Client::Unix(client) => talk(client, &desk, &last_request).await,
                        }
                    }));
                }
                // A client that has gone again is passed over; a full file table is waited out.
                Err(error) if is_full_table(&error) => sleep(FULL_TABLE_PAUSE).await,
                Err(_) => {}
            },
            Some(_) = talks.join_next() => {}
            // While somebody is connected a request may be under way. Whoever connects from here on stays in the kernel's queue,
            // and systemd starts the next one for him.
            () = sleep_until(last_request.get() + LINGER), if talks.is_empty() => {
                systemd::notify_stopping("nobody asks; the next scrape starts it");
                return Ok(());
            }
        }
    }
}

/// Answers one scraper's requests. Whatever goes wrong is its own affair.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(client: S, desk: &Desk, last_request: &Cell<Instant>) {
    let service = service_fn(|request| {
        last_request.set(Instant::now());
        let answer = desk.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(client), service);
    let mut connection = pin!(connection);
    if timeout(CONNECTION_LIMIT, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER, connection).await;
    }
}

/// A listening socket. Not one of [`crate::socket`]: those end their connections with a reset, which may overtake an answer.
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Door {
    fn new(socket: OwnedFd) -> io::Result<Door> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let local: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        match local.as_unix_addr() {
            Some(_) => UnixListener::from_std(socket.into()).map(Door::Unix),
            None => TcpListener::from_std(socket.into()).map(Door::Tcp),
        }
    }
}

fn poll_accept(doors: &[Door], context: &mut Context<'_>) -> Poll<io::Result<Client>> {
    for door in doors {
        let accepted = match door {
            Door::Tcp(door) => door.poll_accept(context).map_ok(|(client, _)| Client::Tcp(client)),
            Door::Unix(door) => door.poll_accept(context).map_ok(|(client, _)| Client::Unix(client)),
        };
        if accepted.is_ready() {
            return accepted;
        }
    }
    Poll::Pending
}
