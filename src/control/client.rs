//! Calls another helper over its control socket. systemd holds the socket, so a call may start that helper.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::timeout;

use crate::calls::{Refusal, RefusalKind};
use crate::holds::{self, Hold};
use crate::name::Name;
use crate::places;
use crate::shown::Shown;

/// How long a helper may take to answer; a start alone has five minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// A refusal is two sentences, and what a sidecar does is told in less than this too.
const MAX_ANSWER: usize = 64 << 10;

/// Wakes the sidecar behind `socket` and keeps it awake until the hold is dropped: for the sidecar that requires it, or for this process. Cancelling it gives
/// up the wish.
pub async fn hold(socket: &Path, name: &Name, required_by: Option<&Name>) -> Result<Hold, Refusal> {
    let call = required_by.map_or("/hold".into(), |other| format!("/hold?required_by={other}"));
    let Open { connection, mut body } = ask(socket, name, Method::POST, &call).await?;
    let (hold, mut held) = holds::hold();
    // The hold lasts as long as this connection, and this task as long as either.
    spawn_local(async move {
        tokio::select! {
            biased;
            () = held.released() => {}
            () = async { while let Some(Ok(_)) = body.frame().await {} } => {}
        }
        drop(connection);
    });
    Ok(hold)
}

/// Makes a call, such as `touch` or `yield?to=web`, and reads the whole answer.
pub async fn call(socket: &Path, name: &Name, call: &str) -> Result<Bytes, Refusal> {
    let open = ask(socket, name, Method::POST, &format!("/{call}")).await?;
    whole(open, socket, name).await
}

/// What the sidecar behind `socket` does. It is not woken, though its helper may be started.
pub async fn show(socket: &Path, name: &Name) -> Result<Shown, Refusal> {
    let text = whole(ask(socket, name, Method::GET, "").await?, socket, name).await?;
    serde_json::from_slice(&text)
        .map_err(|error| failed(name, format!("the answer on {} cannot be read: {error}", socket.display())))
}

async fn whole(open: Open, socket: &Path, name: &Name) -> Result<Bytes, Refusal> {
    let Open { connection: _connection, body } = open;
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(failed(name, format!("the call on {} broke off: {error}", socket.display()))),
    }
}

/// An answer of which only the head has been read.
struct Open {
    /// The task that moves its bytes; dropping it closes the connection.
    connection: JoinSet<()>,
    body: Incoming,
}

async fn ask(socket: &Path, name: &Name, method: Method, call: &str) -> Result<Open, Refusal> {
    timeout(PATIENCE, exchange(socket, name, method, call)).await.unwrap_or_else(|_| {
        let late =
            format!("no answer within {} on {}", humantime::format_duration(PATIENCE), socket.display());
        Err(failed(name, late))
    })
}

async fn exchange(socket: &Path, name: &Name, method: Method, call: &str) -> Result<Open, Refusal> {
    let broken = |error| failed(name, format!("the call on {} broke off: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, name, &error))?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut connection = JoinSet::new();
    connection.spawn_local(async { drop(driver.await) });
    let request = Request::builder()
        .method(method)
        .uri(format!("/v1/sidecars/{name}{call}"))
        .header(HOST, "rouse")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(name, format!("{call} cannot be asked: {error}")))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let (status, body) = (response.status(), response.into_body());
    if status == StatusCode::OK {
        return Ok(Open { connection, body });
    }
    let text = match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(_) => Bytes::new(),
    };
    match serde_json::from_slice::<Refusal>(&text) {
        Ok(refusal) => Err(Refusal { kind: kind(status), ..refusal }),
        Err(_) => {
            let error = format!("{} answered {status} and no reason", socket.display());
            Err(Refusal::new(kind(status), error, "is it a helper that listens there?"))
        }
    }
}

fn kind(status: StatusCode) -> RefusalKind {
    match status {
        StatusCode::CONFLICT => RefusalKind::InUse,
        StatusCode::NOT_FOUND => RefusalKind::NoSuchSidecar,
        _ => RefusalKind::Failed,
    }
}

fn unreachable(socket: &Path, name: &Name, error: &io::Error) -> Refusal {
    let text = format!("sidecar {name} cannot be called on {}: {error}", socket.display());
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            let hint = format!("turn it on: {} enable --now rouse@{name}.socket", places::systemctl());
            Refusal::new(RefusalKind::NoSuchSidecar, text, hint)
        }
        ErrorKind::PermissionDenied => {
            Refusal::new(RefusalKind::Failed, text, "be root or a member of group rouse")
        }
        _ => failed(name, text),
    }
}

fn failed(name: &Name, error: String) -> Refusal {
    Refusal::new(RefusalKind::Failed, error, format!("{} tells why", places::journalctl(name)))
}
