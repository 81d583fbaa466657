//! The control socket answers as `docs/openapi.yaml` says, and in no other way.

mod description; // docs/openapi.yaml, and what of it was seen
mod visitor; // somebody who calls control sockets and holds every answer against the description

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::Value;

use self::description::Description;
use self::visitor::Visitor;
use crate::harness::{Action, Container, Kind, Plan, Recorder, docker, until};

const VERBS: [&str; 5] = ["wake", "touch", "sleep", "hold", "yield?to=other"];

/// What is described and cannot be brought about from outside.
const UNSEEN: [(&str, &str, u16); 2] = [
    // An engine that says nothing for twenty seconds to a helper that has just begun, or a helper that leaves at the moment.
    ("get", "/v1/sidecars/{name}", 503),
    ("post", "/v1/sidecars/{name}/touch", 503),
];

/// Waits until the sidecar is shown with a reason of this kind, and gives that.
#[track_caller]
fn until_why(visitor: &Visitor, sidecar: &str, kind: &str) -> Value {
    until(&format!("{sidecar}: {kind}"), || {
        Some(visitor.show(sidecar).json()).filter(|shown| shown["why"]["kind"] == kind)
    })
}

#[test]
fn every_example_of_the_description_fits_its_schema() {
    assert!(Description::read().examples() > 10);
}

#[test]
fn every_answer_is_described_and_everything_described_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let visitor = Visitor::new(folder.path());
    refuses_what_it_cannot_understand(&visitor);
    tells_of_a_life(&visitor);
    tells_who_keeps_it_awake(&visitor);
    tells_of_failures(&visitor);
    let unseen = UNSEEN.map(|(method, path, status)| ((method.to_owned(), path.to_owned()), status));
    assert_eq!(visitor.unseen(), BTreeSet::from(unseen), "described, and not as seen");
}

fn refuses_what_it_cannot_understand(visitor: &Visitor) {
    let any = Container::new("any", "");
    let plan = Plan::new(&any.sidecar("any", "")).socket("any", Kind::Tcp4);
    let _host = plan.control(visitor.folder(), "any").listen();
    let rests = VERBS.map(|verb| format!("/{verb}"));
    for rest in rests.iter().map(String::as_str).chain([""]) {
        let (right, wrong) = if rest.is_empty() { ("GET", "POST") } else { ("POST", "GET") };
        for method in [wrong, "DELETE", "PUT"] {
            let answer = visitor.call(method, "any", "any", rest, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, Some(right)), "{method} {rest}");
        }
        for name in ["other", "control", "-", "..", "a%6Ey"] {
            assert_eq!(visitor.call(right, "any", name, rest, &[]).status, 404, "{name}{rest}");
        }
        assert_eq!(
            visitor.call(right, "any", "any", rest, &[b' '; 1 << 20]).status,
            413,
            "{rest} with a large body"
        );
    }
    let malformed = [
        "wake?now",
        "wake?by=me",
        "touch?x=1",
        "sleep?force=perhaps",
        "sleep?x=1",
        "sleep?force=true&force=true",
        "hold?by=",
        "hold?by=a%20b",
        "hold?by=a/b",
        "hold?for=",
        "hold?for=soon",
        "hold?for=1",
        "hold?x=1",
        "hold?by=a&by=b",
        "hold?required_by=-",
        "hold?required_by=web&by=me",
        "hold?required_by=web&for=1h",
        "yield",
        "yield?to=",
        "yield?to=-",
        "yield?to=a&x=1",
        "?x=1",
    ];
    for rest in malformed {
        let answer = match rest.strip_prefix('?') {
            Some(_) => visitor.call("GET", "any", "any", rest, &[]),
            None => visitor.post("any", rest),
        };
        assert_eq!(answer.status, 400, "{rest}: {answer:?}");
    }
    // Nothing else is anywhere.
    let words = [
        "status",
        "is-running",
        "run",
        "check",
        "add",
        "remove",
        "metrics",
        "pause",
        "unpause",
        "release",
        "start",
        "stop",
    ];
    let verbs = words.map(|word| format!("/v1/sidecars/any/{word}"));
    let places = [
        "/",
        "/v1",
        "/v1/sidecars",
        "/v1/sidecars/",
        "/v1/sidecars/any/",
        "/v1/sidecars/any/wake/",
        "/metrics",
        "/v2/sidecars/any",
    ];
    for path in verbs.iter().map(String::as_str).chain(places) {
        for method in ["GET", "POST"] {
            assert_eq!(visitor.exchange(method, "any", path, "1.1", &[]).0.status, 404, "{method} {path}");
        }
    }
    let long = format!("/{}", "x".repeat(20 << 10));
    for (path, status) in [("/ /", 400), (long.as_str(), 431)] {
        let (answer, _) = visitor.exchange("GET", "any", path, "1.1", &[]);
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{answer:?}");
    }
    assert_eq!(any.status(), "created", "something of this has woken it");
}

fn tells_of_a_life(visitor: &Visitor) {
    let web = Container::new("web", "--ready-after 1");
    let keys = "ready = \"http-ok:/ready\"\nidle_timeout = \"1h\"\npause_after = \"1s\"\nbusy_cpu = 0";
    let plan = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4);
    let host = plan.control(visitor.folder(), "web").listen();
    assert_eq!(until_why(visitor, "web", "unasked")["state"], "asleep");
    assert_eq!(visitor.post("web", "touch").json()["state"], "asleep");
    assert_eq!(visitor.post("web", "sleep").json()["state"], "asleep");
    assert_eq!(visitor.post("web", "yield?to=other").json()["state"], "asleep");
    assert_eq!(web.status(), "created", "something of this has woken it");
    let mut client = host.connect("web");
    assert_eq!(until_why(visitor, "web", "unready")["state"], "waking");
    // What a client library sends though nobody reads it.
    assert_eq!(visitor.call("POST", "web", "web", "/wake", b"{}").json()["state"], "awake");
    assert_eq!(visitor.post("web", "touch").json()["state"], "awake");
    client.ask("who");
    let shown = until_why(visitor, "web", "unused");
    assert_eq!((&shown["why"]["next"], &shown["connections"]), (&"pause".into(), &1.into()));
    host.event("web", "paused");
    let shown = visitor.show("web").json();
    assert_eq!((&shown["state"], &shown["running"]), (&"paused".into(), &true.into()));
    assert_eq!(visitor.post("web", "wake").status, 200);
    assert_eq!(visitor.post("web", "sleep?force=true").json()["state"], "asleep");
    let shown = until_why(visitor, "web", "unasked");
    assert_eq!((&shown["totals"]["wakes_ready"], &shown["running"]), (&1.into(), &false.into()));
    assert!(
        shown["totals"]["bytes_down"].as_u64() > Some(0) && shown["usual_wake_ms"].as_u64() > Some(0),
        "{shown}"
    );
}

fn tells_who_keeps_it_awake(visitor: &Visitor) {
    let db = Container::new("db", "");
    let plan = Plan::new(&db.sidecar("db", "idle_timeout = \"1h\"\nbusy_cpu = 0")).socket("db", Kind::Tcp4);
    let host = plan.control(visitor.folder(), "db").listen();
    let (answer, kept) = visitor.hold("db", "?by=nightly");
    assert_eq!(answer.status, 200);
    let (answer, required) = visitor.hold("db", "?required_by=web");
    assert_eq!(answer.status, 200);
    let timed = visitor.post("db", "hold?by=cron:5&for=1h").json();
    assert!(timed["until_ms"].as_u64() > Some(0), "{timed}");
    let shown = until("three holders", || {
        Some(until_why(visitor, "db", "held"))
            .filter(|shown| shown["why"]["by"].as_array().unwrap().len() == 3)
    });
    let mut holders: Vec<_> = shown["why"]["by"].as_array().unwrap().clone();
    holders.sort_by_key(|holder| holder["by"].to_string());
    let by: Vec<_> = holders.iter().map(|holder| (&holder["by"], &holder["requires"])).collect();
    let (yes, no) = (&Value::Bool(true), &Value::Bool(false));
    assert_eq!(by, [(&"cron:5".into(), no), (&"nightly".into(), no), (&"web".into(), yes)]);
    for verb in ["sleep", "yield?to=other"] {
        let answer = visitor.post("db", verb);
        assert_eq!(answer.status, 409, "{verb}");
        assert!(answer.body.contains("nightly"), "{verb}: {answer:?}");
    }
    drop((kept, required));
    let (answer, nameless) = visitor.hold("db", "");
    assert_eq!(answer.status, 200);
    assert_eq!(visitor.post("db", "sleep?force=true").status, 200);
    drop(nameless);
    let mut client = host.connect("db");
    client.ask("who");
    client.write_all(b"silent 600\n").unwrap();
    let shown = until_why(visitor, "db", "owes");
    assert_eq!(shown["why"]["answers"], 1);
}

fn tells_of_failures(visitor: &Visitor) {
    let bad = Container::new("bad", "--die-after 0.1");
    let engine = Recorder::new(&visitor.folder().join("engine"));
    let plan = Plan::with_engine(engine.path(), &bad.sidecar("bad", "")).socket("bad", Kind::Tcp4);
    let _host = plan.control(visitor.folder(), "bad").listen();
    assert_eq!(visitor.post("bad", "wake").status, 503);
    assert_eq!(visitor.post("bad", "hold?by=me").status, 503);
    let shown = until_why(visitor, "bad", "failed");
    assert!(shown["last_failure"]["reason"].is_string(), "{shown}");

    let odd = Container::new("odd", "");
    let plan = Plan::with_engine(engine.path(), &odd.sidecar("odd", "")).socket("odd", Kind::Tcp4);
    let _host = plan.control(visitor.folder(), "odd").listen();
    assert_eq!(visitor.post("odd", "wake").status, 200);
    for verb in ["sleep", "yield?to=other"] {
        engine.rule("POST /stop", Action::Refuse(500, "not now"));
        assert_eq!(visitor.post("odd", verb).status, 503, "{verb}");
    }
    docker(&["kill", odd.name()]);

    let plan = Plan::new("[sidecar.wrong]\nport = \"none\"\n").socket("wrong", Kind::Tcp4);
    let _host = plan.control(visitor.folder(), "wrong").listen();
    until_why(visitor, "wrong", "rejected");
    assert_eq!(visitor.post("wrong", "wake").status, 503);
}
