//! Answers the callers of the control socket.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::body::{Body, json};
use super::refused::Refused;
use super::{PLAIN, is_plain};
use crate::calls::Directory;
use crate::name::Name;
use crate::socket::Stream;

/// A caller's time to say what it wants; the answer may take longer, and a hold lasts.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers one caller. Whatever goes wrong is the caller's own affair; a call whose caller leaves is given up.
pub async fn answer(caller: Stream, directory: Rc<Directory>) {
    let Ok(caller) = caller.into_unix() else { return };
    let Ok(other) = second(&caller) else { return };
    let service = service_fn(|request| {
        // Dropped at once: no call has a body.
        let (head, _) = Request::into_parts(request);
        let directory = &directory;
        async move { Ok::<_, Infallible>(respond(&head, directory).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
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

async fn respond(head: &Parts, directory: &Directory) -> Response<Body> {
    route(head, directory).await.unwrap_or_else(|refused| refused.response())
}

async fn route(head: &Parts, directory: &Directory) -> Result<Response<Body>, Refused> {
    let path = head.uri.path();
    let below = path.strip_prefix("/v1/sidecars/").ok_or_else(|| Refused::no_such_path(path))?;
    let (name, verb) = below.split_once('/').map_or((below, None), |(name, verb)| (name, Some(verb)));
    let allowed = match verb {
        None => "GET",
        Some("hold" | "yield" | "wake" | "sleep" | "touch") => "POST",
        Some(_) => return Err(Refused::no_such_path(path)),
    };
    let sidecar = Name::new(name).ok().and_then(|name| directory.get_key_value(&name));
    let (name, caller) = sidecar.ok_or_else(|| Refused::no_such_sidecar(name, directory))?;
    if head.method != allowed {
        return Err(Refused::wrong_method(&head.method, allowed));
    }
    match verb {
        Some("hold") => {
            let by = parameter(head, "by")?.unwrap_or("somebody");
            if !is_plain(by) {
                return Err(Refused::malformed(format!("{by:?} cannot name who holds"), PLAIN));
            }
            let hold = caller.hold(by).await?;
            Ok(json(Body::open("{\"state\":\"awake\"}\n", async move { hold.ended().await })))
        }
        Some("yield") => {
            let hint = "ask for yield?to=NAME";
            let to = parameter(head, "to")?;
            let to = to.ok_or_else(|| Refused::malformed("to whom is not said".into(), hint))?;
            caller.give_way(&Name::new(to).map_err(|why| Refused::malformed(why, hint))?).await?;
            Ok(json(Body::whole("{\"state\":\"asleep\"}\n")))
        }
        _ => Err(Refused::not_yet(name)),
    }
}

/// The value of the one parameter that a call may have.
fn parameter<'a>(head: &'a Parts, key: &str) -> Result<Option<&'a str>, Refused> {
    let query = head.uri.query().unwrap_or_default();
    match query.split_once('=') {
        Some((found, value)) if found == key && !value.contains('&') => Ok(Some(value)),
        None if query.is_empty() => Ok(None),
        _ => {
            let hint = format!("the one parameter here is {key}=");
            Err(Refused::malformed(format!("?{query} is not understood"), &hint))
        }
    }
}
