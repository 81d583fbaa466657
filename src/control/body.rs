//! The body of an answer: a text, and perhaps an end that is still to come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::Response;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

/// A text; then the body stays open until `end` has come.
pub struct Body {
    text: Option<Bytes>,
    end: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Body {
    /// A text alone.
    pub fn whole(text: impl Into<Bytes>) -> Body {
        Body { text: Some(text.into()), end: None }
    }

    /// A text, and what decides how long the body stays open. It is dropped with the body.
    pub fn open(text: impl Into<Bytes>, end: impl Future<Output = ()> + 'static) -> Body {
        Body { text: Some(text.into()), end: Some(Box::pin(end)) }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        if let Some(end) = &mut self.end {
            ready!(end.as_mut().poll(context));
            self.end = None;
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none() && self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.text, &self.end) {
            (text, None) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            _ => SizeHint::default(),
        }
    }
}

/// A line of JSON; empty where that cannot be, which none of our types does.
pub fn line(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// A 200 with a body of JSON.
pub fn json(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
