//! Answers the callers of the control socket.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::body::{Body, json};
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

/// What the control socket of a helper leads to.
#[derive(Debug)]
pub struct Desk {
    /// Whom to call.
    pub directory: Rc<Directory>,
    /// What they say of themselves.
    pub board: Board,
}

/// Answers one caller. Whatever goes wrong is the caller's own affair; a call whose caller leaves is given up.
pub async fn answer(caller: Stream, desk: Rc<Desk>) {
    let Ok(caller) = caller.into_unix() else { return };
    let Ok(other) = second(&caller) else { return };
    let by = caller.peer_cred().ok().and_then(|peer| peer.pid());
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
        .serve_connection(TokioIo::new(caller), service);
    tokio::select! {
        biased;
        _ = connection => {}
        // This interest stands for the end of what the caller sends, whether or not all before it was read: hyper looks for
        // that end only while nothing unread lies before it.
        _ = other.ready(Interest::PRIORITY) => {}
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
            // A hold that ends at once: its end counts as use.
            drop(caller.hold(Holder::named(by)).await?);
            Ok(json(Body::whole("{\"state\":\"awake\"}\n")))
        }
        Some("touch") => {
            caller.touch().await?;
            let state = shown(name, caller, desk).await?.state.name();
            Ok(json(Body::whole(format!("{{\"state\":\"{state}\"}}\n"))))
        }
        Some("sleep") => {
            caller.sleep(if query.flag("force")? { Cause::Forced } else { Cause::Told }).await?;
            Ok(json(Body::whole("{\"state\":\"asleep\"}\n")))
        }
        Some("hold") => hold(caller, query.holder(by)?, query.lasting()?).await,
        Some("yield") => {
            caller.sleep(Cause::Yield(query.name("to")?)).await?;
            Ok(json(Body::whole("{\"state\":\"asleep\"}\n")))
        }
        _ => {
            let shown = shown(name, caller, desk).await?;
            let mut text = serde_json::to_vec(&shown).unwrap_or_default();
            text.push(b'\n');
            Ok(json(Body::whole(text)))
        }
    }
}

async fn hold(caller: &Caller, holder: Holder, lasting: Option<Duration>) -> Result<Response<Body>, Refused> {
    match lasting {
        None => {
            let hold = caller.hold(holder).await?;
            Ok(json(Body::open("{\"state\":\"awake\"}\n", async move { hold.ended().await })))
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
