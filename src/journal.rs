//! Events: to journald as structured fields, elsewhere as readable lines on stderr.
//!
//! Every event is one entry with a MESSAGE_ID of its own, so that `journalctl MESSAGE_ID=…` and the catalog find it.

use std::env;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use crate::name::Name;

/// Events and messages of this target are rouse's own; dependencies may not add fields to the journal.
const TARGET: &str = "rouse";

/// What can happen to a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client came and the container is being started.
    Waking,
    /// The container answers.
    Ready,
    /// `wake_timeout` has passed and the clients are let through all the same.
    Late,
    /// The waiting clients were reset.
    WakeFailed,
    /// The container was frozen for idleness, or by somebody's hand.
    Paused,
    /// The container runs on after a pause.
    Unpaused,
    /// The container was stopped for idleness.
    Slept,
    /// The container was stopped because another of its group is needed.
    Yielded,
    /// The container ended by itself or by somebody else's hand.
    Died,
    /// A running container was found and is looked after from now on.
    Adopted,
    /// The engine does not answer.
    EngineUnreachable,
    /// The sidecar's configuration cannot be used.
    ConfigRejected,
}

impl Kind {
    /// The value of ROUSE_EVENT, and the word in the line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Waking => "waking",
            Kind::Ready => "ready",
            Kind::Late => "late",
            Kind::WakeFailed => "wake-failed",
            Kind::Paused => "paused",
            Kind::Unpaused => "unpaused",
            Kind::Slept => "slept",
            Kind::Yielded => "yielded",
            Kind::Died => "died",
            Kind::Adopted => "adopted",
            Kind::EngineUnreachable => "engine-unreachable",
            Kind::ConfigRejected => "config-rejected",
        }
    }

    /// The value of MESSAGE_ID (`systemd-id128 new`): fixed for ever, since filters and the catalog rely on it.
    fn message_id(self) -> &'static str {
        match self {
            Kind::Waking => "38e2858ce1d944d9beecea34598446c2",
            Kind::Ready => "82da14a0fdfe47b2a901ac2ea3ab9799",
            Kind::Late => "771e03a2b8f344a6a0dafaaa2976f064",
            Kind::WakeFailed => "9a2a91158ec94a8c90ce129b96cdf4bd",
            Kind::Paused => "cd959bc2fe36480bb8d503a7475978cf",
            Kind::Unpaused => "944dcd4e006147d3a58bbc69ccdee86e",
            Kind::Yielded => "92d933804f8f468887613f2a13f9008c",
            Kind::Slept => "1f4c8e846e68442a912fddd4994651b6",
            Kind::Died => "720e9b65d6fb44b383bbbf50ca0e5736",
            Kind::Adopted => "51da1009d37b4ef7a5acafb31cb8b3a4",
            Kind::EngineUnreachable => "b20e5afab1fd4fdfb5edc334f6fcf4cb",
            Kind::ConfigRejected => "76d55084fad94a39b38a42d23df4a666",
        }
    }

    fn level(self) -> Level {
        match self {
            Kind::Waking
            | Kind::Ready
            | Kind::Paused
            | Kind::Unpaused
            | Kind::Slept
            | Kind::Yielded
            | Kind::Adopted => Level::INFO,
            Kind::Late => Level::WARN,
            Kind::WakeFailed | Kind::Died | Kind::EngineUnreachable | Kind::ConfigRejected => Level::ERROR,
        }
    }
}

/// One event; the fields that it has.
#[derive(Debug, Default)]
pub struct Details<'a> {
    /// ROUSE_CONTAINER
    pub container: Option<&'a str>,
    /// ROUSE_DURATION_MS
    pub duration: Option<Duration>,
    /// ROUSE_CONNECTIONS
    pub connections: Option<u64>,
    /// ROUSE_BYTES_UP
    pub bytes_up: Option<u64>,
    /// ROUSE_BYTES_DOWN
    pub bytes_down: Option<u64>,
    /// ROUSE_REASON
    pub reason: Option<&'a str>,
}

/// Writes one event. `text` continues the line `NAME: EVENT: `.
pub fn event(kind: Kind, sidecar: &Name, details: &Details<'_>, text: fmt::Arguments<'_>) {
    macro_rules! entry {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                message_id = kind.message_id(),
                rouse_event = kind.name(),
                rouse_sidecar = sidecar.as_str(),
                rouse_container = details.container,
                rouse_duration_ms = details.duration.map(|duration| duration.as_millis() as u64),
                rouse_connections = details.connections,
                rouse_bytes_up = details.bytes_up,
                rouse_bytes_down = details.bytes_down,
                rouse_reason = details.reason,
                "{sidecar}: {}: {text}",
                kind.name()
            )
        };
    }
    match kind.level() {
        Level::ERROR => entry!(Level::ERROR),
        Level::WARN => entry!(Level::WARN),
        _ => entry!(Level::INFO),
    }
}

/// Something an admin should mend, though nothing has failed.
pub fn warn(sidecar: &Name, text: fmt::Arguments<'_>) {
    tracing::warn!(target: TARGET, rouse_sidecar = sidecar.as_str(), "{sidecar}: {text}");
}

/// What only somebody who looks for a fault wants to read; shown with `ROUSE_LOG=debug`.
pub fn debug(sidecar: &Name, text: fmt::Arguments<'_>) {
    tracing::debug!(target: TARGET, rouse_sidecar = sidecar.as_str(), "{sidecar}: {text}");
}

/// Sends events to journald where stderr is the journal, to stderr elsewhere.
pub fn open() {
    let most =
        if env::var("ROUSE_LOG").is_ok_and(|level| level == "debug") { Level::DEBUG } else { Level::INFO };
    let ours = move |metadata: &Metadata<'_>| metadata.target() == TARGET && *metadata.level() <= most;
    let journald = if stderr_is_journal() { tracing_journald::layer().ok() } else { None };
    // A second call, as in a test, leaves the first one in force.
    let _ = match journald {
        Some(layer) => {
            let layer = layer
                .with_field_prefix(None)
                .with_syslog_identifier("rouse".into())
                .with_priority_mappings(PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    ..PriorityMappings::new()
                })
                .with_filter(filter_fn(ours));
            tracing::subscriber::set_global_default(registry().with(layer))
        }
        None => tracing::subscriber::set_global_default(registry().with(Lines.with_filter(filter_fn(ours)))),
    };
}

/// JOURNAL_STREAM names the device and inode of the journal's stream; systemd.exec(5) asks to compare them, since the
/// variable is inherited also by processes whose stderr was redirected.
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr())
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// One line on stderr for each entry: its message, without time or colour, which the reader of stderr adds.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}\n");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        // A closed stderr must not end the helper.
        let _ = std::io::stderr().write_all(message.0.as_bytes());
    }
}

/// A time that something took, as one reads it best.
pub fn took(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..10_000 => format!("{millis} ms"),
        millis => humantime::format_duration(Duration::from_secs(millis.div_euclid(1000) as u64)).to_string(),
    }
}

/// Somebody else's lines below a message of ours; nothing for none.
pub fn quote(log: &str) -> String {
    log.lines().map(|line| format!("\n  | {}", line.trim_end())).collect()
}
