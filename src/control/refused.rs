//! What the control socket refuses, and with which status.

use std::time::Duration;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::body::{Body, json, line};
use crate::calls::{Directory, Refusal, RefusalKind};
use crate::journal::took;
use crate::name::Name;

/// A refusal on its way to an HTTP caller.
pub struct Refused {
    status: StatusCode,
    refusal: Refusal,
    /// The method that is right for the path.
    allow: Option<&'static str>,
}

impl Refused {
    fn new(status: StatusCode, error: String, hint: String) -> Refused {
        Refused { status, refusal: Refusal::new(RefusalKind::Failed, error, hint), allow: None }
    }

    /// No call is at this path.
    pub fn no_such_path(path: &str) -> Refused {
        let hint = "GET /v1/sidecars/NAME, or POST /v1/sidecars/NAME/{wake,sleep,touch,hold,yield}";
        Refused::new(StatusCode::NOT_FOUND, format!("nothing is at {path:?}"), hint.into())
    }

    /// The directory has no sidecar of this name.
    pub fn no_such_sidecar(name: &str, directory: &Directory) -> Refused {
        let here: Vec<_> = directory.keys().map(Name::as_str).collect();
        let hint = format!("this helper has: {}", here.join(", "));
        Refused::new(StatusCode::NOT_FOUND, format!("no sidecar {name:?} here"), hint)
    }

    /// The path is right, the method is not.
    pub fn wrong_method(method: &Method, allowed: &'static str) -> Refused {
        let (error, hint) = (format!("{method} is not for this path"), format!("use {allowed}"));
        let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, error, hint);
        Refused { allow: Some(allowed), ..refused }
    }

    /// A parameter is missing, unknown or of no use.
    pub fn malformed(error: String, hint: &str) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, error, hint.into())
    }

    /// No call has a body of this size.
    pub fn too_large(most: u64) -> Refused {
        let error = format!("a body of more than {most} bytes");
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, error, "no call needs one".into())
    }

    /// So many hold already.
    pub fn too_many(most: usize) -> Refused {
        let error = format!("{most} callers keep its helper's sidecars awake, or wait for that");
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, error, "let one of them end first".into())
    }

    /// It is not known yet what the sidecar does.
    pub fn unknown(after: Duration) -> Refused {
        let error = format!("its helper has not found out within {} what it does", took(after));
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, error, "does the engine answer?".into())
    }

    /// The answer that says so.
    pub fn response(&self) -> Response<Body> {
        let mut response = json(Body::whole(line(&self.refusal)));
        *response.status_mut() = self.status;
        if let Some(allowed) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let status = match refusal.kind {
            RefusalKind::InUse => StatusCode::CONFLICT,
            RefusalKind::Failed => StatusCode::SERVICE_UNAVAILABLE,
            RefusalKind::NoSuchSidecar => StatusCode::NOT_FOUND,
        };
        Refused { status, refusal, allow: None }
    }
}
