//! `rouse status`: what all sidecars do, without waking or starting anything.

mod detail; // all that is known of one
mod element; // what is true of one
mod engine; // what the engines say
mod json; // for programs
mod table; // one line each

#[cfg(test)]
mod sample; // sidecars for the tests

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::{UNKNOWN, tell};
use crate::clock::now_ms;
use crate::config::{Config, closest};
use crate::name::Name;
use crate::places;
use crate::survey::{Known, Survey};
use crate::terminal::{Terminal, When, harmless};
use element::Element;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// These alone, with their totals and their last failure
    #[arg(value_name = "NAME")]
    names: Vec<Name>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// When to colour; `watch -c rouse status --color always` keeps them in view
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    color: When,
}

/// Shows them; an unknown one ends it with 4, after the others.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let survey = Survey::of(&Config::read(config), &places::states(), &places::sockets());
    let unknown: Vec<_> =
        arguments.names.iter().filter_map(|name| stranger(name, &survey.sidecars)).collect();
    let wanted = |known: &Known| arguments.names.is_empty() || arguments.names.contains(&known.name);
    let sidecars: Vec<_> = survey.sidecars.into_iter().filter(wanted).collect();
    let answers = engine::ask(&sidecars);
    let now_ms = now_ms();
    let element = |known: &Known| {
        let answer = answers.get(&known.name).cloned();
        Element::of(known, answer.unwrap_or_else(|| Err("it was not asked".into())), now_ms)
    };
    let elements: Vec<_> = sidecars.iter().map(element).collect();
    let text = match arguments.json {
        true => json::render(&elements).unwrap_or_else(|error| format!("{error}\n")),
        false => {
            let terminal = Terminal::of_output(arguments.color);
            readable(&elements, &arguments.names, &survey.troubles, now_ms, &terminal)
        }
    };
    // A reader that has seen enough and closed its end is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    unknown.iter().for_each(tell);
    match unknown.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(UNKNOWN),
    }
}

fn readable(
    elements: &[Element],
    names: &[Name],
    troubles: &[String],
    now_ms: u64,
    terminal: &Terminal,
) -> String {
    if !names.is_empty() {
        let blocks: Vec<_> =
            elements.iter().map(|element| detail::render(element, now_ms, terminal)).collect();
        return blocks.join("\n");
    }
    let table = match elements {
        [] => format!("no sidecars yet: {}\n", places::advice_to_add()),
        elements => table::render(elements, now_ms, terminal),
    };
    let notes = notes(elements, troubles);
    let gap = if notes.is_empty() { "" } else { "\n" };
    table + gap + &notes
}

/// What is to be said once, below the table.
fn notes(elements: &[Element], troubles: &[String]) -> String {
    let errors: BTreeSet<_> = elements.iter().filter_map(|element| element.engine_error.as_deref()).collect();
    let unanswered = errors.into_iter().map(|error| format!("engine ?: {}\n", harmless(error)));
    let off = elements.iter().any(|element| element.word() == "off");
    let off =
        off.then(|| format!("off: `{} enable --now rouse@NAME.socket` turns it on\n", places::systemctl()));
    let troubles = troubles.iter().map(|trouble| format!("{}\n", harmless(trouble)));
    unanswered.chain(off).chain(troubles).collect()
}

/// What to say to a name that is none of a sidecar.
fn stranger(name: &Name, known: &[Known]) -> Option<String> {
    let names: Vec<_> = known.iter().map(|known| known.name.as_str()).collect();
    if names.contains(&name.as_str()) {
        return None;
    }
    let hint = match closest(name.as_str(), &names) {
        Some(meant) => format!("did you mean {meant}?"),
        None if names.is_empty() => format!("there are none yet: {}", places::advice_to_add()),
        None => format!("there are {}", names.join(", ")),
    };
    Some(format!("no sidecar is called {name}: {hint}"))
}
