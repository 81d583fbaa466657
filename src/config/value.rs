//! One value, checked; what is wrong with it comes with what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::error::{Wrong, quoted, shortened};
use super::pattern::Pattern;
use super::sidecar::Ready;
use crate::socket::Address;

const DURATION: &str = r#"a duration in quotes, such as "90s", "5m" or "1h30m""#;
const ENGINE: &str = r#"an absolute path such as "unix:///run/docker.sock""#;
const ADDRESS: &str =
    r#"an IP address and port such as "127.0.0.1:8080" or "[::1]:8080", or "unix:/absolute/path""#;
const READY: &str = r#""tcp", "http:/PATH", "http-ok:/PATH", "healthy" or "log:REGEX""#;
const NAME: &str = "a letter or digit, then letters, digits, '_', '.' or '-'";

const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Enough for a year in milliseconds, and too few for the sum of any units to overflow.
const MOST_DIGITS: usize = 11;
/// What fits into the kernel's `sun_path` with its final zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// A duration that is neither zero nor endless.
pub(super) fn duration(value: &DeValue) -> Result<Duration, Wrong> {
    match duration_or_zero(value)? {
        Duration::ZERO => Err(Wrong::new("no time at all", "a duration above zero, such as \"30s\"")),
        duration => Ok(duration),
    }
}

/// A duration that may be zero, but not endless.
pub(super) fn duration_or_zero(value: &DeValue) -> Result<Duration, Wrong> {
    let text = text(value, DURATION)?;
    if text == "never" {
        let what = "\"never\" is only for idle_timeout and pause_after";
        return Err(Wrong::new(what, "a duration of at most 365 days"));
    }
    // humantime takes this for months, and nobody puts a container to sleep after five of them.
    if text.contains('M') {
        return Err(Wrong::new(format!("{} has a unit 'M'", quoted(text)), "a small 'm' for minutes"));
    }
    let wrong = || Wrong::new(format!("{} is not a duration", quoted(text)), DURATION);
    if text.bytes().filter(u8::is_ascii_digit).count() > MOST_DIGITS {
        return Err(wrong());
    }
    match humantime::parse_duration(text) {
        Err(_) => Err(wrong()),
        Ok(duration) if duration > LONGEST => {
            Err(Wrong::new(format!("{} is longer than a year", quoted(text)), "at most 365 days"))
        }
        Ok(duration) => Ok(duration),
    }
}

/// A duration, or `None` for "never".
pub(super) fn duration_or_never(value: &DeValue) -> Result<Option<Duration>, Wrong> {
    match value {
        DeValue::String(text) if text == "never" => Ok(None),
        _ => {
            duration(value).map(Some).map_err(|wrong| Wrong { cure: wrong.cure + ", or \"never\"", ..wrong })
        }
    }
}

/// A whole number of at least `least` and at most `most`; `meaning` says of what.
pub(super) fn number(value: &DeValue, least: i64, most: i64, meaning: &str) -> Result<i64, Wrong> {
    let cure = || format!("a number from {least} to {most}");
    let DeValue::Integer(number) = value else {
        return Err(Wrong::new(format!("{}, not {meaning}", kind(value)), cure() + " without quotes"));
    };
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Wrong::new(format!("{} is not {meaning}", shortened(&number.to_string())), cure())),
    }
}

/// How many connections; the bound is above what any descriptor limit allows.
pub(super) fn count(value: &DeValue) -> Result<usize, Wrong> {
    let count = number(value, 1, 1_000_000, "a number of connections")?;
    usize::try_from(count).map_err(|_| Wrong::new("not a number of connections", "a smaller number"))
}

/// A share of one core in percent, which on a machine of many may be above 100; `None` for 0.
pub(super) fn percent(value: &DeValue) -> Result<Option<u32>, Wrong> {
    let percent = number(value, 0, 100_000, "a percentage of one core")?;
    let percent =
        u32::try_from(percent).map_err(|_| Wrong::new("not a percentage of one core", "a smaller number"))?;
    Ok((percent > 0).then_some(percent))
}

/// One of the words in `choices`.
pub(super) fn choice<T: Copy>(value: &DeValue, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let cure = choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
    let text = text(value, &cure)?;
    match choices.iter().find(|(word, _)| *word == text) {
        Some((_, chosen)) => Ok(*chosen),
        None => Err(Wrong::new(format!("{} is not known", quoted(text)), cure)),
    }
}

/// The socket of an engine.
pub(super) fn engine(value: &DeValue) -> Result<PathBuf, Wrong> {
    let text = text(value, ENGINE)?;
    match text.strip_prefix("unix://") {
        Some(path) => socket_path(path, ENGINE),
        None => Err(Wrong::new(format!("{} is not a unix:// socket", quoted(text)), ENGINE)),
    }
}

/// A container's name, as Docker allows it.
pub(super) fn container(value: &DeValue) -> Result<String, Wrong> {
    let text = text(value, NAME)?;
    let mut bytes = text.bytes();
    let valid = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match valid {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("{} is not a container's name", quoted(text)), NAME)),
    }
}

/// A network's name; engines differ in what they allow, so only what no engine allows is refused.
pub(super) fn network(value: &DeValue) -> Result<String, Wrong> {
    let cure = "one of the container's networks, such as \"bridge\"";
    let text = text(value, cure)?;
    match text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        false => Ok(text.to_owned()),
        true => Err(Wrong::new(format!("{} is not a network's name", quoted(text)), cure)),
    }
}

/// What to dial instead of the container's own address; names are not looked up.
pub(super) fn address(value: &DeValue) -> Result<Address, Wrong> {
    let text = text(value, ADDRESS)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path, ADDRESS).map(Address::Unix);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(Address::Tcp(address)),
        Ok(_) => Err(Wrong::new(format!("{} has port 0", quoted(text)), "a port from 1 to 65535")),
        Err(_) => Err(Wrong::new(format!("{} is not an address", quoted(text)), ADDRESS)),
    }
}

/// How to tell that a sidecar answers.
pub(super) fn ready(value: &DeValue) -> Result<Ready, Wrong> {
    let text = text(value, READY)?;
    match text.split_once(':').unwrap_or((text, "")) {
        ("http", path) => request_path(path).map(Ready::Http),
        ("http-ok", path) => request_path(path).map(Ready::HttpOk),
        ("log", pattern) if text != "log" => log_pattern(pattern).map(Ready::Log),
        _ if text == "tcp" => Ok(Ready::Tcp),
        _ if text == "healthy" => Ok(Ready::Healthy),
        _ => Err(Wrong::new(format!("{} is not known", quoted(text)), READY)),
    }
}

/// What sort of value it is, with its article.
pub(super) fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn text<'a>(value: &'a DeValue, cure: &str) -> Result<&'a str, Wrong> {
    match value {
        DeValue::String(text) if text.is_empty() => Err(Wrong::new("empty", cure)),
        DeValue::String(text) => Ok(text),
        other => Err(Wrong::new(format!("{}, not text in quotes", kind(other)), cure)),
    }
}

fn socket_path(path: &str, cure: &str) -> Result<PathBuf, Wrong> {
    let plain = path.starts_with('/') && !path.starts_with("//") && !path.ends_with('/');
    if !plain || path.contains(char::is_control) {
        return Err(Wrong::new(format!("{} is not the absolute path of a socket", quoted(path)), cure));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(Wrong::new("longer than the path of a socket can be", "at most 107 bytes"));
    }
    Ok(path.into())
}

/// A path that fits into a request as it is, so that nothing later has to refuse it.
fn request_path(path: &str) -> Result<String, Wrong> {
    let refused = |c: char| !c.is_ascii_graphic() || "\"#<>\\^`{|}".contains(c);
    if !path.starts_with('/') {
        return Err(Wrong::new(
            format!("{} is not a path", quoted(path)),
            "a path from '/', such as \"http:/health\"",
        ));
    }
    match path.chars().find(|c| refused(*c)) {
        None => Ok(path.to_owned()),
        Some(c) => {
            Err(Wrong::new(format!("{c:?} in the path"), "percent-encode it, such as %20 for a space"))
        }
    }
}

fn log_pattern(text: &str) -> Result<Pattern, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("no pattern after \"log:\"", "one such as \"log:listening on port\""));
    }
    Pattern::new(text).map_err(|complaint| {
        // TOML takes every backslash in double quotes for its own.
        let cure = r"a regular expression such as 'log:listening on port \d+', in single quotes";
        Wrong::new(format!("{} is no pattern: {complaint}", quoted(text)), cure)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// `text` as the TOML string it would be in the file.
    fn read<T>(check: impl Fn(&DeValue) -> Result<T, Wrong>, text: &str) -> Result<T, Wrong> {
        check(&DeValue::String(text.into()))
    }

    #[test]
    fn takes_durations_as_people_write_them() {
        for (text, millis) in [
            ("300ms", 300),
            ("90s", 90_000),
            ("5m", 300_000),
            ("5 min", 300_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("1h 30m 15s", 5_415_000),
            ("365d", 365 * 24 * 3_600_000),
            ("31536000000ms", 365 * 24 * 3_600_000),
        ] {
            assert_eq!(read(duration, text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in
            ["", " ", "5", "m", "-5m", "5M", "1h-1m", "5mm", "soon", "366d", "2y", "0s", "0h0m", "never"]
        {
            assert!(read(duration, text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_sums_at_which_the_parser_would_overflow() {
        for text in ["18446744073709551615s 1000ms", "99999999999y", "9999999999y 1s", "99999999s 1000ms"] {
            assert!(read(duration, text).is_err(), "{text}");
        }
    }

    #[test]
    fn zero_and_never_have_their_places() {
        assert_eq!(read(duration_or_zero, "0s"), Ok(Duration::ZERO));
        assert!(read(duration_or_zero, "never").is_err());
        assert_eq!(read(duration_or_never, "never"), Ok(None));
        assert_eq!(read(duration_or_never, "5m"), Ok(Some(Duration::from_secs(300))));
        assert!(read(duration_or_never, "0s").is_err());
        assert!(read(duration_or_never, "Never").is_err());
    }

    #[test]
    fn no_percentage_is_none() {
        let read = |text| percent(DeValue::parse(text).unwrap().get_ref());
        assert_eq!(read("0"), Ok(None));
        assert_eq!(read("10"), Ok(Some(10)));
        assert_eq!(read("100_000"), Ok(Some(100_000)));
        for text in ["-1", "100_001", "10.5", "\"10%\""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn takes_addresses_that_need_no_lookup() {
        assert_eq!(read(address, "127.0.0.1:80"), Ok(Address::Tcp(([127, 0, 0, 1], 80).into())));
        assert!(matches!(read(address, "[::1]:80"), Ok(Address::Tcp(_))));
        assert_eq!(read(address, "unix:/run/x.sock"), Ok(Address::Unix("/run/x.sock".into())));
        for text in [
            "localhost:80",
            "80",
            ":80",
            "127.0.0.1:0",
            "unix:",
            "unix:x",
            "unix:///x",
            "unix:/x/",
            "unix:@x",
        ] {
            assert!(read(address, text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_the_path_of_a_socket() {
        assert!(read(engine, &format!("unix:///{}", "x".repeat(106))).is_ok());
        assert!(read(engine, &format!("unix:///{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn takes_container_names_as_docker_does() {
        for text in ["ollama", "0", "a_b.c-d", "K"] {
            assert_eq!(read(container, text).as_deref(), Ok(text));
        }
        for text in ["", "-a", "_a", ".a", "/a", "a/b", "a b", "a%20b", "ä", "a\n"] {
            assert!(read(container, text).is_err(), "{text}");
        }
    }

    #[test]
    fn takes_every_probe() {
        assert_eq!(read(ready, "tcp"), Ok(Ready::Tcp));
        assert_eq!(read(ready, "healthy"), Ok(Ready::Healthy));
        assert_eq!(read(ready, "http:/"), Ok(Ready::Http("/".into())));
        assert_eq!(read(ready, "http-ok:/a?b=c:d&e=%20"), Ok(Ready::HttpOk("/a?b=c:d&e=%20".into())));
        assert_eq!(
            read(ready, "log:a: b+"),
            Pattern::new("a: b+").map(Ready::Log).map_err(|_| unreachable!())
        );
        for text in [
            "",
            "tcp:",
            "http",
            "http:",
            "http:health",
            "http:/a b",
            "http:/a#b",
            "http:/\n",
            "log",
            "log:",
            "log:(",
            "log:a{99999}{99999}",
            "HTTP:/",
        ] {
            assert!(read(ready, text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_accepted_path_is_one_for_the_http_client() {
        for c in (0..=u8::MAX).map(char::from) {
            if let Ok(Ready::Http(path)) = read(ready, &format!("http:/{c}")) {
                let uri: hyper::Uri = path.parse().unwrap();
                assert_eq!(uri.path_and_query().unwrap().as_str(), path);
            }
        }
    }
}
