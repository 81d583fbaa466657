//! The parameters of a call.

use std::time::Duration;

use super::refused::Refused;
use crate::name::Name;
use crate::why::Holder;

/// What [`is_plain`] allows, in words.
const PLAIN: &str = "up to 128 letters, digits, '_', '.', '-', ':' or '@'";
/// A hold that lasts longer is no longer meant as one: `idle_timeout = "never"` is.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The parameters of a call; each may come once.
#[derive(Debug)]
pub struct Query<'a>(Vec<(&'a str, String)>);

impl<'a> Query<'a> {
    /// Takes those that are `known` to the call.
    pub fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Query<'a>, Refused> {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&key) || pairs.iter().any(|(other, _)| *other == key) {
                let hint = match known {
                    [] => "this call has no parameters".to_owned(),
                    known => format!("the parameters here, each once: {}", known.join(", ")),
                };
                return Err(Refused::malformed(format!("?{part} is not understood"), &hint));
            }
            pairs.push((key, decoded(value)));
        }
        Ok(Query(pairs))
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| value.as_str())
    }

    /// A name that the call needs.
    pub fn name(&self, key: &str) -> Result<Name, Refused> {
        let hint = format!("ask with ?{key}=NAME");
        let name = self.value(key).ok_or_else(|| Refused::malformed(format!("?{key}= is missing"), &hint))?;
        Name::new(name).map_err(|why| Refused::malformed(why, &hint))
    }

    /// A choice between yes and no; the key alone means yes.
    pub fn flag(&self, key: &str) -> Result<bool, Refused> {
        match self.value(key) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => {
                let hint = format!("ask with ?{key}=true or without it");
                Err(Refused::malformed(format!("{key}={other} is neither true nor false"), &hint))
            }
        }
    }

    /// Who holds: a sidecar that requires it, somebody in their own words, or else `caller`.
    pub fn holder(&self, caller: &str) -> Result<Holder, Refused> {
        if self.value("required_by").is_some() {
            if self.value("by").or(self.value("for")).is_some() {
                let error = "required_by= with by= or for=".to_owned();
                return Err(Refused::malformed(error, "a sidecar holds for as long as it is awake itself"));
            }
            return Ok(Holder { requires: true, ..Holder::named(self.name("required_by")?.as_str()) });
        }
        match self.value("by") {
            None => Ok(Holder::named(caller)),
            Some(by) if is_plain(by) => Ok(Holder::named(by)),
            Some(by) => Err(Refused::malformed(format!("{by:?} cannot name who holds"), PLAIN)),
        }
    }

    /// How long the hold lasts by itself, if it does.
    pub fn lasting(&self) -> Result<Option<Duration>, Refused> {
        let Some(text) = self.value("for") else { return Ok(None) };
        let hint = "\"90s\", \"1h30m\", up to a year";
        match humantime::parse_duration(text) {
            Ok(lasting) if lasting <= LONGEST && !lasting.is_zero() => Ok(Some(lasting)),
            Ok(_) => Err(Refused::malformed(format!("nobody can hold it for {text}"), hint)),
            Err(error) => Err(Refused::malformed(format!("for={text}: {error}"), hint)),
        }
    }
}

/// A value without its percent-encoding: most programs write `:` as `%3A`. What is no such code stays as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digits =
            after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether this can stand in a line for people as it is.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:@".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn what_is_percent_encoded_is_meant_as_it_was_before() {
        let values = ["", "a", "cron%3a5", "%40%3A", "100%", "%+1", "%3", "%zz", "%25%33A", "%ff"];
        let meant = ["", "a", "cron:5", "@:", "100%", "%+1", "%3", "%zz", "%3A", "\u{fffd}"];
        assert_eq!(values.map(decoded), meant);
    }
}
