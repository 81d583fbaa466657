//! `rouse check`: what will not work, and how to mend it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::EX_CONFIG;
use crate::config::{Config, Error};

/// One finding, as `--json` shows it.
#[derive(Serialize)]
struct Finding<'a> {
    severity: &'static str,
    file: String,
    line: usize,
    column: usize,
    key: &'a str,
    message: &'a str,
    hint: &'a str,
}

/// Checks the configuration and prints every error, with `json` as one array.
pub fn run(config: Option<&Path>, json: bool) -> ExitCode {
    let config = Config::read(config);
    // A reader that has seen enough and closed its end changes nothing about the verdict.
    let _ = print(&config, json, &mut io::stdout().lock(), &mut io::stderr().lock());
    match config.errors().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EX_CONFIG),
    }
}

fn print(config: &Config, json: bool, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
    if json {
        let findings: Vec<_> = config.errors().iter().map(Finding::from).collect();
        serde_json::to_writer_pretty(&mut *out, &findings)?;
        return writeln!(out);
    }
    for error in config.errors() {
        writeln!(err, "{error}")?;
    }
    if config.errors().is_empty() {
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

impl<'a> From<&'a Error> for Finding<'a> {
    fn from(error: &'a Error) -> Finding<'a> {
        Finding {
            severity: "error",
            file: error.file.display().to_string(),
            line: error.line,
            column: error.column,
            key: &error.key,
            message: &error.what,
            hint: &error.cure,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::print;
    use crate::config::Config;

    /// What `rouse check` prints about `tests/config/FILE`, on stdout and on stderr.
    fn check(file: &str, json: bool) -> (String, String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(file);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        print(&Config::read(Some(&path)), json, &mut out, &mut err).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn praises_a_clean_file_on_stdout() {
        let (out, err) = check("clean.toml", false);
        assert_eq!(out, "configuration is fine: 3 sidecars: blender-worker, ollama, web.example\n");
        assert_eq!(err, "");
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
