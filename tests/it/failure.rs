//! Wakes that fail: how often, in which words, and what counts as no failure yet.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Container, End, Kind, Plan, Rule, SERVERS, behind_recorder, is_podman, skip, until,
};

/// A server that ends after a moment as often as this, and then serves.
fn ends_at_first(times: usize, policy: &str) -> Container {
    let script = format!(
        "echo try >>/tmp/tries; sleep 0.2; if [ $(wc -l </tmp/tries) -le {times} ]; then echo no model yet; exit 3; fi; \
         exec python3 /servers.py"
    );
    Container::running("web", &["--volume", SERVERS, "--restart", policy], &["bash", "-c", &script])
}

#[test]
fn retries_are_spaced_out_and_meanwhile_clients_are_reset_at_once_without_a_call() {
    let web = Container::new("web", "--die-after 0.1");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    let begun = Instant::now();
    let mut quickly = 0;
    let mut clients = 0;
    // Four attempts: at 0, 1, 3 and 7 s, each with the time that the container takes to die.
    while host.count("web", "wake-failed") < 4 {
        assert!(begun.elapsed() < Duration::from_secs(40), "four attempts take no longer");
        let came = Instant::now();
        assert_eq!(host.connect("web").end(), End::Reset);
        clients += 1;
        quickly += usize::from(came.elapsed() < Duration::from_millis(100));
        thread::sleep(Duration::from_millis(20));
    }
    let starts = recorder.calls("POST /start");
    assert_eq!(starts.len(), 4, "one start for each failure");
    let failed = host.look(|facts| facts.events("web", "wake-failed"));
    for (number, (_, line)) in failed.iter().enumerate() {
        let next = format!("next try in {} ms", 1000 << number);
        assert!(line.contains(&next), "{next:?} is not in {line:?}");
    }
    for (number, pair) in starts.windows(2).enumerate() {
        let pause = Duration::from_secs(1 << number);
        let gap = pair[1].asked - pair[0].asked;
        assert!(gap > pause && gap < pause + Duration::from_secs(4), "{gap:?} after failure {number}");
        // Within the window, which begins once the failure is known.
        let from = pair[1].asked - pause + Duration::from_millis(50);
        let until = pair[1].asked - Duration::from_millis(300);
        let calls: Vec<_> =
            recorder.all().into_iter().filter(|call| call.asked > from && call.asked < until).collect();
        assert!(calls.is_empty(), "{calls:?} in a window without calls");
    }
    assert!(quickly * 10 > clients * 8, "only {quickly} of {clients} clients were reset at once");
}

#[test]
fn a_wake_that_succeeds_makes_the_next_failure_the_first_one_again() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"300ms\""));
    recorder.rule("POST /start", Action::Refuse(500, "not now"));
    for number in 0..2 {
        until("one more failure", || {
            assert_eq!(host.connect("web").end(), End::Reset);
            (host.count("web", "wake-failed") > number).then_some(())
        });
    }
    assert!(host.event_nth("web", "wake-failed", 1).contains("next try in 2000 ms"));
    recorder.rules(Vec::new());
    host.served_again("web");
    host.event("web", "slept");
    recorder.rule("POST /start", Action::Refuse(500, "not again"));
    until("a third failure", || {
        assert_eq!(host.connect("web").end(), End::Reset);
        (host.count("web", "wake-failed") > 2).then_some(())
    });
    assert!(host.event_nth("web", "wake-failed", 2).contains("next try in 1000 ms"));
}

#[test]
fn a_container_that_its_restart_policy_starts_twice_before_it_comes_up_is_waited_for() {
    for policy in ["always", "on-failure:5"] {
        let web = ends_at_first(2, policy);
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"500ms\""));
        assert_eq!(host.connect("web").ask("echo at the third try"), "at the third try", "{policy}");
        assert_eq!(host.count("web", "wake-failed"), 0);
        assert_eq!(recorder.calls("POST /start").len(), 1);
        host.event("web", "slept");
        assert_eq!(web.status(), "exited");
    }
}

#[test]
fn a_container_that_ends_three_times_in_one_wake_is_in_a_crash_loop_and_named_so() {
    let web = ends_at_first(1000, "always");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let begun = Instant::now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "given up only after {took:?}");
    let ends = web.logs().matches("no model yet").count();
    assert!(ends >= 3, "given up after {ends}");
    let line = host.event("web", "wake-failed");
    // Podman tries again at once, and tells how a run has ended only until the next one.
    let ending = if is_podman() && line.contains("it runs again") { "for the moment" } else { "exit code 3" };
    assert!(line.contains("over and over") && line.contains(ending), "{line:?}");
    host.says("no model yet");
}

#[test]
fn a_container_found_in_a_crash_loop_is_given_up_at_once() {
    if is_podman() {
        return skip("Podman's restart policy makes no pauses");
    }
    let web = ends_at_first(1000, "always");
    web.start();
    // The policy's pauses double from 100 ms: after so many ends it mostly pauses.
    until("six ends", || (web.inspect("{{.RestartCount}}").parse::<u32>().unwrap() >= 6).then_some(()));
    until("a pause", || (web.inspect("{{.State.Restarting}}") == "true").then_some(()));
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    let begun = Instant::now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "given up only after {took:?}");
    assert!(host.event("web", "wake-failed").contains("over and over"));
    assert!(recorder.calls("POST /start").is_empty(), "it counts as running");
}

#[test]
fn a_crash_while_it_serves_is_waited_out_where_a_restart_policy_starts_it_again() {
    let web = Container::with("web", &["--restart", "always"], "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    let mut first = host.connect("web").ask("who");
    // The policy pauses for 100 ms after the first end, for 200 ms after the second one.
    for _ in 0..2 {
        let mut open = host.connect("web");
        open.ask("echo open");
        web.end_by_itself();
        assert_ne!(open.end(), End::Open);
        let second = host.served_again("web");
        assert_ne!(first.split(' ').next(), second.split(' ').next());
        first = second;
    }
    assert_eq!(host.count("web", "wake-failed"), 0);
    assert_eq!(recorder.calls("POST /start").len(), 1, "its policy has started it, not rouse");
}

#[test]
fn a_container_that_dies_for_want_of_memory_at_start_is_said_to() {
    let eat = "b = b'x' * (1 << 28); print(len(b))";
    let options = ["--memory", "32m", "--memory-swap", "32m"];
    let web = Container::running("web", &options, &["python3", "-c", eat]);
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").end(), End::Reset);
    let line = host.event("web", "wake-failed");
    assert!(line.contains("137"), "{line:?}");
    if is_podman() && web.inspect("{{.State.OOMKilled}}") == "false" {
        return skip("Podman has not noticed that memory was short");
    }
    assert!(line.contains("OOM"), "{line:?}");
}

#[test]
fn a_container_that_dies_for_want_of_memory_while_it_serves_is_said_to_and_woken_again() {
    let web = Container::with("web", &["--memory", "64m", "--memory-swap", "64m"], "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    assert_eq!(client.ask("eat 1"), "full");
    client.try_ask("eat 500").unwrap_err();
    let line = host.event("web", "died");
    assert!(line.contains("137"), "{line:?}");
    if is_podman() && web.inspect("{{.State.OOMKilled}}") == "false" {
        return skip("Podman has not noticed that memory was short");
    }
    assert!(line.contains("OOM"), "{line:?}");
    host.served_again("web");
}

#[test]
fn a_failure_is_told_with_the_last_words_of_that_run_alone() {
    let servers = "n=$(wc -l </tmp/tries 2>/dev/null || echo 0); echo try >>/tmp/tries; echo these are words $n; sleep 0.2; exit 4";
    let web = Container::running("web", &[], &["bash", "-c", servers]);
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    until("a second failure", || {
        assert_eq!(host.connect("web").end(), End::Reset);
        (host.count("web", "wake-failed") == 2).then_some(())
    });
    host.says("words 1");
    assert_eq!(
        host.look(|facts| facts.text()).matches("words 0").count(),
        1,
        "the first run's are told once"
    );
}

#[test]
fn a_failing_sidecar_leaves_its_neighbour_in_the_same_helper_alone() {
    let (dying, web) = (Container::new("dying", "--die-after 0.1"), Container::new("web", ""));
    let config = dying.sidecar("dying", "") + &web.sidecar("web", "");
    let host = Plan::new(&config).socket("dying", Kind::Tcp4).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    for _ in 0..20 {
        assert_eq!(host.connect("dying").end(), End::Reset);
        let begun = Instant::now();
        assert_eq!(client.ask("echo two"), "two");
        assert_eq!(host.connect("web").ask("echo three"), "three");
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn one_attempt_is_one_entry_however_many_clients_wait() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    recorder.rules(vec![
        Rule { call: "POST /start", action: Action::HoldCall(Duration::from_millis(500)) },
        Rule { call: "POST /start", action: Action::Refuse(500, "not now") },
    ]);
    let mut clients: Vec<_> = (0..30).map(|_| host.connect("web")).collect();
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    let line = host.event("web", "wake-failed");
    assert!(line.contains("not now") && line.contains("clients reset: 30"), "{line:?}");
    assert_eq!(host.count("web", "wake-failed"), 1);
}

#[test]
fn one_that_its_restart_policy_starts_over_and_over_sleeps_all_the_same() {
    let web = Container::with("web", &["--restart", "always"], "--die-after 2");
    web.start();
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"3s\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .boot();
    host.event("web", "adopted");
    let slept = host.wait_for(Duration::from_secs(12), |f| f.events("web", "slept").first().cloned());
    assert!(
        slept.is_some(),
        "not asleep 12 s after adoption, unused; idle_timeout is 3 s; restarts {}",
        web.inspect("{{.RestartCount}}")
    );
}
