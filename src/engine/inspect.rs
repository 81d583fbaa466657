//! What the engine knows of a container: the parts of `GET /containers/NAME/json` that rouse reads.
//!
//! Engines leave out or null what does not apply, and API 1.52 dropped the addresses outside `Networks`; so all is
//! optional here and only `Networks` is read.

use serde::Deserialize;

use super::network::NetworkSettings;

/// The digits of an id that the engine's tools show: nobody has that for a name by chance.
const SHORT_ID: usize = 12;

/// A container, as it was when it was inspected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The engine's id, 64 hexadecimal digits.
    pub id: String,
    name: Option<String>,
    state: State,
    config: Option<Config>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    paused: bool,
    restarting: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: Option<String>,
    started_at: Option<String>,
    health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    tty: Option<bool>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) network_mode: Option<String>,
}

impl Container {
    /// Whether it was meant by `name`: the engine also takes the first digits of an id for one, and a sidecar called `db`
    /// shall not wake a stranger.
    pub fn is_called(&self, name: &str) -> bool {
        let own = self.name.as_deref().unwrap_or_default();
        own.strip_prefix('/').unwrap_or(own) == name || (name.len() >= SHORT_ID && self.id.starts_with(name))
    }

    /// Running and able to answer: not frozen, not between two tries of its restart policy.
    pub fn is_running(&self) -> bool {
        self.state.running && !self.state.paused && !self.state.restarting
    }

    /// Frozen; the engine calls that running too.
    pub fn is_paused(&self) -> bool {
        self.state.paused
    }

    /// Between two tries of its restart policy; the engine calls that running too, though nothing runs.
    pub fn is_restarting(&self) -> bool {
        self.state.restarting
    }

    /// Awake or paused, as far as the engine is concerned: what a stop would end.
    pub fn is_up(&self) -> bool {
        self.state.running || self.state.paused || self.state.restarting
    }

    /// When it was last started; tells one run of it from the next.
    pub fn started_at(&self) -> &str {
        self.state.started_at.as_deref().unwrap_or_default()
    }

    /// Whether its HEALTHCHECK has passed in this run.
    pub fn is_healthy(&self) -> bool {
        let health = self.state.health.as_ref().and_then(|health| health.status.as_deref());
        health == Some("healthy")
    }

    /// Whether it has a HEALTHCHECK at all.
    pub fn has_healthcheck(&self) -> bool {
        let check = self.config.as_ref().and_then(|config| config.healthcheck.as_ref());
        let test = check.and_then(|check| check.test.as_deref()).unwrap_or_default();
        test.first().is_some_and(|kind| kind != "NONE")
    }

    /// Whether its log is one raw stream: with a terminal the engine does not mark stdout and stderr.
    pub fn has_terminal(&self) -> bool {
        self.config.as_ref().and_then(|config| config.tty).unwrap_or_default()
    }

    /// How it ended last: "exit code 3", with what the engine adds.
    pub fn ending(&self) -> String {
        let code = self.state.exit_code;
        let mut text = format!("exit code {code}");
        if self.state.oom_killed {
            text.push_str(", killed for want of memory");
        } else if let Some(signal) = code.checked_sub(128).filter(|signal| (1..=64).contains(signal)) {
            text.push_str(&format!(", signal {signal}"));
        }
        if let Some(error) = self.state.error.as_deref().filter(|error| !error.is_empty()) {
            text.push_str(&format!(", {error}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Container;

    #[test]
    fn an_ending_names_signal_and_memory() {
        let end = |state: &str| {
            let text = format!(r#"{{"Id":"abc","State":{state}}}"#);
            serde_json::from_str::<Container>(&text).unwrap().ending()
        };
        assert_eq!(end(r#"{"ExitCode":3,"Error":""}"#), "exit code 3");
        assert_eq!(end(r#"{"ExitCode":143}"#), "exit code 143, signal 15");
        assert_eq!(end(r#"{"ExitCode":137,"OOMKilled":true}"#), "exit code 137, killed for want of memory");
        assert_eq!(end(r#"{"ExitCode":127,"Error":"no such file"}"#), "exit code 127, no such file");
    }
}
