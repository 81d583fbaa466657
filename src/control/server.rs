//! Answers the callers of the control socket.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::body::{Body, json, line};
use super::query::Query;
use super::refused::Refused;
use crate::calls::{Caller, Cause, Directory};
use crate::clock::{self, now_ms};
use crate::name::Name;
use crate::shown::Shown;
use crate::socket::Stream;
use crate::status::Board;
use crate::why::Holder;

/// A caller's time to say what it wants; the answer may take longer, and a hold lasts.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A head is a line and a few fields.
const MAX_HEAD: usize = 16 << 10;
/// What a client library may send though no call has a body.
const MAX_BODY: u64 = 4 << 10;
/// How long whoever looks waits for news.
const NEWS: Duration = Duration::from_millis(500);
/// How long a helper that has just begun may take to find out what its container does.
const FIRST_LOOK: Duration = Duration::from_secs(20);

/// Callers at once, those who hold included; the others wait in the kernel's queue.
pub const MAX_CALLS: usize = 256;
/// So many of them may hold, or wait until they do: who looks, or wants it asleep, finds room.
const MAX_HOLDING: usize = 192;

/// What the control socket of a helper leads to.
#[derive(Debug)]
pub struct Desk {
    directory: Rc<Directory>,
    board: Board,
    holding: Arc<Semaphore>,
}

impl Desk {
    /// Whom to call, and what they say of themselves.
    pub fn new(directory: Rc<Directory>, board: Board) -> Desk {
        Desk { directory, board, holding: Arc::new(Semaphore::new(MAX_HOLDING)) }
    }

    /// A place for one who holds.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        self.holding.clone().try_acquire_owned().map_err(|_| Refused::too_many(MAX_HOLDING))
    }
}

/// Answers one caller. Whatever goes wrong is the caller's own affair; a call whose caller leaves is given up.
pub async fn answer(caller: Stream, desk: Rc<Desk>) {
    let Ok(caller) = caller.into_unix() else { return };
    let Ok(other) = second(&caller) else { return };
    // Who is not to be seen from our pid namespace has the number 0 here (unix(7)).
    let by = caller.peer_cred().ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0);
    let by = by.map_or("somebody".into(), |pid| format!("pid {pid}"));
    let service = service_fn(|request| {
        let (desk, by) = (&desk, &by);
        async move { Ok::<_, Infallible>(respond(request, by, desk).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(caller), service);
    tokio::select! {
        biased;
        _ = connection => {}
        () = left(&other) => {}
    }
}

/// Waits until the caller has closed the connection, whether or not all was read that came before: hyper looks for that only
/// while nothing unread lies before it. Who has only ended what they send, as `nc -N` does, waits for an answer.
async fn left(caller: &UnixStream) {
    while let Ok(ready) = caller.ready(Interest::WRITABLE).await {
        if ready.is_write_closed() {
            return;
        }
        // It counts as writable no more until something has changed.
        let _ = caller.try_io(Interest::WRITABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    }
}

/// The same connection once more, to watch it while hyper has it.
fn second(caller: &UnixStream) -> io::Result<UnixStream> {
    UnixStream::from_std(caller.as_fd().try_clone_to_owned()?.into())
}

async fn respond(request: Request<Incoming>, by: &str, desk: &Desk) -> Response<Body> {
    // Dropped at once: no call has a body.
    let (head, body) = request.into_parts();
    let answered = match body.size_hint().lower() <= MAX_BODY {
        true => route(&head.method, &head.uri, by, desk).await,
        false => Err(Refused::too_large(MAX_BODY)),
    };
    answered.unwrap_or_else(|refused| refused.response())
}

async fn route(method: &Method, uri: &Uri, by: &str, desk: &Desk) -> Result<Response<Body>, Refused> {
    let path = uri.path();
    let below = path.strip_prefix("/v1/sidecars/").ok_or_else(|| Refused::no_such_path(path))?;
    let (name, verb) = below.split_once('/').map_or((below, None), |(name, verb)| (name, Some(verb)));
    let (allowed, known): (_, &[&str]) = match verb {
        None => ("GET", &[]),
        Some("wake" | "touch") => ("POST", &[]),
        Some("sleep") => ("POST", &["force"]),
        Some("hold") => ("POST", &["by", "for", "required_by"]),
        Some("yield") => ("POST", &["to"]),
        Some(_) => return Err(Refused::no_such_path(path)),
    };
    let sidecar = Name::new(name).ok().and_then(|name| desk.directory.get_key_value(&name));
    let (name, caller) = sidecar.ok_or_else(|| Refused::no_such_sidecar(name, &desk.directory))?;
    if method != allowed {
        return Err(Refused::wrong_method(method, allowed));
    }
    let query = Query::parse(uri.query(), known)?;
    match verb {
        Some("wake") => {
            let _place = desk.place()?;
            // A hold that ends at once: its end counts as use.
            drop(caller.hold(Holder::named(by)).await?);
            Ok(json(Body::whole("{\"state\":\"awake\"}\n")))
        }
        Some("touch") => {
            caller.touch().await?;
            // What it does has not changed by that, and need not be said anew.
            let state = desk.board.shown(name).await.state.name();
            Ok(json(Body::whole(format!("{{\"state\":\"{state}\"}}\n"))))
        }
        Some("sleep") => {
            caller.sleep(if query.flag("force")? { Cause::Forced } else { Cause::Told }).await?;
            Ok(json(Body::whole("{\"state\":\"asleep\"}\n")))
        }
        Some("hold") => hold(caller, query.holder(by)?, query.lasting()?, desk.place()?).await,
        Some("yield") => {
            caller.sleep(Cause::Yield(query.name("to")?)).await?;
            Ok(json(Body::whole("{\"state\":\"asleep\"}\n")))
        }
        _ => Ok(json(Body::whole(line(&shown(name, caller, desk).await?)))),
    }
}

async fn hold(
    caller: &Caller,
    holder: Holder,
    lasting: Option<Duration>,
    place: OwnedSemaphorePermit,
) -> Result<Response<Body>, Refused> {
    match lasting {
        None => {
            let hold = caller.hold(holder).await?;
            let end = async move {
                hold.ended().await;
                drop(place);
            };
            Ok(json(Body::open("{\"state\":\"awake\"}\n", end)))
        }
        Some(lasting) => {
            caller.keep(holder, lasting).await?;
            let until = clock::after(lasting, now_ms());
            Ok(json(Body::whole(format!("{{\"state\":\"awake\",\"until_ms\":{until}}}\n"))))
        }
    }
}

/// What a sidecar does now.
async fn shown(name: &Name, caller: &Caller, desk: &Desk) -> Result<Shown, Refused> {
    let shown = async {
        let shown = desk.board.shown(name).await;
        // In the middle of a step, what it has said last is as new as it gets.
        if timeout(NEWS, caller.tell()).await.is_err() {
            return shown;
        }
        desk.board.shown(name).await
    };
    timeout(FIRST_LOOK, shown).await.map_err(|_| Refused::unknown(FIRST_LOOK))
}
