//! The elements as JSON, which docs/status-json.md describes.

use super::element::Element;

/// One array, ended by a newline.
pub fn render(elements: &[Element]) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(elements)? + "\n";
    // JSON lets these stand as they are, but some terminals obey them.
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    };
    Ok(text.chars().map(escaped).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::super::sample::element;
    use super::*;
    use crate::record::{LastFailure, State};
    use crate::why::{Holder, Why, samples};

    const DOCUMENT: &str = include_str!("../../../docs/status-json.md");

    fn value(elements: &[Element]) -> Value {
        serde_json::from_str(&render(elements).unwrap()).unwrap()
    }

    fn kind(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Object(_) => "object",
            Value::Array(items) => match items.first() {
                Some(Value::Number(_)) => "array of numbers",
                Some(Value::Object(_)) => "array of objects",
                _ => "array of strings",
            },
        }
    }

    /// The cells of the document's rows that begin with a code span, but for those of other tables.
    fn rows(heading: &str) -> Vec<Vec<String>> {
        let table = DOCUMENT.split_once(heading).unwrap().1.split_once("\n\n").unwrap().0;
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    fn fields(value: &Value, prefix: &str) -> BTreeMap<String, &'static str> {
        let mut found = BTreeMap::new();
        for (key, value) in value.as_object().unwrap() {
            found.insert(format!("{prefix}{key}"), kind(value));
            if value.is_object() && key != "why" {
                found.extend(fields(value, &format!("{prefix}{key}.")));
            }
        }
        found
    }

    #[test]
    fn each_field_is_in_the_document_with_its_type_and_no_other_is() {
        let mut full = element("web", State::Awake, Why::Never);
        full.shown.usual_wake_ms = Some(1);
        full.shown.last_failure = Some(LastFailure { at_ms: 1, reason: "x".into() });
        full.helper = Some(812);
        full.engine_error = Some("x".into());
        let mut empty = full.clone();
        (empty.shown.since_ms, empty.shown.usual_wake_ms, empty.shown.last_failure) = (None, None, None);
        (empty.helper, empty.engine, empty.engine_error) = (None, None, None);
        let shown = value(&[full, empty]);
        let full = fields(&shown[0], "");
        let nulls: BTreeSet<_> = fields(&shown[1], "")
            .into_iter()
            .filter(|(_, kind)| *kind == "null")
            .map(|(key, _)| key)
            .collect();
        let described = rows("| field | type |").into_iter().map(|row| {
            let optional = row[0].ends_with('?');
            (row[0].trim_matches(['`', '?']).to_owned(), (row[1].clone(), optional))
        });
        let printed = full.into_iter().map(|(key, kind)| {
            let optional = nulls.contains(&key);
            (key, (kind.to_owned(), optional))
        });
        assert_eq!(printed.collect::<BTreeMap<_, _>>(), described.collect());
    }

    #[test]
    fn each_kind_of_why_is_in_the_document_with_its_fields_and_no_other_is() {
        let names = |text: &str| -> BTreeSet<String> {
            // What stands in brackets are values, not fields.
            let outside = text.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
            let text: String = outside.collect();
            text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let described: BTreeMap<_, _> = rows("| kind | its fields |")
            .iter()
            .map(|row| (row[0].trim_matches('`').to_owned(), names(&row[1])))
            .collect();
        let mut printed = BTreeMap::new();
        for why in samples() {
            let shown = value(&[element("web", State::Awake, why)]);
            let why = shown[0]["why"].as_object().unwrap();
            let mut fields: BTreeSet<_> = why.keys().filter(|key| *key != "kind").cloned().collect();
            let holders = why.get("by").and_then(Value::as_array).into_iter().flatten();
            fields.extend(holders.flat_map(|holder| holder.as_object().unwrap().keys().cloned()));
            printed.insert(why["kind"].as_str().unwrap().to_owned(), fields);
        }
        assert_eq!(printed, described);
    }

    #[test]
    fn each_state_is_in_the_document() {
        let states = rows("| field | type |").into_iter().find(|row| row[0] == "`state`").unwrap();
        let described: Vec<_> = states[2].split('`').skip(1).step_by(2).collect();
        assert_eq!(described, State::ALL.map(State::name));
    }

    #[test]
    fn no_control_character_stands_in_the_text_and_none_is_lost() {
        let by = "\x1b[2J\u{9b}31m\u{7f}";
        let why = Why::Held { by: vec![Holder { by: by.into(), requires: false, until_ms: None }] };
        let elements = [element("web", State::Awake, why)];
        let text = render(&elements).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(value(&elements)[0]["why"]["by"][0]["by"], by);
    }
}
