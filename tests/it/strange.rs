//! Whatever stands in a file, and whoever stops reading, brings no command down.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{leave, output, spawn, until};

/// A machine's folder for all that rouse reads, without an engine.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.configure("");
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn configure(&self, tables: &str) {
        let config = format!("[helper]\nengine = \"unix:///nowhere/engine.sock\"\n{tables}");
        fs::write(self.path().join("rouse.toml"), config).unwrap();
    }

    fn rouse(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
        command.env("ROUSE_STATE_DIRECTORY", self.path()).env("ROUSE_RUNTIME_DIRECTORY", self.path());
        for name in ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.arg("--config").arg(self.path().join("rouse.toml")).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        output(&mut self.rouse(words))
    }
}

#[track_caller]
fn printed(done: &Output) -> String {
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout.clone()).unwrap()
}

/// Makes every number of a record the highest there is.
fn inflate(value: &mut Value) {
    match value {
        Value::Number(number) => *number = u64::MAX.into(),
        Value::Array(items) => items.iter_mut().for_each(inflate),
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(key, _)| !["version", "failures", "pid"].contains(&key.as_str()))
            .for_each(|(_, value)| inflate(value)),
        _ => {}
    }
}

#[test]
fn numbers_of_any_size_are_shown() {
    let machine = Machine::new();
    leave(machine.path(), "huge", |record| {
        record["state"] = json!("asleep");
        record["why"] = json!({"kind": "failed", "reason": "no", "next_ms": 1});
        record["holds"] = json!([{"by": "me", "until_ms": 1}]);
        inflate(record);
    });
    fs::write(machine.path().join("huge.sock"), "").unwrap();
    let table = printed(&machine.run(&["status"]));
    assert!(table.contains("18 EB") && table.contains("next try in "), "{table}");
    let detail = printed(&machine.run(&["status", "huge"]));
    assert!(detail.contains("wakes: 18446744073709551615 ready"), "{detail}");
    let seen: Value = serde_json::from_str(&printed(&machine.run(&["status", "--json"]))).unwrap();
    assert_eq!(seen[0]["totals"]["bytes_up"], u64::MAX, "{seen}");
    let metrics = printed(&machine.run(&["metrics"]));
    assert!(
        metrics.contains(
            "rouse_wake_duration_seconds_bucket{le=\"+Inf\",sidecar=\"huge\"} 18446744073709551615\n"
        ),
        "{metrics}"
    );
}

#[test]
fn what_others_wrote_steers_no_terminal_and_stays_on_its_line() {
    let machine = Machine::new();
    let reason = format!("a\x1b[2J\nb\r\u{202e}c\u{9b}31m{}", "x".repeat(10_000));
    leave(machine.path(), "web", |record| {
        record["state"] = json!("asleep");
        record["why"] = json!({"kind": "failed", "reason": reason, "next_ms": 1});
        record["last_failure"]["reason"] = json!(reason);
        record["container"] = json!("\x1b[31mweb");
    });
    fs::write(machine.path().join("web.sock"), "").unwrap();
    let is_tame = |text: &str| {
        let tame = |c: char| c == '\n' || !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
        assert!(text.chars().all(tame), "{text:?}");
    };
    for columns in ["20", "30", "40", "100"] {
        let table = printed(&output(machine.rouse(&["status"]).env("COLUMNS", columns)));
        is_tame(&table);
        for line in table.lines().take(2) {
            assert!(line.chars().count() <= columns.parse().unwrap(), "{columns}: {line}");
        }
    }
    let whole = printed(&machine.run(&["status"]));
    is_tame(&whole);
    assert!(whole.contains(&"x".repeat(10_000)), "what is not for a terminal is whole");
    is_tame(&printed(&machine.run(&["status", "web"])));
    let seen: Value = serde_json::from_str(&printed(&machine.run(&["status", "--json"]))).unwrap();
    assert_eq!(seen[0]["why"]["reason"], reason);
    is_tame(&printed(&machine.run(&["metrics"])));
}

#[test]
fn colours_are_asked_for_or_refused() {
    let machine = Machine::new();
    machine.configure("[sidecar.web]\nport = 0\n");
    let colored = |variables: &[(&str, &str)], words: &[&str]| {
        printed(&output(machine.rouse(words).envs(variables.iter().copied()))).contains('\x1b')
    };
    assert!(!colored(&[], &["status"]));
    assert!(colored(&[("CLICOLOR_FORCE", "1")], &["status"]));
    assert!(!colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &["status"]));
    assert!(colored(&[("NO_COLOR", "1")], &["status", "--color", "always"]), "said on the line itself");
    assert!(!colored(&[("CLICOLOR_FORCE", "1")], &["status", "--json"]));
}

#[test]
fn a_file_of_a_later_version_a_foreign_one_and_one_with_a_strange_name_hide_no_other() {
    let machine = Machine::new();
    leave(machine.path(), "web", |_| {});
    leave(machine.path(), "later", |record| record["version"] = json!(2));
    fs::write(machine.path().join("foreign.json"), "[]").unwrap();
    for name in [&b"\xff\xfe.json"[..], b"\xff.sock", b"two words.json", b".json", b"control.json"] {
        fs::write(machine.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    fs::create_dir(machine.path().join("folder.json")).unwrap();
    let table = printed(&machine.run(&["status"]));
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(row("later").contains("state file unreadable: version 2, not 1"), "{table}");
    assert!(row("foreign").contains("state file unreadable: "), "{table}");
    assert!(row("folder").contains("state file unreadable: "), "{table}");
    assert!(row("web").contains("awake"), "{table}");
    assert_eq!(printed(&machine.run(&["names"])), "folder\nforeign\nlater\nweb\n");
    let metrics = machine.run(&["metrics"]);
    let left_out = String::from_utf8(metrics.stderr.clone()).unwrap();
    assert_eq!(left_out.lines().count(), 3, "{left_out}");
    assert!(left_out.contains("version 2, not 1"), "{left_out}");
    assert!(printed(&metrics).contains("rouse_helper_up{sidecar=\"web\"} 0\n"));
}

#[test]
fn two_hundred_sidecars_are_a_table_of_two_hundred_lines() {
    let machine = Machine::new();
    (0..200).for_each(|number| leave(machine.path(), &format!("sidecar-{number}"), |_| {}));
    let table = printed(&output(machine.rouse(&["status"]).env("COLUMNS", "80")));
    assert_eq!(table.lines().filter(|line| line.starts_with("sidecar-")).count(), 200, "{table}");
    let metrics = printed(&machine.run(&["metrics"]));
    assert_eq!(metrics.matches("\nrouse_helper_up{").count(), 200);
}

#[test]
fn folders_that_cannot_be_listed_are_told_of() {
    let machine = Machine::new();
    machine.configure("[sidecar.web]\n");
    let folder = machine.path().join("rouse.toml");
    let rouse = |words: &[&str]| {
        let mut command = machine.rouse(words);
        output(command.env("ROUSE_STATE_DIRECTORY", &folder).env("ROUSE_RUNTIME_DIRECTORY", &folder))
    };
    let table = printed(&rouse(&["status"]));
    assert!(table.lines().any(|line| line.starts_with("web")), "{table}");
    assert_eq!(table.matches("rouse.toml cannot be listed: ").count(), 2, "{table}");
    let metrics = rouse(&["metrics"]);
    assert_eq!(metrics.status.code(), Some(1), "{metrics:?}");
    assert!(String::from_utf8_lossy(&metrics.stderr).contains("cannot read "), "{metrics:?}");
}

#[test]
fn a_reader_that_has_gone_changes_no_exit_code() {
    let machine = Machine::new();
    machine.configure("[sidecar.web]\n");
    leave(machine.path(), "web", |_| {});
    for words in [
        &["status"][..],
        &["status", "web", "nobody"],
        &["status", "--json"],
        &["names"],
        &["metrics"],
        &["is-running", "web"],
        &["is-running", "nobody"],
        &["wake", "web"],
        &["touch", "web"],
        &["hold", "web"],
        &["sleep", "web"],
        &["check"],
        &["check", "--json"],
        &["remove", "web", "--root", "/nowhere"],
        &["add", "web", "--root", "/nowhere"],
        &["run"],
    ] {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let code = machine.run(words).status.code();
        let mut command = machine.rouse(words);
        let mut child = spawn(command.stdin(Stdio::null()).stdout(closed()).stderr(closed()));
        let ended = until("its end", || child.try_wait().unwrap());
        assert_eq!(ended.code(), code, "{words:?}: {ended}");
    }
}
