//! The port to dial in the container: one, or a map from the ports the clients connect to.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Wrong, quoted};
use super::sidecar::Port;
use super::value::{kind, number};

const ONE: &str = "a number from 1 to 65535";

/// Reads the value of `port`.
pub(super) fn port(value: &DeValue) -> Result<Port, Vec<Wrong>> {
    match value {
        DeValue::Integer(_) => Ok(Port::One(container_port(value)?)),
        DeValue::Table(table) => map(table),
        other => {
            let cure = format!("{ONE} without quotes, or a map such as {{ 8080 = 80, 8443 = 443 }}");
            Err(Wrong::new(format!("{}, not a port", kind(other)), cure).into())
        }
    }
}

fn map(table: &DeTable) -> Result<Port, Vec<Wrong>> {
    if table.is_empty() {
        return Err(Wrong::new("an empty map", "at least one pair such as { 8080 = 80 }").into());
    }
    let mut ports = BTreeMap::new();
    let mut wrongs = Vec::new();
    for (key, value) in table {
        match (listening_port(key), container_port(value.get_ref())) {
            (Ok(from), Ok(to)) => {
                ports.insert(from, to);
            }
            (from, to) => {
                wrongs.extend(from.err().map(|wrong| wrong.inside(key.get_ref(), key.span())));
                wrongs.extend(to.err().map(|wrong| wrong.inside(key.get_ref(), value.span())));
            }
        }
    }
    match wrongs.is_empty() {
        true => Ok(Port::Map(ports)),
        false => Err(wrongs),
    }
}

fn listening_port(key: &Spanned<impl AsRef<str>>) -> Result<u16, Wrong> {
    let text = key.get_ref().as_ref();
    match text.parse::<u16>() {
        // Only the plain form, so that two keys cannot mean one port.
        Ok(port) if port > 0 && port.to_string() == text => Ok(port),
        _ => Err(Wrong::new(format!("{} is not a listening port", quoted(text)), ONE)),
    }
}

fn container_port(value: &DeValue) -> Result<u16, Wrong> {
    let port = number(value, 1, u16::MAX.into(), "a port")?;
    u16::try_from(port).map_err(|_| Wrong::new("not a port", ONE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use toml::de::DeValue;

    use super::{Port, port};

    fn read(text: &str) -> Result<Port, Vec<String>> {
        port(DeValue::parse(text).unwrap().get_ref())
            .map_err(|wrongs| wrongs.into_iter().map(|wrong| wrong.what).collect())
    }

    #[test]
    fn takes_one_port_or_a_map() {
        assert_eq!(read("8810"), Ok(Port::One(8810)));
        assert_eq!(read("65_535"), Ok(Port::One(65535)));
        assert_eq!(read("0x50"), Ok(Port::One(80)));
        assert_eq!(read("{ 8080 = 80, \"8443\" = 443 }"), Ok(Port::Map([(8080, 80), (8443, 443)].into())));
    }

    #[test]
    fn refuses_what_is_no_port() {
        for text in ["0", "65536", "-1", "99999999999999999999999", "8.5", "true", "\"80\"", "[80]", "{}"] {
            assert_eq!(read(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn reports_every_pair_of_a_map() {
        let wrongs = read("{ 0 = 80, 080 = 80, 80 = 0, \"+81\" = \"x\", 82 = 82 }").unwrap_err();
        assert_eq!(wrongs.len(), 5, "{wrongs:?}");
    }
}
