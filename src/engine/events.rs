//! The engine's stream of what happens to one container.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::call::Call;
use super::docker::escape;
use super::inspect::means;
use super::{Docker, Error};

/// An event is a few hundred bytes; a line that long is not one.
const MAX_LINE: usize = 1 << 20;

/// What ends a container where the engine does not say by which signal (signal(7)).
const SIGTERM: u32 = 15;
/// How whoever is asked to end ends: in order, or by SIGINT, SIGKILL or SIGTERM.
const IN_ORDER: [&str; 4] = ["0", "130", "137", "143"];

/// The events that rouse acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its process runs.
    Started,
    /// Its process has ended; as one ends that is asked to, where the engine does not tell of a stop before.
    Died {
        /// Somebody may have stopped it.
        as_asked: bool,
    },
    /// The engine has cleaned up after it.
    Cleaned,
    /// Its HEALTHCHECK has passed.
    Healthy,
    /// It was frozen.
    Paused,
    /// It was thawed.
    Unpaused,
    /// Somebody has sent it a signal, be it to stop it: a death that follows is no crash. Podman does not say which signal, and
    /// tells nothing of most stops.
    Killed(u32),
    /// It got this name, or lost it.
    Renamed,
    /// It is gone for good.
    Removed,
}

/// One subscription.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    container: String,
    id: Option<String>,
}

/// The parts of an event that rouse reads.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: String,
    #[serde(default)]
    actor: Actor,
    /// Podman's, whose action is the bare `health_status`.
    health_status: Option<String>,
}

#[derive(Default, Deserialize)]
struct Actor {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default)]
    name: String,
    /// With a rename: the name until then, with a slash before it.
    #[serde(rename = "oldName")]
    old_name: Option<String>,
    /// With a kill: its number, which Podman leaves out.
    signal: Option<String>,
    /// With a death.
    #[serde(rename = "exitCode")]
    exit_code: Option<String>,
    /// Podman's; empty for a container in no pod.
    #[serde(rename = "podId")]
    pod_id: Option<String>,
}

impl Events {
    /// Subscribes to what happens from now on to the container of this name, and to the one of this id.
    pub async fn open(engine: &Docker, container: &str, id: Option<String>) -> Result<Events, Error> {
        let wanted: Vec<&str> = [Some(container), id.as_deref()].into_iter().flatten().collect();
        let filters = format!(r#"{{"type":["container"],"container":["{}"]}}"#, wanted.join(r#"",""#));
        let body = engine.stream(Call::Events(&format!("filters={}", escape(&filters)))).await?;
        Ok(Events { body, buffer: Vec::new(), container: container.to_owned(), id })
    }

    /// The next event that rouse acts on. Cancelling it loses none.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let garbled = |what: String| Error::Garbled { call: "GET /events".into(), what };
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let line: Line = serde_json::from_slice(&line).map_err(|error| garbled(error.to_string()))?;
                // Docker's filter also takes every container whose name begins with the one asked for.
                if line.actor.is_meant(&self.container, self.id.as_deref())
                    && let Some(event) = line.event()
                {
                    return Ok(event);
                }
                continue;
            }
            if self.buffer.len() > MAX_LINE {
                return Err(garbled("an endless line".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return Err(garbled(error.to_string())),
                None => return Err(garbled("the stream has ended".into())),
            }
        }
    }
}

impl Actor {
    fn is_meant(&self, container: &str, id: Option<&str>) -> bool {
        let Attributes { name, old_name, .. } = &self.attributes;
        let old_name = old_name.as_deref().and_then(|name| name.strip_prefix('/'));
        id == Some(&self.id) || means(container, name, &self.id) || old_name == Some(container)
    }
}

impl Line {
    fn event(&self) -> Option<Event> {
        let attributes = &self.actor.attributes;
        let is_podman = attributes.pod_id.is_some();
        match self.action.as_str() {
            "start" => Some(Event::Started),
            "die" | "died" => {
                let code = attributes.exit_code.as_deref();
                Some(Event::Died { as_asked: is_podman && code.is_some_and(|code| IN_ORDER.contains(&code)) })
            }
            "cleanup" => Some(Event::Cleaned),
            "health_status: healthy" => Some(Event::Healthy),
            "health_status" if self.health_status.as_deref() == Some("healthy") => Some(Event::Healthy),
            "pause" => Some(Event::Paused),
            "unpause" => Some(Event::Unpaused),
            "kill" => match &attributes.signal {
                Some(signal) => Some(Event::Killed(signal.parse().ok()?)),
                None => Some(Event::Killed(SIGTERM)),
            },
            // Docker tells of the signal first; its `stop` comes after the death and is no news.
            "stop" if is_podman => Some(Event::Killed(SIGTERM)),
            "rename" => Some(Event::Renamed),
            "destroy" | "remove" => Some(Event::Removed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Line};

    const ID: &str = "34f9250a7d979689e3385afe4f2fd57c5d4d3eee0266fb0f49b7388be5a940ac";

    fn line(action: &str, attributes: &str, more: &str) -> Line {
        let text = format!(
            r#"{{"status":"x","id":"{ID}","from":"debian","Type":"container","Action":"{action}","Actor":{{"ID":"{ID}",
                "Attributes":{{"image":"debian"{attributes}}}}},"scope":"local","time":1,"timeNano":1000000001{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn both_engines_names_are_known() {
        let docker = |action: &str| line(action, r#","name":"web""#, "").event();
        assert_eq!(docker("start"), Some(Event::Started));
        assert_eq!(docker("die"), Some(Event::Died { as_asked: false }));
        let died = |code: &str| line("die", &format!(r#","name":"web","exitCode":"{code}""#), "").event();
        assert_eq!(died("0"), Some(Event::Died { as_asked: false }), "Docker tells of a stop before");
        assert_eq!(docker("pause"), Some(Event::Paused));
        assert_eq!(docker("unpause"), Some(Event::Unpaused));
        assert_eq!(line("kill", r#","name":"web","signal":"9""#, "").event(), Some(Event::Killed(9)));
        assert_eq!(docker("rename"), Some(Event::Renamed));
        assert_eq!(docker("destroy"), Some(Event::Removed));
        assert_eq!(docker("health_status: healthy"), Some(Event::Healthy));
        for other in
            ["stop", "restart", "health_status: unhealthy", "health_status", "exec_die", "exec_start: sh"]
        {
            assert_eq!(docker(other), None, "{other}");
        }
        let podman = |action: &str, more: &str| line(action, r#","name":"web","podId":"""#, more).event();
        assert_eq!(podman("died", ""), Some(Event::Died { as_asked: false }));
        let died = |code: &str| line("die", &format!(r#","podId":"","exitCode":"{code}""#), "").event();
        for code in ["0", "143", "137"] {
            assert_eq!(died(code), Some(Event::Died { as_asked: true }), "{code}");
        }
        assert_eq!(died("3"), Some(Event::Died { as_asked: false }));
        assert_eq!(podman("cleanup", ""), Some(Event::Cleaned));
        assert_eq!(podman("kill", ""), Some(Event::Killed(15)));
        assert_eq!(podman("remove", ""), Some(Event::Removed));
        assert_eq!(podman("stop", ""), Some(Event::Killed(15)));
        assert_eq!(podman("health_status", r#","HealthStatus":"healthy""#), Some(Event::Healthy));
        assert_eq!(podman("health_status", r#","HealthStatus":"unhealthy""#), None);
    }

    #[test]
    fn strangers_are_told_apart() {
        let of = |name: &str| line("die", &format!(r#","name":"{name}""#), "").actor;
        assert!(of("web").is_meant("web", None));
        assert!(!of("web2").is_meant("web", None));
        assert!(!of("34f9").is_meant("34", None));
        assert!(of("other").is_meant("34f9250a7d97", None), "the configuration names an id");
        assert!(of("other").is_meant("web", Some(ID)));
        assert!(!of("other").is_meant("web", Some("34f9250a7d97")));
        let renamed = line("rename", r#","name":"other","oldName":"/web""#, "").actor;
        assert!(renamed.is_meant("web", None) && !renamed.is_meant("we", None));
    }
}
