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
use tokio::time::{sleep, timeout};

use crate::engine::{Container, Docker, Error};
use crate::proxy_protocol::ProxyProtocol;
use crate::socket::{Address, Stream};

/// A connect to a closed port on the same machine is refused in less than a millisecond; one that hangs has met a full
/// backlog or an unresolved neighbour, and a fresh one is better than the kernel's second SYN after a second.
const CONNECT: Duration = Duration::from_millis(200);
/// For a whole HTTP probe.
const RESPONSE: Duration = Duration::from_secs(2);
/// Longer pauses between two probes would make a slow start noticeably slower.
const BETWEEN_PROBES: Duration = Duration::from_millis(100);
/// An engine that is restarting is left in peace for so long.
const BETWEEN_LOGS: Duration = Duration::from_secs(1);

/// Waits until `address` accepts a connection, and returns that: the first client shall have it, so that the application
/// sees no connection that was only made to be dropped.
pub async fn connection(address: &Address) -> Stream {
    let mut pauses = pauses(BETWEEN_PROBES);
    loop {
        if let Ok(Ok(stream)) = timeout(CONNECT, Stream::connect(address)).await {
            return stream;
        }
        sleep(pauses.next().unwrap_or(BETWEEN_PROBES)).await;
    }
}

/// Waits until a GET of `path` is answered with a status that `wanted` accepts.
pub async fn response(
    address: &Address,
    path: &str,
    proxy_protocol: Option<ProxyProtocol>,
    wanted: impl Fn(StatusCode) -> bool,
) {
    let mut pauses = pauses(BETWEEN_PROBES);
    loop {
        if let Ok(Ok(status)) = timeout(RESPONSE, get(address, path, proxy_protocol)).await
            && wanted(status)
        {
            return;
        }
        sleep(pauses.next().unwrap_or(BETWEEN_PROBES)).await;
    }
}

/// Waits until a line matches that the container has written in its present run.
///
/// A log that ends or breaks off is read again from the run's beginning: whether the container has ended the caller hears from
/// the engine's events. An error is what waiting cannot cure: a log that cannot be read, a container that is gone.
pub async fn logged(
    engine: &Docker,
    container: &Container,
    matches: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let mut pauses = pauses(BETWEEN_LOGS);
    loop {
        let found = async {
            let mut log = engine.follow_log(container, container.log_since()).await?;
            while let Some(line) = log.line().await? {
                if matches(&line) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match found.await {
            Ok(true) => return Ok(()),
            Err(error @ (Error::Refused { .. } | Error::NoSuchContainer { .. })) => return Err(error),
            Ok(false) | Err(_) => sleep(pauses.next().unwrap_or(BETWEEN_LOGS)).await,
        }
    }
}

/// Pauses of 1, 2, 5, 10, 20, 50 … ms, and then of `longest` for ever: what is ready at once is found at once, and a slow start
/// is not disturbed.
fn pauses(longest: Duration) -> impl Iterator<Item = Duration> {
    let decades =
        std::iter::successors(Some(Duration::from_millis(1)), |decade| Some(decade.saturating_mul(10)));
    let pauses = decades.flat_map(|decade| [1, 2, 5].map(|times| decade.saturating_mul(times)));
    pauses.map(move |pause| pause.min(longest))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BETWEEN_LOGS, BETWEEN_PROBES, pauses};

    #[test]
    fn pauses_grow_to_the_longest_and_stay_there() {
        let first = |longest, count| -> Vec<u128> {
            pauses(longest).take(count).map(|pause| pause.as_millis()).collect()
        };
        assert_eq!(first(BETWEEN_PROBES, 9), [1, 2, 5, 10, 20, 50, 100, 100, 100]);
        assert_eq!(first(BETWEEN_LOGS, 11), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000]);
        assert_eq!(pauses(Duration::from_secs(1)).nth(1_000), Some(Duration::from_secs(1)));
    }
}
