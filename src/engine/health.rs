//! The HEALTHCHECK of a container: whether it has one, when it is asked first, and what came of it.

use std::time::Duration;

use serde::Deserialize;

use super::Container;

/// How often a HEALTHCHECK is asked that does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(30);

/// What it was told to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Healthcheck {
    test: Option<Vec<String>>,
    interval: Option<i64>,
    start_period: Option<i64>,
    start_interval: Option<i64>,
}

/// What came of it in this run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    status: Option<String>,
    failing_streak: Option<i64>,
    log: Option<Vec<Check>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    exit_code: i64,
}

impl Container {
    /// Whether its HEALTHCHECK has passed in this run.
    pub fn is_healthy(&self) -> bool {
        let Some(health) = &self.state.health else { return false };
        match health.status.as_deref() {
            Some("healthy") => true,
            // A pause makes it so until the next check, whatever the last one was.
            Some("unhealthy") if health.failing_streak == Some(0) => {
                health.log.iter().flatten().last().is_some_and(|check| check.exit_code == 0)
            }
            _ => false,
        }
    }

    /// Whether it has a HEALTHCHECK at all.
    pub fn has_healthcheck(&self) -> bool {
        self.healthcheck().is_some()
    }

    /// How long after a start the engine asks its HEALTHCHECK first, if it has one.
    pub fn first_check(&self) -> Option<Duration> {
        let check = self.healthcheck()?;
        let given = |time: Option<i64>| {
            time.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0).map(Duration::from_nanos)
        };
        // Only within the start period is the start interval what counts.
        let early = given(check.start_period).and(given(check.start_interval));
        early.or(given(check.interval)).or(Some(USUAL_INTERVAL))
    }

    fn healthcheck(&self) -> Option<&Healthcheck> {
        let check = self.config.as_ref()?.healthcheck.as_ref()?;
        check.test.as_ref()?.first().is_some_and(|kind| kind != "NONE").then_some(check)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::Container;

    #[test]
    fn the_first_check_is_after_the_start_interval_within_a_start_period_else_after_the_interval() {
        let first = |check: Value| {
            let text = json!({ "Id": "abc", "State": {}, "Config": { "Healthcheck": check } });
            serde_json::from_value::<Container>(text).unwrap().first_check()
        };
        let test = json!(["CMD", "true"]);
        let second = 1_000_000_000_i64;
        assert_eq!(first(json!({ "Test": test })), Some(Duration::from_secs(30)));
        assert_eq!(first(json!({ "Test": test, "Interval": 0 })), Some(Duration::from_secs(30)));
        assert_eq!(first(json!({ "Test": test, "Interval": 2 * second })), Some(Duration::from_secs(2)));
        let early = json!({ "Test": test, "StartPeriod": 9 * second, "StartInterval": second });
        assert_eq!(first(early), Some(Duration::from_secs(1)));
        let unused = json!({ "Test": test, "StartInterval": second });
        assert_eq!(first(unused), Some(Duration::from_secs(30)));
        for none in [json!(["NONE"]), json!([]), json!(null)] {
            assert_eq!(first(json!({ "Test": none })), None);
        }
    }
}
