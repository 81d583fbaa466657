//! Whatever a file holds, reading it ends, and every error is at a place in the file.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::annotated::uncommented;
use super::error::Concerns;
use super::tests::config;
use crate::name::Name;

/// Reads `text` and checks what holds for every configuration.
fn check(text: &str) {
    let config = config(&[text]);
    let lines: Vec<_> = text.split('\n').collect();
    for error in config.errors() {
        assert!((1..=lines.len()).contains(&error.line), "{error}");
        // An error may be right behind the last character: something is missing there.
        let columns = lines[error.line - 1].chars().count() + 1;
        assert!((1..=columns).contains(&error.column), "{error}");
        assert!(!error.what.is_empty() && !error.cure.is_empty(), "{error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    assert!(config.errors().is_sorted_by_key(|error| (error.line, error.column)));
    let for_all = config.errors().iter().any(|error| error.concerns == Concerns::All);
    for name in config.names() {
        let stopped = config.errors().iter().any(|error| error.concerns.include(name));
        assert_eq!(config.sidecar(name).is_err(), stopped, "{name}");
    }
    let stranger = config.sidecar(&Name::new("nobody-has-this-name").unwrap());
    assert_eq!(stranger.is_err(), for_all);
}

/// Values that are nearly right.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[0-9]{1,21}(ns|us|ms|s|m|h|d|w|y|M)( ?[0-9.]{1,11}(ns|us|ms|s|m|h|d|w|y))?\"",
        "\"(unix:|unix://|http:|http-ok:|log:|tcp://)?/{0,2}[a-z0-9 %ä:]{0,120}\"",
        "\"[0-9a-f:.\\[\\]]{0,20}:[0-9]{0,6}\"",
        "-?[0-9]{1,25}",
        "0[xob][0-9a-f]{1,25}",
        "\\[ ?(\"?[a-d]{0,2}\"? ?, ?){0,3}\\]",
        "\"log:[a-z0-9(){}\\[\\]|*+?,^$. ]{0,30}\"",
        "\\{ ?\"?[0-9+]{0,6}\"? ?= ?[0-9]{1,6} ?\\}",
        "[\"'\\[{]{0,3}\\PC{0,10}[\"'\\]}]{0,3}",
        Just("\"never\"".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
    ]
}

/// Tables of known keys, each with such a value.
fn nearly_right() -> impl Strategy<Value = String> {
    let keys = uncommented();
    let keys: Vec<_> =
        keys.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key.to_owned()).collect();
    let header = prop_oneof![
        Just("[helper]".to_owned()),
        Just("[defaults]".to_owned()),
        "\\[sidecar\\.[a-c]\\]",
        "\\[sidecar\\.\"?[a-z. ]{0,4}\"?\\]",
    ];
    let line = (prop::sample::select(keys), value()).prop_map(|(key, value)| format!("{key} = {value}"));
    prop::collection::vec(prop_oneof![1 => header, 4 => line], 0..20).prop_map(|lines| lines.join("\n"))
}

/// The shipped configuration after a few slips of the editor.
fn damaged() -> impl Strategy<Value = String> {
    let slip = (any::<prop::sample::Index>(), 0..4_usize, "\\PC{0,3}|[\"\\[\\]{}=.#\\n\\r\\t]{1,3}");
    prop::collection::vec(slip, 1..8).prop_map(|slips| {
        let mut text: Vec<char> = uncommented().chars().collect();
        for (at, gone, new) in slips {
            let start = at.index(text.len() + 1);
            let end = (start + gone).min(text.len());
            text.splice(start..end, new.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_nearly_right_text_is_read(text in nearly_right()) {
        check(&text);
    }

    #[test]
    fn any_damaged_text_is_read(text in damaged()) {
        check(&text);
    }
}

#[test]
fn text_that_is_deep_or_long_is_read() {
    check(&format!("{}a = 1", "a.".repeat(200_000)));
    check(&format!("a = {}", "[".repeat(500_000)));
    check(&format!("[defaults]\nport = {}", "9".repeat(500_000)));
    check(&format!("[defaults]\nready = \"log:{}\"", "(".repeat(200_000)));
    check(&format!("[sidecar.a]\nrequires = [{}]", "\"b\", ".repeat(10_000)));
    check(&format!("[defaults]\nidle_timeout = \"{}\"", "ä".repeat(200_000)));
    check(&"a\n".repeat(100_000));
    check(&(0..20_000).map(|n| format!("key{n} = {n}\n")).collect::<String>());
    check(&(0..2_000).map(|n| format!("[sidecar.s{n}]\ncontainer = \"x\"\n")).collect::<String>());
    check(&(0..300).map(|n| format!("[sidecar.s{n}]\nrequires = [\"s{}\"]\n", n + 1)).collect::<String>());
}

#[test]
fn a_sum_of_units_that_overflows_is_refused() {
    check("[defaults]\nidle_timeout = \"18446744073709551615s 1000ms\"");
    check("[defaults]\nidle_timeout = \"584554049253y 1000ms\"");
}
