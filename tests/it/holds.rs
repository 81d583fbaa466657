//! Who holds a sidecar wakes it and keeps it awake.

use std::time::Duration;

use crate::harness::{Container, Control, Kind, Plan};

#[test]
fn a_hold_wakes_keeps_awake_and_its_end_counts_as_use() {
    let folder = tempfile::tempdir().unwrap();
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", "idle_timeout = \"500ms\"")).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").listen();
    let control = Control::new(folder.path(), "web");
    let kept = control.hold("somebody");
    assert_eq!(web.status(), "running");
    host.never("web", "slept", Duration::from_secs(2));
    let ended = host.now();
    drop(kept);
    host.event("web", "slept");
    let after = host.at("web", "slept", 0) - ended;
    assert!(after > Duration::from_millis(450), "slept {after:?} after the end of the hold");
    assert!(host.exit().success());
}
