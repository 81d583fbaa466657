//! All that is known of one sidecar, a line for each thing.

use std::time::{Duration, UNIX_EPOCH};

use super::super::words::{ago, bytes, took};
use super::element::Element;
use super::table::{colour, reason_colour};
use crate::clock::{span, until};
use crate::places;
use crate::record::Totals;
use crate::terminal::{Colour, Terminal, harmless};

/// A block with the sidecar's name and lines of `key: value` below it.
pub fn render(element: &Element, now_ms: u64, terminal: &Terminal) -> String {
    let lines = lines(element, now_ms, terminal);
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 4;
    let body = lines.iter().map(|(key, value)| format!("{key:>width$}: {value}\n"));
    terminal.paint(Colour::Bold, &element.shown.sidecar) + "\n" + &body.collect::<String>()
}

fn lines(element: &Element, now_ms: u64, terminal: &Terminal) -> Vec<(&'static str, String)> {
    let Element { shown, helper, enabled, engine, engine_error } = element;
    let since =
        shown.since_ms.map(|then| format!(" since {}, {} ago", moment(then), span(until(now_ms, then))));
    let said = match (engine, engine_error) {
        (Some(said), _) => said.name().to_owned(),
        (None, Some(error)) => format!("? ({})", harmless(error)),
        (None, None) => "?".to_owned(),
    };
    let container = if shown.container.is_empty() { "?".into() } else { harmless(&shown.container) };
    let totals = &shown.totals;
    let mut lines = vec![
        ("state", terminal.paint(colour(element), element.word()) + &since.unwrap_or_default()),
        ("why", terminal.paint(reason_colour(&shown.why), harmless(&shown.text))),
        ("socket", socket(*enabled, *helper, &shown.sidecar)),
        ("helper", helper.map_or_else(|| "none".into(), |pid| format!("pid {pid}"))),
        ("container", container),
        ("engine", said),
        ("clients", format!("{} now, {} in all", shown.connections, totals.connections)),
        ("usual wake", shown.usual_wake_ms.map_or_else(|| "not known yet".into(), took)),
        ("wakes", wakes(totals)),
        ("bytes", format!("{} up, {} down", bytes(totals.bytes_up), bytes(totals.bytes_down))),
        ("time", format!("{} awake, {} paused", lasted(totals.awake_ms), lasted(totals.paused_ms))),
    ];
    lines.push(match &shown.last_failure {
        None => ("last failure", "none".into()),
        Some(failure) => {
            let when = format!("{}, {}: ", moment(failure.at_ms), ago(failure.at_ms, now_ms));
            ("last failure", when + &terminal.paint(Colour::Red, harmless(&failure.reason)))
        }
    });
    lines
}

fn wakes(totals: &Totals) -> String {
    let Totals { wakes_ready, wakes_late, wakes_failed, wake_time_ms, .. } = totals;
    let mean = wake_time_ms.checked_div(*wakes_ready).map(|mean| format!(" (mean {})", took(mean)));
    format!("{wakes_ready} ready{}, {wakes_late} late, {wakes_failed} failed", mean.unwrap_or_default())
}

fn socket(enabled: bool, helper: Option<u32>, sidecar: &str) -> String {
    match (enabled, helper) {
        (true, _) => "enabled".into(),
        // A service written by hand may pass none.
        (false, Some(_)) => "no control socket".into(),
        (false, None) => format!("not enabled: {} enable --now rouse@{sidecar}.socket", places::systemctl()),
    }
}

fn lasted(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

/// In UTC, as the journal shows it with `--utc`.
fn moment(ms: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(ms)) {
        // Beyond the year 9999 there is no such text.
        Some(time) if ms < 253_402_300_800_000 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "?".into(),
    }
}
