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

use super::{PLAIN, is_plain};
use crate::calls::{Refusal, RefusalKind};
use crate::holds::{self, Hold};
use crate::name::Name;

/// How long a helper may take to answer; a start alone has five minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// A refusal is two sentences.
const MAX_REFUSAL: usize = 64 << 10;

/// Wakes the sidecar behind `socket` and keeps it awake until the hold is dropped. Cancelling it gives up the wish.
pub async fn hold(socket: &Path, name: &Name, by: &str) -> Result<Hold, Refusal> {
    if !is_plain(by) {
        return Err(Refusal::new(RefusalKind::Failed, format!("{by:?} cannot name who holds"), PLAIN));
    }
    let Open { connection, mut body } = ask(socket, name, &format!("hold?by={by}")).await?;
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

/// Has the sidecar behind `socket` sleep, if nobody uses it, because `to` needs its group.
pub async fn give_way(socket: &Path, name: &Name, to: &Name) -> Result<(), Refusal> {
    ask(socket, name, &format!("yield?to={to}")).await.map(drop)
}

/// An answer of which only the head has been read.
struct Open {
    /// The task that moves its bytes; dropping it closes the connection.
    connection: JoinSet<()>,
    body: Incoming,
}

async fn ask(socket: &Path, name: &Name, call: &str) -> Result<Open, Refusal> {
    timeout(PATIENCE, exchange(socket, name, call)).await.unwrap_or_else(|_| {
        let late =
            format!("no answer within {} on {}", humantime::format_duration(PATIENCE), socket.display());
        Err(failed(name, late))
    })
}

async fn exchange(socket: &Path, name: &Name, call: &str) -> Result<Open, Refusal> {
    let broken = |error| failed(name, format!("the call on {} broke off: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, name, &error))?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut connection = JoinSet::new();
    connection.spawn_local(async { drop(driver.await) });
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1/sidecars/{name}/{call}"))
        .header(HOST, "rouse")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(name, format!("{call} cannot be asked: {error}")))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let (status, body) = (response.status(), response.into_body());
    if status == StatusCode::OK {
        return Ok(Open { connection, body });
    }
    let text = match Limited::new(body, MAX_REFUSAL).collect().await {
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
            let hint = format!("turn it on: systemctl enable --now rouse@{name}.socket");
            Refusal::new(RefusalKind::NoSuchSidecar, text, hint)
        }
        ErrorKind::PermissionDenied => {
            Refusal::new(RefusalKind::Failed, text, "be root or a member of group rouse")
        }
        _ => failed(name, text),
    }
}

fn failed(name: &Name, error: String) -> Refusal {
    Refusal::new(RefusalKind::Failed, error, format!("journalctl -u rouse@{name} tells why"))
}
