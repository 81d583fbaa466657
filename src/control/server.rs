//! The control socket: HTTP/1.1 with JSON.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::socket::Stream;

/// A caller's time, from connect to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    hint: &'static str,
}

const NOT_YET: Refusal = Refusal {
    error: "this version does not answer calls on the control socket yet",
    hint: "connect to the sidecar's own port to wake it",
};

/// Answers one caller. Whatever goes wrong is the caller's own affair.
pub async fn answer(caller: Stream) {
    let Ok(caller) = caller.into_unix() else { return };
    let _ = timeout(DEADLINE, serve(caller)).await;
}

async fn serve(caller: UnixStream) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(caller), service_fn(async |_| Ok::<_, Infallible>(refuse(&NOT_YET))))
        .await
}

fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(refusal).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}
