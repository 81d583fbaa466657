//! `rouse check`: what will not work, and how to mend it.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::root::Root;
use super::{EX_CONFIG, runtime, tell};
use crate::check::{Finding, Severity, check};
use crate::config::Config;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    root: Root,
}

/// Looks at everything and prints what it finds: a line each on stderr, or with `--json` one array on stdout, of objects with
/// the fields `severity`, `file`, `line`, `column`, `container`, `key`, `message` and `hint`, of which all but the last three
/// and the first may be null.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let places = arguments.root.places();
    let config = match config {
        Some(_) => Config::read(config),
        None => Config::read_in(&places.configuration()),
    };
    let units = places.units();
    let docker_host = env::var("DOCKER_HOST").ok();
    let findings = match runtime::block_on(check(&config, &units, docker_host.as_deref())) {
        Ok(findings) => findings,
        Err(error) => {
            tell(format_args!("cannot look: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // A reader that has seen enough and closed its end changes nothing about the verdict.
    let _ = print(&config, &findings, arguments.json, &mut io::stdout().lock(), &mut io::stderr().lock());
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Error) => ExitCode::from(EX_CONFIG),
        Some(Severity::Warning) => ExitCode::FAILURE,
        Some(Severity::Note) | None => ExitCode::SUCCESS,
    }
}

fn print(
    config: &Config,
    findings: &[Finding],
    json: bool,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, findings)?;
        return writeln!(out);
    }
    for finding in findings {
        writeln!(err, "{finding}")?;
    }
    if findings.iter().all(|finding| finding.severity == Severity::Note) {
        writeln!(out, "{}", praise(config))?;
    }
    Ok(())
}

fn praise(config: &Config) -> String {
    let names: Vec<_> = config.names().map(|name| name.as_str()).collect();
    match names.as_slice() {
        [] => "configuration is fine: no sidecar has a table, so each runs on the defaults".to_owned(),
        [name] => format!("configuration is fine: 1 sidecar: {name}"),
        names => format!("configuration is fine: {} sidecars: {}", names.len(), names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::print;
    use crate::check::{Finding, Severity};
    use crate::config::Config;

    /// What `rouse check` prints about `tests/config/FILE`, and about `others`, on stdout and on stderr.
    fn check_with(file: &str, others: Vec<Finding>, json: bool) -> (String, String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(file);
        let config = Config::read(Some(&path));
        let findings: Vec<_> = config.errors().iter().map(Finding::from).chain(others).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        print(&config, &findings, json, &mut out, &mut err).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn check(file: &str, json: bool) -> (String, String) {
        check_with(file, Vec::new(), json)
    }

    #[test]
    fn praises_a_clean_file_on_stdout() {
        let (out, err) = check("clean.toml", false);
        assert_eq!(out, "configuration is fine: 3 sidecars: blender-worker, ollama, web.example\n");
        assert_eq!(err, "");
    }

    #[test]
    fn praises_a_clean_file_in_spite_of_notes_alone() {
        let finding = |severity| vec![Finding::new(severity, "so it is", "live with it")];
        let (out, err) = check_with("empty.toml", finding(Severity::Note), false);
        assert_eq!((out.lines().count(), err.as_str()), (1, "note: so it is: live with it\n"));
        let (out, err) = check_with("empty.toml", finding(Severity::Warning), false);
        assert_eq!((out.as_str(), err.as_str()), ("", "warning: so it is: live with it\n"));
    }

    #[test]
    fn tells_when_all_runs_on_the_defaults() {
        let (out, _) = check("empty.toml", false);
        assert_eq!(out, "configuration is fine: no sidecar has a table, so each runs on the defaults\n");
    }

    #[test]
    fn prints_one_error_a_line_on_stderr() {
        let (out, err) = check("durations.toml", false);
        assert_eq!(out, "");
        assert!(err.lines().count() > 5, "{err}");
        assert!(err.lines().all(|line| line.contains("durations.toml:")), "{err}");
    }

    #[test]
    fn an_error_of_the_configuration_reads_as_it_does_in_the_journal() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/durations.toml");
        let config = Config::read(Some(&path));
        let lines: Vec<_> = config.errors().iter().map(ToString::to_string).collect();
        assert_eq!(check("durations.toml", false).1.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn prints_json_on_stdout() {
        assert_eq!(check("clean.toml", true), ("[]\n".to_owned(), String::new()));
        let (out, err) = check("durations.toml", true);
        let findings: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        assert_eq!(err, "");
        for field in ["severity", "file", "line", "column", "key", "message", "hint"] {
            assert!(findings.iter().all(|finding| !finding[field].is_null()), "{field}: {out}");
        }
    }
}
