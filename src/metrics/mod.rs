//! What was counted of all sidecars, for Prometheus. It is read from the state files alone, so looking wakes nothing, starts
//! nothing and needs no privilege; and a counter goes on where it was, however its helper ended.

pub mod serve; // answers scrapers over HTTP

mod answer; // one request of a scraper
mod classic; // the older of the two formats
mod collector; // records to metrics

use std::fmt;
use std::io;
use std::path::Path;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::name::Name;
use crate::record::{Record, State};
use crate::state;
use collector::Collected;

/// In what form the metrics are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' own text format, version 0.0.4.
    Classic,
}

/// One sidecar, as it is counted.
#[derive(Debug)]
struct Sidecar {
    name: String,
    state: State,
    has_helper: bool,
    open_connections: usize,
    record: Record,
}

impl Sidecar {
    /// What holds of a record at this moment. Connections end with their helper. The container does not: within one boot it is as
    /// the last helper left it, and in the next one it sleeps until a helper says otherwise.
    fn new(record: Record, has_helper: bool, is_of_this_boot: bool) -> Sidecar {
        let (state, open_connections) = match (is_of_this_boot, has_helper) {
            (true, true) => (record.doing(), record.connections),
            (true, false) => (record.state, 0),
            (false, _) => (State::Asleep, 0),
        };
        Sidecar { name: record.sidecar.clone(), state, has_helper, open_connections, record }
    }
}

/// What was found in the state directory.
#[derive(Debug, Default)]
pub struct Found {
    sidecars: Vec<Sidecar>,
    /// A sentence for each file that could not be read; its sidecar is left out.
    pub unreadable: Vec<String>,
}

/// Reads all state files.
pub fn read(directory: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for name in state::sidecars(directory)? {
        // Before the record: a helper that comes in between would make an old record look like its own.
        let has_helper = state::helper(directory, &name).is_some();
        match state::look(directory, &name) {
            Ok(Some(record)) if record.sidecar == name.as_str() => {
                let is_of_this_boot = state::is_of_this_boot(&record);
                found.sidecars.push(Sidecar::new(record, has_helper, is_of_this_boot));
            }
            Ok(Some(record)) => found.skip(directory, &name, &format!("it tells of {:?}", record.sidecar)),
            // It went between the two looks.
            Ok(None) => {}
            Err(error) => found.skip(directory, &name, &error),
        }
    }
    Ok(found)
}

impl Found {
    fn skip(&mut self, directory: &Path, name: &Name, why: &dyn fmt::Display) {
        let path = state::path(directory, name);
        self.unreadable.push(format!(
            "{name} is left out: cannot read {}: {why}: its next helper sets a broken file aside",
            path.display()
        ));
    }

    /// As text.
    pub fn text(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(self.sidecars)));
        let mut text = String::new();
        // A String takes whatever is written.
        let _ = text::encode(&mut text, &registry);
        match format {
            Format::OpenMetrics => text,
            Format::Classic => classic::from_open_metrics(&text),
        }
    }
}

#[cfg(test)]
mod tests; // the text that records become
