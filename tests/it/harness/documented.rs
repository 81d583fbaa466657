//! The calls to an engine that docs/security.md lists.

use std::collections::BTreeSet;

/// All of them, as in "POST /containers/CONTAINER/start".
pub fn documented() -> BTreeSet<String> {
    let rows = include_str!("../../../docs/security.md").lines();
    let calls = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let calls: BTreeSet<String> = calls
        .filter(|call| call.starts_with("GET /") || call.starts_with("POST /"))
        .map(str::to_owned)
        .collect();
    assert!(!calls.is_empty(), "docs/security.md has no list of calls");
    calls
}

/// How that list would show a call: without version, query and the container's name or id.
pub fn listed(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let is_version = |word: &str| {
        word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut words: Vec<&str> = path.split('/').skip(1).collect();
    if is_version(words[0]) {
        words.remove(0);
    }
    if let ["containers", container, _] = words.as_mut_slice() {
        *container = "CONTAINER";
    }
    format!("{method} /{}", words.join("/"))
}
