//! What many tests begin with.

use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;
use super::container::Container;
use super::host::Host;
use super::listener::Kind;
use super::plan::Plan;
use super::recorder::{Action, Recorder};

/// A host of `config`, with a TCP socket for `web`, that reaches the engine through a recorder in a folder: in the order in
/// which they may be declared, the last one being dropped first.
pub fn behind_recorder(config: &str) -> (TempDir, Recorder, Host) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let host = Plan::with_engine(recorder.path(), config).socket("web", Kind::Tcp4).listen();
    (dir, recorder, host)
}

/// A sidecar with `keys` whose engine never hears `call`, the first that it is asked for, and vanishes: the folder in which
/// its socket may come back, the host, a client that was answered, and what `who` told it.
#[track_caller]
pub fn engine_vanishes_in(
    call: &'static str,
    web: &Container,
    keys: &str,
) -> (TempDir, Host, Client, String) {
    let (dir, engine, host) = behind_recorder(&web.sidecar("web", &format!("{keys}\nbusy_cpu = 0")));
    engine.rule(call, Action::HoldCall(Duration::from_secs(60)));
    let mut client = host.connect("web");
    let who = client.ask("who");
    engine.asked(call, 0);
    drop(engine);
    host.event("web", "engine-unreachable");
    (dir, host, client, who)
}
