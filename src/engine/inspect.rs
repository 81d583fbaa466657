//! What the engine knows of a container: the parts of `GET /containers/NAME/json` that rouse reads.
//!
//! Engines leave out or null what does not apply, and API 1.52 dropped the addresses outside `Networks`; so all is
//! optional here and only `Networks` is read.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::health::{Health, Healthcheck};
use super::network::NetworkSettings;
use super::origin::Labels;
use super::ports::{Exposed, Ports};

/// The digits of an id that the engine's tools show: nobody has that for a name by chance.
const SHORT_ID: usize = 12;
/// How long before `StartedAt` a run may have written its first line: the engine looks at the clock only after the process
/// runs, which on a busy machine is a good deal later.
const HEAD_START: Duration = Duration::from_secs(1);
/// How long after `FinishedAt` the log of that run may get its last entry: what has no line's end is stamped once the engine
/// has cleaned up (20 to 40 ms with Docker 20.10), which it does before it starts the next run.
const AFTERMATH: Duration = Duration::from_millis(100);
/// How soon after the end of a run Podman has cleaned up and tries again: what it still calls stopped after that stays so, since
/// whoever was to clean up (conmon) is gone.
const CLEANED_UP: Duration = Duration::from_secs(20);
/// After a run of this length Docker's restart policy begins anew with its shortest pause: the run was no failed try.
const NO_TRY: Duration = Duration::from_secs(10);

/// A container, as it was when it was inspected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The engine's id, 64 hexadecimal digits.
    pub id: String,
    name: Option<String>,
    pub(super) state: State,
    restart_count: Option<u32>,
    pub(super) config: Option<Config>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    status: String,
    running: bool,
    paused: bool,
    restarting: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    pub(super) health: Option<Health>,
}

/// What its image and its creator have said of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    stop_signal: Option<String>,
    tty: Option<bool>,
    pub(super) healthcheck: Option<Healthcheck>,
    pub(super) exposed_ports: Option<Exposed>,
    pub(super) labels: Option<Labels>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) network_mode: Option<String>,
    /// What it publishes while it runs, known of one that is stopped too.
    pub(super) port_bindings: Option<Ports>,
    auto_remove: Option<bool>,
    restart_policy: Option<RestartPolicy>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: Option<String>,
}

impl State {
    /// Whether its process is there: Podman does not call it running any more when its stop has begun.
    fn runs(&self) -> bool {
        self.running || self.status == "stopping"
    }
}

impl Container {
    /// What it is called, as people write it; its id where nothing is known.
    pub fn name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or(&self.id);
        name.strip_prefix('/').unwrap_or(name)
    }

    /// Whether it was meant by `name`: the engine also takes the first digits of an id for one, and a sidecar called `db`
    /// shall not wake a stranger.
    pub fn is_called(&self, name: &str) -> bool {
        means(name, self.name(), &self.id)
    }

    /// Running and able to answer: not frozen, not between two tries of its restart policy.
    pub fn is_running(&self) -> bool {
        self.state.runs() && !self.state.paused && !self.is_restarting()
    }

    /// Frozen; the engine calls that running too.
    pub fn is_paused(&self) -> bool {
        self.state.paused
    }

    /// Between two tries of its restart policy; Docker calls that running too, though nothing runs. Podman calls whatever has
    /// just ended stopped, and cleans up before it tries again or calls it exited.
    pub fn is_restarting(&self) -> bool {
        self.state.restarting
            || (self.state.status == "stopped" && self.restart_policy().is_some() && self.has_just_ended())
    }

    /// Whether its last run has ended within the time in which another one may follow by itself.
    fn has_just_ended(&self) -> bool {
        let finished = self.state.finished_at.as_deref().and_then(time);
        // A clock that was set back counts as no time passed.
        finished.is_some_and(|end| SystemTime::now() < end + CLEANED_UP)
    }

    /// How often its restart policy has started it since it was started by a call.
    pub fn restarts(&self) -> u32 {
        self.restart_count.unwrap_or_default()
    }

    /// How many of these belong to the past: none of those that have led into a loop in which it is now, all of them else.
    pub fn restarts_before(&self) -> u32 {
        let moment = |text: &Option<String>| text.as_deref().and_then(time);
        let lasted = moment(&self.state.finished_at)
            .zip(moment(&self.state.started_at))
            .and_then(|(finished, started)| finished.duration_since(started).ok());
        let in_loop = self.is_restarting() && lasted.is_some_and(|lasted| lasted < NO_TRY);
        if in_loop { 0 } else { self.restarts() }
    }

    /// Awake or paused, as far as the engine is concerned: what a stop would end.
    pub fn is_up(&self) -> bool {
        self.state.runs() || self.state.paused || self.is_restarting()
    }

    /// When it was last started; tells one run of it from the next.
    pub fn started_at(&self) -> &str {
        self.state.started_at.as_deref().unwrap_or_default()
    }

    /// Where the log of its last run begins: a second before `StartedAt`, but not before the log of the run before has ended.
    /// `None` if it has never run.
    pub fn log_since(&self) -> Option<SystemTime> {
        let started = time(self.started_at())?;
        let since = started.checked_sub(HEAD_START)?;
        let finished = self.state.finished_at.as_deref().and_then(time);
        // Once it has ended, this is the end of the same run.
        let before =
            finished.filter(|finished| *finished <= started).and_then(|end| end.checked_add(AFTERMATH));
        Some(before.map_or(since, |before| before.min(started).max(since)))
    }

    /// Whether its restart policy is `always`: the engine starts it when it starts itself, also after a stop by hand.
    pub fn restarts_always(&self) -> bool {
        self.restart_policy() == Some("always")
    }

    /// Its restart policy, where it has one.
    fn restart_policy(&self) -> Option<&str> {
        let policy = self.host_config.as_ref()?.restart_policy.as_ref()?;
        policy.name.as_deref().filter(|name| !["", "no"].contains(name))
    }

    /// Whether the engine deletes it when it has stopped (`docker run --rm`).
    pub fn is_deleted_when_stopped(&self) -> bool {
        self.host_config.as_ref().and_then(|host| host.auto_remove).unwrap_or_default()
    }

    /// Whether somebody who sends it this signal means to end it: all do but those that programs take for other things, and
    /// these do too where one is its own STOPSIGNAL.
    pub fn is_ended_by(&self, signal: u32) -> bool {
        let other = [(1, "HUP"), (10, "USR1"), (12, "USR2"), (28, "WINCH")];
        let Some((number, name)) = other.iter().find(|(number, _)| *number == signal) else { return true };
        let own = self.config.as_ref().and_then(|config| config.stop_signal.as_deref()).unwrap_or_default();
        own.strip_prefix("SIG").unwrap_or(own) == *name || own == number.to_string()
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
            // The engine says so too when a child was killed and the main process went on to end by itself.
            text.push_str(match code {
                137 => ", killed for want of memory (OOM)",
                _ => ", one of its processes was killed for want of memory (OOM)",
            });
        } else if let Some(signal) = code.checked_sub(128).filter(|signal| (1..=64).contains(signal)) {
            text.push_str(&format!(", signal {signal}"));
        }
        if let Some(error) = self.state.error.as_deref().filter(|error| !error.is_empty()) {
            text.push_str(&format!(", {error}"));
        }
        text
    }
}

/// Whether somebody who says `name` means the container that is called `own` and has this id.
pub(super) fn means(name: &str, own: &str, id: &str) -> bool {
    own == name || (name.len() >= SHORT_ID && id.starts_with(name))
}

/// A time as engines write it (RFC 3339): Docker in UTC, Podman in its own time zone. `None` for the year 1, their "never".
fn time(text: &str) -> Option<SystemTime> {
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(text).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let minutes = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    let ahead = Duration::from_secs(minutes * 60);
    match offset.as_bytes().first()? {
        b'+' => local.checked_sub(ahead),
        b'-' => local.checked_add(ahead),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Container, time};

    fn container(state: &str) -> Container {
        serde_json::from_str(&format!(r#"{{"Id":"abc","State":{state}}}"#)).unwrap()
    }

    #[test]
    fn an_ending_names_signal_and_memory() {
        let end = |state: &str| container(state).ending();
        assert_eq!(end(r#"{"ExitCode":3,"Error":""}"#), "exit code 3");
        assert_eq!(end(r#"{"ExitCode":143}"#), "exit code 143, signal 15");
        assert_eq!(end(r#"{"ExitCode":137}"#), "exit code 137, signal 9");
        assert_eq!(
            end(r#"{"ExitCode":137,"OOMKilled":true}"#),
            "exit code 137, killed for want of memory (OOM)"
        );
        let child = "exit code 3, one of its processes was killed for want of memory (OOM)";
        assert_eq!(end(r#"{"ExitCode":3,"OOMKilled":true}"#), child);
        assert_eq!(end(r#"{"ExitCode":127,"Error":"no such file"}"#), "exit code 127, no such file");
    }

    #[test]
    fn the_log_of_a_run_begins_a_second_before_it_but_after_the_run_before() {
        let since = |started: &str, finished: &str| {
            let state = format!(r#"{{"StartedAt":"{started}","FinishedAt":"{finished}"}}"#);
            container(&state).log_since().map(|since| humantime::format_rfc3339(since).to_string())
        };
        let never = "0001-01-01T00:00:00Z";
        let started = "2026-11-23T07:07:01.706331451Z";
        assert_eq!(since(never, never), None);
        assert_eq!(since(started, never).unwrap(), "2026-11-23T07:07:00.706331451Z");
        assert_eq!(since(started, "2026-11-23T06:00:00Z").unwrap(), "2026-11-23T07:07:00.706331451Z");
        assert_eq!(since(started, "2026-11-23T07:07:01.5Z").unwrap(), "2026-11-23T07:07:01.600000000Z");
        assert_eq!(since(started, "2026-11-23T07:07:01.7Z").unwrap(), started);
        assert_eq!(since(started, "2026-11-23T07:07:01.8Z").unwrap(), "2026-11-23T07:07:00.706331451Z");
        assert_eq!(container("{}").log_since(), None);
    }

    #[test]
    fn times_of_other_zones_are_understood() {
        let utc = time("2026-11-23T07:07:01.706331451Z").unwrap();
        assert_eq!(time("2026-11-23T09:07:01.706331451+02:00"), Some(utc));
        assert_eq!(time("2026-11-23T01:37:01.706331451-05:30"), Some(utc));
        assert_eq!(time("2026-11-23T07:07:01Z"), Some(utc - Duration::from_nanos(706_331_451)));
        for text in ["", "Z", "+02:00", "2026-11-23", "0001-01-01T00:00:00+00:00"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_pause_does_not_make_a_healthy_container_unhealthy() {
        let health = |health: &str| container(&format!(r#"{{"Health":{health}}}"#)).is_healthy();
        assert!(health(r#"{"Status":"healthy","FailingStreak":0,"Log":[]}"#));
        assert!(health(r#"{"Status":"unhealthy","FailingStreak":0,"Log":[{"ExitCode":1},{"ExitCode":0}]}"#));
        assert!(!health(r#"{"Status":"unhealthy","FailingStreak":3,"Log":[{"ExitCode":0},{"ExitCode":1}]}"#));
        assert!(!health(r#"{"Status":"unhealthy","FailingStreak":0,"Log":[{"ExitCode":1}]}"#));
        assert!(!health(r#"{"Status":"unhealthy","FailingStreak":0,"Log":null}"#));
        assert!(!health(r#"{"Status":"starting","FailingStreak":0,"Log":[{"ExitCode":0}]}"#));
    }

    #[test]
    fn restarts_after_short_runs_count_while_it_is_between_two_of_them() {
        let before = |restarting: bool, finished: &str| {
            let state = format!(
                r#"{{"Running":true,"Restarting":{restarting},"StartedAt":"2026-11-23T07:07:01Z","FinishedAt":"{finished}"}}"#
            );
            let text = format!(r#"{{"Id":"abc","RestartCount":7,"State":{state}}}"#);
            serde_json::from_str::<Container>(&text).unwrap().restarts_before()
        };
        assert_eq!(before(true, "2026-11-23T07:07:03Z"), 0);
        assert_eq!(before(true, "2026-11-23T07:08:01Z"), 7);
        assert_eq!(before(false, "2026-11-23T07:07:00Z"), 7);
    }

    #[test]
    fn a_signal_for_something_else_is_meant_to_end_it_only_as_its_stopsignal() {
        let ended = |own: &str, signal| {
            let text = format!(r#"{{"Id":"abc","State":{{}},"Config":{{"StopSignal":"{own}"}}}}"#);
            serde_json::from_str::<Container>(&text).unwrap().is_ended_by(signal)
        };
        assert!(ended("SIGTERM", 15) && ended("SIGTERM", 9) && ended("SIGRTMIN+3", 37));
        assert!(!ended("SIGTERM", 1) && !ended("", 28) && !ended("SIGWINCH", 10));
        assert!(ended("SIGWINCH", 28) && ended("USR1", 10) && ended("12", 12));
    }

    #[test]
    fn what_podman_stops_runs_until_it_has_ended() {
        let stopping = container(r#"{"Status":"stopping","Running":false}"#);
        assert!(stopping.is_running() && stopping.is_up() && !stopping.is_restarting());
        assert!(!container(r#"{"Status":"exited","Running":false}"#).is_up());
    }

    #[test]
    fn what_has_just_ended_with_podman_is_between_two_tries_where_it_has_a_restart_policy() {
        let stopped = |policy: &str, ago: u64| {
            let policy = format!(r#""HostConfig":{{"RestartPolicy":{{"Name":"{policy}"}}}}"#);
            let end = humantime::format_rfc3339(SystemTime::now() - Duration::from_secs(ago));
            let state = format!(r#"{{"Status":"stopped","FinishedAt":"{end}"}}"#);
            serde_json::from_str::<Container>(&format!(r#"{{"Id":"abc","State":{state},{policy}}}"#)).unwrap()
        };
        for policy in ["always", "on-failure", "unless-stopped"] {
            assert!(stopped(policy, 0).is_restarting() && stopped(policy, 0).is_up(), "{policy}");
            assert!(!stopped(policy, 60).is_up(), "{policy}: nobody cleans up after it any more");
        }
        assert!(!stopped("", 0).is_up() && !stopped("no", 0).is_up());
    }

    #[test]
    fn only_the_policy_always_restarts_always() {
        let policy = |name: &str| {
            let text = format!(
                r#"{{"Id":"abc","State":{{}},"HostConfig":{{"RestartPolicy":{{"Name":"{name}","MaximumRetryCount":0}}}}}}"#
            );
            serde_json::from_str::<Container>(&text).unwrap().restarts_always()
        };
        assert!(policy("always"));
        assert!(!policy("unless-stopped") && !policy("on-failure") && !policy("no") && !policy(""));
    }
}
