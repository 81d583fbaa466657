//! The tables of all files, key by key, so that every error is found and knows its place.

use std::collections::BTreeMap;

use humantime::format_duration;
use toml::Spanned;
use toml::de::DeTable;

use super::clash;
use super::document::{Document, skip_lines_without_value};
use super::error::{Concerns, Error, Wrong, table_key, written};
use super::keys::{KEYS, set, shared, unknown};
use super::names::name;
use super::sidecar::Template;
use super::source::{Place, Source};
use super::suggest::closest;
use super::value::kind;
use crate::name::Name;

const SECTIONS: &[&str] = &["helper", "defaults", "sidecar"];

/// What all files together say.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub errors: Vec<Error>,
    /// What holds for every sidecar.
    pub template: Template,
    pub tables: BTreeMap<Name, Table>,
}

/// One sidecar's table, on top of the template.
#[derive(Debug)]
pub(super) struct Table {
    pub settings: Template,
    /// Every place where it is defined; more than one is an error.
    pub places: Vec<Place>,
    /// Where its container is named, or could be.
    pub container: Place,
    /// Whether its engine and container are as written; an error in either leaves open which they are.
    pub certain: bool,
    /// The sidecars that it requires, each with the place where it says so.
    pub requires: Vec<(Name, Place)>,
}

impl Table {
    /// Whether its engine and container are as written, in one place.
    pub(super) fn is_certain(&self) -> bool {
        self.certain && self.places.len() == 1
    }
}

/// One table on its way into the settings.
struct Section<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
    /// The table's own key, before each of its keys in an error.
    key: String,
    concerns: Concerns,
}

/// Walks all files: first what is shared, because each sidecar's table builds on it.
pub(super) fn walk(sources: &mut [Source]) -> Walk {
    let mut walk = Walk::default();
    for source in &mut *sources {
        skip_lines_without_value(source, &mut walk.errors);
    }
    let documents: Vec<_> = sources.iter().map(|source| Document::parse(source, &mut walk.errors)).collect();
    for document in &documents {
        walk.refuse_unknown_sections(document);
    }
    walk.share(&documents, "helper", &["engine"]);
    walk.share(&documents, "defaults", &shared());
    for document in &documents {
        walk.read_sidecars(document);
    }
    walk.errors.extend(clash::sidecars(&walk.tables));
    walk.errors.extend(clash::containers(&walk.tables));
    walk
}

impl Walk {
    fn refuse_unknown_sections(&mut self, document: &Document) {
        for (key, value) in &document.tables {
            let name = key.get_ref().as_ref();
            if SECTIONS.contains(&name) {
                continue;
            }
            let cure = match closest(name, SECTIONS) {
                Some(meant) => format!("did you mean {meant}?"),
                None if KEYS.contains(&name) => "it belongs in [defaults] or [sidecar.NAME]".to_owned(),
                None if value.get_ref().is_table() => {
                    format!("a sidecar's table is called [sidecar.{}]", written(name))
                }
                None => "known here: [helper], [defaults] and [sidecar.NAME]".to_owned(),
            };
            let wrong = Wrong::new("unknown at the top of the file", cure);
            self.errors.extend(document.error(&key.span(), &written(name), wrong, Concerns::All));
        }
    }

    /// The table `name` at the top of `document`, if it is there and is one.
    fn open<'a>(&mut self, document: &'a Document<'a>, name: &str) -> Option<Section<'a>> {
        Section::open(document, &document.tables, name, name.to_owned(), Concerns::All, &mut self.errors)
    }

    /// Reads the table `name` of every file into the template.
    fn share(&mut self, documents: &[Document], name: &str, known: &[&str]) {
        let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        let sections: Vec<_> = documents.iter().filter_map(|document| self.open(document, name)).collect();
        for section in &sections {
            self.errors.extend(section.read(known, &mut self.template));
            for key in section.table.keys() {
                let place = section.document.place(&key.span());
                places.entry(section.path(key.get_ref())).or_default().push(place);
            }
        }
        let useless = sections.iter().find_map(|section| section.useless_pause(&self.template, &self.errors));
        self.errors.extend(useless);
        for (key, places) in &places {
            self.errors.extend(clash::twice(key, places, &Concerns::All));
        }
    }

    fn read_sidecars(&mut self, document: &Document) {
        let Some(sidecars) = self.open(document, "sidecar") else {
            return;
        };
        for key in sidecars.table.keys() {
            let text = key.get_ref().as_ref();
            match name(text) {
                Ok(name) => self.read_sidecar(&sidecars, name, document.place(&key.span())),
                // Whose table it was meant to be is anybody's guess, so it concerns all.
                Err(wrong) => {
                    let path = sidecars.path(text);
                    self.errors.extend(document.error(&key.span(), &path, wrong, Concerns::All));
                }
            }
        }
    }

    /// Reads the table of the sidecar `name`, which begins at `place`.
    fn read_sidecar(&mut self, sidecars: &Section, name: Name, place: Place) {
        let path = table_key(&name);
        let concerns = Concerns::One(name.clone());
        let mut settings = self.template.clone();
        let mut container = place.clone();
        let mut certain = false;
        let mut requires = Vec::new();
        let (document, parent) = (sidecars.document, sidecars.table);
        if let Some(section) =
            Section::open(document, parent, name.as_str(), path, concerns, &mut self.errors)
        {
            self.errors.extend(section.read(KEYS, &mut settings));
            certain = !["container", "engine"].iter().any(|key| section.doubts(key, &self.errors));
            self.errors.extend(section.useless_pause(&settings, &self.errors));
            let placed =
                |name: &Spanned<Name>| Some((name.get_ref().clone(), document.sound_place(&name.span())?));
            requires = settings.requires.iter().filter_map(placed).collect();
            if let Some(value) = section.table.get("container") {
                container = document.place(&value.span());
            }
        }
        let table = Table { settings, places: vec![place.clone()], container, certain, requires };
        self.tables.entry(name).and_modify(|first| first.places.push(place)).or_insert(table);
    }
}

impl<'a> Section<'a> {
    /// The table `name` in `parent`, if it is there and is one.
    fn open(
        document: &'a Document<'a>,
        parent: &'a DeTable<'a>,
        name: &str,
        key: String,
        concerns: Concerns,
        errors: &mut Vec<Error>,
    ) -> Option<Section<'a>> {
        let value = parent.get(name)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Section { document, table, key, concerns }),
            None => {
                let header = if key == "sidecar" { "sidecar.NAME" } else { &key };
                let wrong = Wrong::new(
                    format!("{}, not a table", kind(value.get_ref())),
                    format!("a line [{header}] and its keys below"),
                );
                errors.extend(document.error(&value.span(), &key, wrong, concerns));
                None
            }
        }
    }

    /// Puts the keys in `known` into `settings`; the rest are errors.
    fn read(&self, known: &[&str], settings: &mut Template) -> Vec<Error> {
        let mut errors = Vec::new();
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            let path = self.path(name);
            if let Some(mut wrong) = unknown(name, known) {
                // [sidecar.web.example] is a table `example` in the table of `web`, which nobody means.
                let strange = wrong.cure.starts_with("known here") && value.get_ref().is_table();
                if let (Some(first), true) = (self.key.strip_prefix("sidecar."), strange) {
                    let whole = written(&format!("{}.{name}", first.trim_matches('"')));
                    wrong.cure = format!("a name with a dot needs quotes: [sidecar.{whole}]");
                }
                errors.extend(self.document.error(&key.span(), &path, wrong, self.concerns.clone()));
                continue;
            }
            for wrong in set(settings, name, value.get_ref()).err().unwrap_or_default() {
                let span = wrong.span.clone().unwrap_or_else(|| value.span());
                let path = match &wrong.key {
                    Some(key) => format!("{path}.{}", written(key)),
                    None => path.clone(),
                };
                errors.extend(self.document.error(&span, &path, wrong, self.concerns.clone()));
            }
        }
        errors
    }

    /// The error of a pause that would never come, because this table's `settings` let the sidecar sleep before.
    fn useless_pause(&self, settings: &Template, errors: &[Error]) -> Option<Error> {
        let (pause, idle) = (settings.pause_after?, settings.idle_timeout?);
        let keys = ["pause_after", "idle_timeout"];
        if pause < idle || keys.iter().any(|key| self.doubts(key, errors)) {
            return None;
        }
        // Where the table has neither key, the error is that of [defaults].
        let (key, value) = keys.iter().find_map(|key| Some((*key, self.table.get(*key)?)))?;
        let (pause, idle) = (format_duration(pause), format_duration(idle));
        let wrong = match key {
            "pause_after" => Wrong::new(
                format!("it would never be paused: idle_timeout is {idle}"),
                format!("less than {idle}, or \"never\""),
            ),
            _ => Wrong::new(
                format!("it would never be paused: pause_after is {pause}"),
                format!("more than {pause}, or pause_after = \"never\" beside it"),
            ),
        };
        self.document.error(&value.span(), &self.path(key), wrong, self.concerns.clone())
    }

    /// Whether `errors` leave open what `key` is meant to be, here or else in what all sidecars share.
    fn doubts(&self, key: &str, errors: &[Error]) -> bool {
        let (path, broken) = match self.table.get(key) {
            Some(value) => (self.path(key), self.document.sound_place(&value.span()).is_none()),
            None => (format!("defaults.{key}"), false),
        };
        broken || errors.iter().any(|error| error.key == path)
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{}", self.key, written(key))
    }
}
