//! The modules depend downward, in the order in which lib.rs lists them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of lib.rs, in its order.
fn modules() -> Vec<&'static str> {
    let lines = include_str!("lib.rs").lines();
    let names =
        lines.filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    // The tests stand at the end and look at all.
    names.take_while(|name| *name != "order").collect()
}

/// All source files of a module.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(files(&entry.unwrap().path()));
        }
    } else if path.is_file() {
        found.push(path.to_owned());
    }
    found
}

/// The modules that a file uses, not counting its tests, which may look at anything.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let paths = shipped.split("crate::").skip(1);
    let is_path = |c: char| c.is_ascii_lowercase() || c == '_';
    paths.flat_map(move |rest| {
        // `crate::{journal, places}` names several.
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => rest.split(|c| !is_path(c)).next().unwrap(),
        };
        list.split(',').map(|path| path.trim().split("::").next().unwrap())
    })
}

/// Files that are tests as a whole.
fn is_test(path: &Path) -> bool {
    let tests = ["tests", "sample", "documented", "catalog", "annotated", "simulation", "world"];
    tests.iter().any(|name| path.file_stem().unwrap() == *name)
}

#[test]
fn each_module_uses_only_those_after_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules = modules();
    let mut upward = Vec::new();
    let mut downward = 0;
    for (place, module) in modules.iter().enumerate() {
        let own = [source.join(format!("{module}.rs")), source.join(module)];
        for file in own.iter().flat_map(|path| files(path)).filter(|file| !is_test(file)) {
            let text = fs::read_to_string(&file).unwrap();
            for other in used(&text).filter_map(|name| modules.iter().position(|other| *other == name)) {
                match other < place {
                    true => upward.push(format!("{} uses {}", file.display(), modules[other])),
                    false => downward += 1,
                }
            }
        }
    }
    assert_eq!(upward, [""; 0]);
    assert!(downward > 300, "only {downward} uses were found");
}
