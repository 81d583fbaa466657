//! One request of a scraper, and the answer to it.

use std::cell::RefCell;
use std::path::PathBuf;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::{Format, read};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What the answers are made of.
pub struct Desk {
    directory: PathBuf,
    /// What was warned of last, so that not every scrape says the same.
    unreadable: RefCell<Vec<String>>,
}

impl Desk {
    /// Answers from the state files in `directory`.
    pub fn new(directory: PathBuf) -> Desk {
        Desk { directory, unreadable: RefCell::default() }
    }

    /// The answer; hyper leaves the body out for HEAD. What a request brings along is not read.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/" | "/metrics") {
            return reply(
                StatusCode::NOT_FOUND,
                PLAIN,
                "nothing is here: the metrics are at /metrics\n".into(),
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let text = format!("{path} can only be read: ask with GET\n");
            let mut refused = reply(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/" => reply(StatusCode::OK, PLAIN, "rouse: the metrics are at /metrics\n".into()),
            _ => self.metrics(wanted(request.headers())),
        }
    }

    fn metrics(&self, format: Format) -> Response<Full<Bytes>> {
        let found = match read(&self.directory) {
            Ok(found) => found,
            Err(error) => {
                let text = format!("cannot read {}: {error}\n", self.directory.display());
                return reply(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, text);
            }
        };
        if *self.unreadable.borrow() != found.unreadable {
            found.unreadable.iter().for_each(|text| tracing::warn!(target: "rouse", "{text}"));
            self.unreadable.replace(found.unreadable.clone());
        }
        let kind = if format == Format::OpenMetrics { OPEN_METRICS } else { CLASSIC };
        let mut answer = reply(StatusCode::OK, kind, found.text(format));
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        answer
    }
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What a scraper wants: OpenMetrics if it names it and likes nothing better, else what every scraper reads.
fn wanted(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, f32)> = accepted.flat_map(|value| value.split(',')).map(weigh).collect();
    let best = |kind: &str| {
        let named = ranges.iter().filter(|(range, _)| range.eq_ignore_ascii_case(kind));
        named.map(|(_, weight)| *weight).fold(0.0, f32::max)
    };
    let open_metrics = best("application/openmetrics-text");
    if open_metrics > 0.0 && open_metrics >= best("text/plain") {
        Format::OpenMetrics
    } else {
        Format::Classic
    }
}

/// A media range and its weight, which is 1 unless said otherwise (RFC 9110, 12.4.2).
fn weigh(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (kind, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_by(accept: &str) -> Format {
        wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]))
    }

    #[test]
    fn prometheus_gets_open_metrics() {
        let accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(wanted_by(accept), Format::OpenMetrics);
        assert_eq!(wanted_by("Application/OpenMetrics-Text"), Format::OpenMetrics);
    }

    #[test]
    fn whoever_does_not_ask_for_open_metrics_gets_what_all_can_read() {
        assert_eq!(wanted(&HeaderMap::new()), Format::Classic);
        for accept in ["*/*", "text/plain", "", ",;=", "application/openmetrics-text;q=0"] {
            assert_eq!(wanted_by(accept), Format::Classic, "{accept:?}");
        }
        assert_eq!(wanted_by("text/plain;q=0.9, application/openmetrics-text;q=0.5"), Format::Classic);
    }
}
