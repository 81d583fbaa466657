//! Everything that is ever asked of an engine: docs/security.md lists it for those who let nothing else through.

use hyper::Method;

/// One question or order. Containers go by name or id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    /// Whether it answers, and which versions of the API it speaks. The one call without a version in its path.
    Ping,
    /// What happens to some containers from now on, piece by piece.
    Events(Query<'a>),
    /// Which containers there are.
    List(Query<'a>),
    /// What it knows of a container.
    Inspect(&'a str),
    /// Start it.
    Start(&'a str),
    /// Freeze it.
    Pause(&'a str),
    /// Thaw it.
    Unpause(&'a str),
    /// Stop it, by force after a grace.
    Stop(&'a str, Query<'a>),
    /// How much CPU time it has used.
    Stats(&'a str, Query<'a>),
    /// What it has written.
    Logs(&'a str, Query<'a>),
}

/// What stands behind the question mark of a path, escaped; nothing where it is empty.
pub(super) type Query<'a> = &'a str;

impl Call<'_> {
    pub(super) fn method(&self) -> Method {
        match self {
            Call::Start(_) | Call::Pause(_) | Call::Unpause(_) | Call::Stop(..) => Method::POST,
            _ => Method::GET,
        }
    }

    /// Its path and query, behind the API's version.
    pub(super) fn path(&self) -> String {
        let (path, query) = match self {
            Call::Ping => ("/_ping".to_owned(), ""),
            Call::Events(query) => ("/events".to_owned(), *query),
            Call::List(query) => ("/containers/json".to_owned(), *query),
            Call::Inspect(container) => (format!("/containers/{container}/json"), ""),
            Call::Start(container) => (format!("/containers/{container}/start"), ""),
            Call::Pause(container) => (format!("/containers/{container}/pause"), ""),
            Call::Unpause(container) => (format!("/containers/{container}/unpause"), ""),
            Call::Stop(container, query) => (format!("/containers/{container}/stop"), *query),
            Call::Stats(container, query) => (format!("/containers/{container}/stats"), *query),
            Call::Logs(container, query) => (format!("/containers/{container}/logs"), *query),
        };
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Call;

    /// The calls that docs/security.md lists, each a row of a table: `| `METHOD /PATH` | when |`.
    fn documented() -> Vec<&'static str> {
        let rows = include_str!("../../docs/security.md").lines();
        rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next())
            .filter(|call| call.starts_with("GET /") || call.starts_with("POST /"))
            .collect()
    }

    #[test]
    fn each_call_is_documented_and_there_are_no_others() {
        let container = "CONTAINER";
        let calls = [
            Call::Ping,
            Call::Events(""),
            Call::List(""),
            Call::Inspect(container),
            Call::Start(container),
            Call::Pause(container),
            Call::Unpause(container),
            Call::Stop(container, ""),
            Call::Stats(container, ""),
            Call::Logs(container, ""),
        ];
        let made: Vec<String> =
            calls.iter().map(|call| format!("{} {}", call.method(), call.path())).collect();
        assert_eq!(made, documented());
    }

    #[test]
    fn a_query_stands_behind_the_path() {
        assert_eq!(Call::Stop("web", "t=10").path(), "/containers/web/stop?t=10");
        assert_eq!(Call::List("").path(), "/containers/json");
    }
}
