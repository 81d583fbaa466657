//! The two files of a sidecar.

use std::fmt::Write;

use super::proposal::{Key, Proposal, Value};
use crate::config::{Port, table_key};
use crate::units::Listen;

/// The first line of each file, by which it is known again.
pub const MARK: &str = "# Written by `rouse add`.";

impl Proposal {
    /// Its table: what differs from the defaults.
    pub fn table(&self) -> String {
        let mut text = format!("{MARK}\n\n[{}]\n", table_key(&self.name));
        for Key { name, value, why, holds } in &self.keys {
            if let Some(why) = why {
                comment(&mut text, why);
            }
            let off = if *holds { "" } else { "#" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{off}{name} = {}", value.written());
        }
        text
    }

    /// Its drop-in: where it listens.
    pub fn drop_in(&self) -> String {
        let mut text = format!("{MARK}\n\n[Socket]\n");
        for listen in self.listens() {
            // What follows a percent sign is a specifier (systemd.unit(5)).
            let _ = writeln!(text, "ListenStream={}", listen.value().replace('%', "%%"));
        }
        if self.listens().any(|listen| matches!(listen, Listen::Unix(_))) {
            text += "# A sidecar that is off leaves no file behind to dial.\nRemoveOnStop=yes\n";
        }
        text
    }
}

fn comment(text: &mut String, words: &str) {
    for line in words.lines() {
        let _ = writeln!(text, "# {line}");
    }
}

impl Value {
    fn written(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Port(Port::One(port)) => port.to_string(),
            Value::Port(Port::Map(map)) => {
                let pairs: Vec<_> = map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            // There is no word for it, since it is what holds without one.
            Value::Port(Port::Connected) => "{}".to_owned(),
        }
    }
}

/// A TOML string: literal where that leaves backslashes as they are.
fn quoted(text: &str) -> String {
    let plain = |c: char| !c.is_control() && c != '\'';
    if text.contains('\\') && text.chars().all(plain) {
        return format!("'{text}'");
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
