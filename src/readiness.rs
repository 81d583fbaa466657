//! Whether an address answers yet.
//!
//! The first probe is allowed only once the engine has answered the start: a SYN to an address whose network is not there
//! yet leaves an unresolved neighbour behind, and the kernel asks for it again only after a second.

use std::io;
use std::pin::pin;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout};

use crate::proxy_protocol::ProxyProtocol;
use crate::socket::{Address, Stream};

/// A connect to a closed port on the same machine is refused in less than a millisecond; one that hangs has met a full
/// backlog or an unresolved neighbour, and a fresh one is better than the kernel's second SYN after a second.
const CONNECT: Duration = Duration::from_millis(200);
/// For a whole HTTP probe.
const RESPONSE: Duration = Duration::from_secs(2);
/// The shortest and the longest pause between two probes.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Waits until `address` accepts a connection, and returns that: the first client shall have it, so that the application
/// sees no connection that was only made to be dropped.
pub async fn connection(address: &Address) -> Stream {
    let begun = Instant::now();
    loop {
        if let Ok(Ok(stream)) = timeout(CONNECT, Stream::connect(address)).await {
            return stream;
        }
        pause(begun).await;
    }
}

/// Waits until a GET of `path` is answered with a status that `wanted` accepts.
pub async fn response(
    address: &Address,
    path: &str,
    proxy_protocol: Option<ProxyProtocol>,
    wanted: impl Fn(StatusCode) -> bool,
) {
    let begun = Instant::now();
    loop {
        if let Ok(Ok(status)) = timeout(RESPONSE, get(address, path, proxy_protocol)).await
            && wanted(status)
        {
            return;
        }
        pause(begun).await;
    }
}

/// An eighth of what has passed: so waiting is never much longer than it had to be, and a slow start is not disturbed.
async fn pause(begun: Instant) {
    sleep((begun.elapsed() / 8).clamp(PAUSES.0, PAUSES.1)).await;
}

async fn get(address: &Address, path: &str, proxy_protocol: Option<ProxyProtocol>) -> io::Result<StatusCode> {
    match address {
        Address::Tcp(addr) => {
            let stream = TcpStream::connect(addr).await?;
            proxy_protocol.map_or(Ok(()), |version| version.introduce_self(&stream))?;
            exchange(TokioIo::new(stream), address, path).await
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket).await?;
            proxy_protocol.map_or(Ok(()), |version| version.introduce_self(&stream))?;
            exchange(TokioIo::new(stream), address, path).await
        }
    }
}

async fn exchange(io: impl Read + Write + Unpin, address: &Address, path: &str) -> io::Result<StatusCode> {
    let host = match address {
        Address::Tcp(addr) => addr.to_string(),
        Address::Unix(_) => "localhost".into(),
    };
    let request = Request::get(path)
        .header("host", host)
        .header("user-agent", "rouse")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let (mut sender, connection) = handshake(io).await.map_err(io::Error::other)?;
    let mut response = pin!(sender.send_request(request));
    let response = tokio::select! {
        response = &mut response => response,
        // It ends with the response's last byte, which may be that of its head.
        _ = connection => response.await,
    };
    Ok(response.map_err(io::Error::other)?.status())
}
