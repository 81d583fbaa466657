//! One request over the engine's unix socket, with a deadline.
//!
//! A connection per request: nothing is stale after the engine has restarted, and no pool outlives its use.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::{UnixConnector, Uri};
use tokio::time::timeout;

use super::Error;

/// No answer that rouse asks for is near it: an inspect is some 10 KiB, the end of a log is bounded by its lines.
const MAX_BODY: usize = 8 << 20;

/// The engine's API at one unix socket.
#[derive(Clone, Debug)]
pub struct Http {
    socket: PathBuf,
    client: Client<UnixConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status, which the caller judges.
    pub status: StatusCode,
    /// The API version that the engine announces.
    pub api_version: Option<String>,
    /// Its body, decoded from chunks.
    pub body: Bytes,
}

impl Http {
    /// Requests go to `socket`, an absolute path.
    pub fn new(socket: &Path) -> Http {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(UnixConnector);
        Http { socket: socket.to_owned(), client }
    }

    /// The socket that requests go to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a request without a body and reads the whole answer, in `deadline` together.
    pub async fn request(&self, method: Method, path: &str, deadline: Duration) -> Result<Answer, Error> {
        let call = format!("{method} {path}");
        let exchange = async { self.read(&call, self.send(method, path).await?).await };
        self.within(deadline, &call, exchange).await
    }

    /// Sends a GET and hands over the body of a 200 as it comes, or else the whole answer. `deadline` is for the head of the
    /// one and all of the other.
    pub async fn stream(&self, path: &str, deadline: Duration) -> Result<Result<Incoming, Answer>, Error> {
        let call = format!("GET {path}");
        let exchange = async {
            let response = self.send(Method::GET, path).await?;
            match response.status() {
                StatusCode::OK => Ok(Ok(response.into_body())),
                _ => self.read(&call, response).await.map(Err),
            }
        };
        self.within(deadline, &call, exchange).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        call: &str,
        exchange: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout(deadline, exchange).await.unwrap_or_else(|_| {
            Err(Error::Deadline { socket: self.socket.clone(), call: call.to_owned(), after: deadline })
        })
    }

    async fn read(&self, call: &str, response: Response<Incoming>) -> Result<Answer, Error> {
        let status = response.status();
        let api_version = response.headers().get("api-version").and_then(|value| value.to_str().ok());
        let api_version = api_version.map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| Error::Garbled { call: call.to_owned(), what: error.to_string() })?;
        Ok(Answer { status, api_version, body: body.to_bytes() })
    }

    async fn send(&self, method: Method, path: &str) -> Result<Response<Incoming>, Error> {
        let unreachable = |cause| Error::Unreachable { socket: self.socket.clone(), cause };
        let uri: hyper::Uri = Uri::new(&self.socket, path).into();
        // `Full` sends Content-Length: 0; the engine answers 400 to a chunked start.
        let request = Request::builder().method(method).uri(uri).body(Full::default());
        let request = request.map_err(|error| unreachable(io::Error::other(error)))?;
        self.client.request(request).await.map_err(|error| unreachable(io_cause(&error)))
    }
}

/// The system's own error at the root of hyper's, since that is what an admin can act on.
fn io_cause(error: &hyper_util::client::legacy::Error) -> io::Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(code) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        cause = inner.source();
    }
    io::Error::other(error.source().map_or_else(|| error.to_string(), ToString::to_string))
}
