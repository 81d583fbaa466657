//! What systemd is told, and when.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Container, Facts, Kind, Plan};

#[test]
fn ready_comes_before_anything_is_asked_of_the_engine() {
    let config = "[sidecar.web]\ncontainer = \"web\"\nport = 80\n";
    let host =
        Plan::with_engine(Path::new("/nonexistent/engine.sock"), config).socket("web", Kind::Tcp4).boot();
    host.note("READY=1");
    let took = host.look(|facts| facts.noted("READY=1")[0].0 - facts.starts[0]);
    assert!(took < Duration::from_millis(500), "READY=1 after {took:?}");
}

#[test]
fn a_helper_with_nothing_to_do_is_ready_and_then_ends() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).boot();
    assert!(host.exit().success());
    host.note("READY=1");
    host.note("STOPPING=1");
    assert!(host.wait_for(Duration::from_millis(500), |facts| facts.starts.get(1).copied()).is_none());
}

#[test]
fn the_status_tells_the_whole_life() {
    let web = Container::new("web", "--listen-after 0.3");
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"300ms\"")).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").ask("echo one"), "one");
    assert!(host.exit().success());
    let last = host.wait("STOPPING=1", |facts| facts.noted("STOPPING=1").first().cloned());
    let mut statuses = host.look(|facts| facts.noted("STATUS="));
    statuses.dedup_by(|one, other| one.1 == other.1);
    let waking = statuses.iter().filter(|(at, _)| *at < host.at("web", "ready", 0));
    assert!(waking.count() >= 1, "no status while it wakes");
    assert!(statuses.len() >= 4, "waking, serving, going to sleep, asleep: {statuses:?}");
    let asleep = &statuses.last().unwrap().1;
    assert!(asleep.contains("asleep"), "the last one reads {asleep:?}");
    assert!(statuses.last().unwrap().0 <= last.0 + Duration::from_millis(100));
}

#[test]
fn the_watchdog_hears_of_it_at_half_its_time() {
    let web = Container::new("web", "--listen-after 0.5");
    let plan = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4);
    let host = plan.env("WATCHDOG_USEC", "400000").listen();
    assert_eq!(host.connect("web").ask("echo one"), "one");
    let beats = host.wait("eight beats", |facts: &Facts| {
        Some(facts.noted("WATCHDOG=1")).filter(|beats| beats.len() >= 8)
    });
    for pair in beats.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!(gap < Duration::from_millis(400), "{gap:?} between two beats of a watchdog of 400 ms");
    }
    let mean = (beats[7].0 - beats[0].0) / 7;
    assert!(mean > Duration::from_millis(150) && mean < Duration::from_millis(300), "a beat every {mean:?}");
}
