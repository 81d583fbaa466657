//! What many tests begin with.

use tempfile::TempDir;

use super::host::Host;
use super::listener::Kind;
use super::plan::Plan;
use super::recorder::Recorder;

/// A host of `config`, with a TCP socket for `web`, that reaches the engine through a recorder in a folder: in the order in
/// which they may be declared, the last one being dropped first.
pub fn behind_recorder(config: &str) -> (TempDir, Recorder, Host) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let host = Plan::with_engine(recorder.path(), config).socket("web", Kind::Tcp4).listen();
    (dir, recorder, host)
}
