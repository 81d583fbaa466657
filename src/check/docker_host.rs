//! `$DOCKER_HOST`, by which `docker` may show the containers of an engine that rouse does not ask.

use std::fs;
use std::path::Path;

use super::{Finding, Severity};

/// The finding if `variable` names an engine that is none of `engines`.
pub fn check<'a>(variable: Option<&str>, mut engines: impl Iterator<Item = &'a Path>) -> Option<Finding> {
    let value = variable.filter(|value| !value.is_empty())?;
    let same = |engine: &Path| {
        let named = Path::new(value.strip_prefix("unix://").unwrap_or_default());
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        real(named) == real(engine)
    };
    let first = engines.next()?;
    if same(first) || engines.any(same) {
        return None;
    }
    let message = format!("{value:?}, but rouse asks the engine at {}", first.display());
    let hint = "unset it, or set `engine` in the table [helper]: `docker` shows the containers of another engine here";
    Some(Finding::new(Severity::Warning, message, hint).about("$DOCKER_HOST"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    #[test]
    fn it_may_name_any_of_the_engines_by_whatever_way() {
        let engines = ["/run/rouse-none.sock", "/proc/self/cmdline"];
        let is_other = |value| check(value, engines.iter().map(Path::new)).is_some();
        assert!(!is_other(None) && !is_other(Some("")) && !is_other(Some("unix:///run/rouse-none.sock")));
        assert!(!is_other(Some("unix:///proc/thread-self/../../cmdline")), "another way to the same file");
        assert!(is_other(Some("unix:///run/other.sock")) && is_other(Some("tcp://127.0.0.1:2375")));
        assert!(check(Some("tcp://127.0.0.1:2375"), std::iter::empty()).is_none(), "no engine is asked");
    }
}
