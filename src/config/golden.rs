//! What is said about each `tests/config/NAME.toml`, or each directory `NAME` as it would be in /etc/rouse, stands in
//! `NAME.expected` beside it, one error a line. `UPDATE_EXPECTED=1 cargo test golden` writes those files anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Config;

/// Relative, so that the expected messages are the same wherever the sources are.
const HERE: &str = "tests/config";

fn entries(extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(HERE).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().unwrap_or_default() == extension).collect()
}

fn cases() -> Vec<PathBuf> {
    let mut cases = entries("toml");
    cases.extend(entries("").into_iter().filter(|path| path.is_dir()));
    cases.sort();
    assert!(cases.len() >= 15, "the cases in {HERE} have gone: {cases:?}");
    cases
}

fn read(case: &Path) -> Config {
    match case.is_dir() {
        true => Config::read_in(case),
        false => Config::read(Some(case)),
    }
}

/// The lines of which only one of the two texts has one, marked as `diff` does.
fn difference(expected: &str, found: &str) -> String {
    let (left, right): (BTreeSet<_>, BTreeSet<_>) = (expected.lines().collect(), found.lines().collect());
    let gone = expected.lines().filter(|line| !right.contains(line)).map(|line| format!("  - {line}\n"));
    let new = found.lines().filter(|line| !left.contains(line)).map(|line| format!("  + {line}\n"));
    let lines: String = gone.chain(new).collect();
    if lines.is_empty() { format!("  the order is now\n{found}") } else { lines }
}

#[test]
fn every_case_says_what_is_expected() {
    let mut failures = String::new();
    for case in cases() {
        let golden = case.with_extension("expected");
        let found: String = read(&case).errors().iter().map(|error| format!("{error}\n")).collect();
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        match fs::read_to_string(&golden) {
            Ok(expected) if expected == found => {}
            Ok(expected) => failures += &format!("{}\n{}", golden.display(), difference(&expected, &found)),
            Err(error) => failures += &format!("{}: {error}\n", golden.display()),
        }
    }
    assert!(failures.is_empty(), "- expected, + found\n{failures}");
}

#[test]
fn every_expectation_has_its_case() {
    let cases: Vec<_> = cases().iter().map(|case| case.with_extension("expected")).collect();
    for golden in entries("expected") {
        assert!(cases.contains(&golden), "{} belongs to nothing", golden.display());
    }
}

#[test]
fn every_error_says_what_is_wrong_and_what_would_be_right() {
    let mut different = BTreeSet::new();
    for case in cases() {
        for error in read(&case).errors() {
            assert!(!error.what.is_empty() && !error.cure.is_empty(), "{error}");
            assert!(!error.to_string().contains('\n') && !error.cure.ends_with('.'), "{error}");
            different.insert((error.what.clone(), error.cure.clone()));
        }
    }
    assert!(different.len() >= 60, "only {} different messages are covered", different.len());
}
