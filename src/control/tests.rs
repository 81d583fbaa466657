//! Both ends of the control socket, over real ones.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::timeout;

use super::client::{call, hold};
use super::server::{Desk, answer};
use crate::calls::{Call, Calls, Cause, Directory, Refusal, RefusalKind, line};
use crate::holds::Holds;
use crate::name::Name;
use crate::socket::Listeners;
use crate::status::Board;
use crate::why::Holder;

/// Longer than anything here takes.
pub const ENOUGH: Duration = Duration::from_secs(10);

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What listens on a control socket; dropping it ends it like a crash, with all that it has accepted.
pub struct Helper {
    _tasks: JoinSet<()>,
}

impl Helper {
    pub fn listen(socket: &Path, directory: Directory) -> Helper {
        let _ = fs::remove_file(socket);
        let listeners = Listeners::new(vec![UnixListener::bind(socket).unwrap().into()]).unwrap();
        let desk = Rc::new(Desk::new(Rc::new(directory), Board::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn_local(async move {
            let mut callers = JoinSet::new();
            loop {
                callers.spawn_local(answer(listeners.accept().await.0, desk.clone()));
            }
        });
        Helper { _tasks: tasks }
    }
}

/// A sidecar that is ready at once, and sleeps where nobody holds it. The directory has it and a broken one.
pub fn sidecar(text: &str) -> (Directory, Rc<Holds>) {
    let holds = Rc::new(Holds::default());
    let (caller, mut calls) = line();
    let (broken, mut refused) = line();
    let list = holds.clone();
    spawn_local(async move {
        loop {
            match calls.next().await {
                Call::Hold { holder, answer, .. } => answer.give(list.take(holder)),
                Call::Touch(answer) | Call::Tell(answer) => answer.give(()),
                Call::Sleep { cause, answer } if cause == Cause::Forced || list.by().is_empty() => {
                    answer.give(())
                }
                Call::Sleep { answer, .. } => {
                    let error = format!("it is {}", list.by()[0].text(0));
                    answer.refuse(Refusal::new(RefusalKind::InUse, error, "end that"));
                }
            }
        }
    });
    spawn_local(async move {
        loop {
            if let Call::Hold { answer, .. } = refused.next().await {
                answer.refuse(Refusal::new(RefusalKind::Failed, "it does not start", "read its log"));
            }
        }
    });
    (Directory::from([(name(text), caller), (name("broken"), broken)]), holds)
}

/// A sidecar `web` behind a control socket; its owner is the test.
fn web() -> (TempDir, PathBuf, Helper, Calls) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let (caller, calls) = line();
    let helper = Helper::listen(&socket, Directory::from([(name("web"), caller)]));
    (folder, socket, helper, calls)
}

fn required(by: &str) -> Holder {
    Holder { requires: true, ..Holder::named(by) }
}

async fn until_empty(holds: &Holds) {
    while !holds.by().is_empty() {
        timeout(ENOUGH, holds.one_ended()).await.expect("the hold has not ended");
    }
}

#[tokio::test(flavor = "local")]
async fn a_hold_lasts_until_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let (directory, holds) = sidecar("web");
    let _helper = Helper::listen(&socket, directory);
    let first = hold(&socket, &name("web"), Some(&name("app"))).await.unwrap();
    let second = hold(&socket, &name("web"), Some(&name("cron"))).await.unwrap();
    assert_eq!(holds.by(), ["app", "cron"].map(required));
    drop(first);
    timeout(ENOUGH, holds.one_ended()).await.unwrap();
    assert_eq!(holds.by(), [required("cron")]);
    assert!(timeout(Duration::from_millis(50), second.ended()).await.is_err());
    drop(second);
    until_empty(&holds).await;
}

#[tokio::test(flavor = "local")]
async fn a_refusal_arrives_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let _helper = Helper::listen(&socket, sidecar("web").0);
    let refusal = hold(&socket, &name("broken"), Some(&name("app"))).await.unwrap_err();
    assert_eq!(refusal, Refusal::new(RefusalKind::Failed, "it does not start", "read its log"));
    let refusal = hold(&socket, &name("db"), Some(&name("app"))).await.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::NoSuchSidecar);
    assert_eq!(refusal.to_string(), "no sidecar \"db\" here: this helper has: broken, web");
}

#[tokio::test(flavor = "local")]
async fn a_container_that_dies_ends_the_hold_of_another_helper() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let (directory, holds) = sidecar("web");
    let helper = Helper::listen(&socket, directory);
    let held = hold(&socket, &name("web"), Some(&name("app"))).await.unwrap();
    holds.end_all();
    timeout(ENOUGH, held.ended()).await.unwrap();
    let held = hold(&socket, &name("web"), Some(&name("app"))).await.unwrap();
    drop(helper);
    timeout(ENOUGH, held.ended()).await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn who_leaves_before_the_sidecar_is_ready_is_noticed() {
    let (_folder, socket, _helper, mut calls) = web();
    let web = name("web");
    let impatient = timeout(Duration::from_millis(100), hold(&socket, &web, None));
    let owner = async {
        let Call::Hold { mut answer, .. } = calls.next().await else { panic!("no hold") };
        timeout(ENOUGH, answer.closed()).await.expect("nobody has noticed");
    };
    assert!(tokio::join!(impatient, owner).0.is_err());
}

/// What a caller may send after its request, and nobody reads.
const UNREAD: [&str; 4] =
    ["\r\n", "Content-Length: 5\r\n\r\n", "Content-Length: 2\r\n\r\n{}", "\r\nGET / HTTP/1.1\r\n\r\n"];

#[tokio::test(flavor = "local")]
async fn who_leaves_is_noticed_whatever_has_not_been_read() {
    let (_folder, socket, _helper, mut calls) = web();
    let holds = Holds::default();
    for unread in UNREAD {
        for is_ready in [false, true] {
            let mut caller = UnixStream::connect(&socket).await.unwrap();
            let request = format!("POST /v1/sidecars/web/hold?by=app HTTP/1.1\r\nHost: rouse\r\n{unread}");
            caller.write_all(request.as_bytes()).await.unwrap();
            let Call::Hold { holder, mut answer, .. } = calls.next().await else { panic!("no hold") };
            caller.write_all(b"more").await.unwrap();
            if is_ready {
                answer.give(holds.take(holder));
                let mut head = [0; 12];
                timeout(ENOUGH, caller.read_exact(&mut head)).await.unwrap().unwrap();
                assert_eq!(&head, b"HTTP/1.1 200");
                assert_eq!(holds.by(), [Holder::named("app")]);
                drop(caller);
                until_empty(&holds).await;
            } else {
                drop(caller);
                timeout(ENOUGH, answer.closed()).await.unwrap_or_else(|_| panic!("unnoticed: {unread:?}"));
            }
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_sidecar_gives_way_where_nobody_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let _helper = Helper::listen(&socket, sidecar("web").0);
    let web = name("web");
    assert_eq!(call(&socket, &web, "yield?to=other").await, Ok("{\"state\":\"asleep\"}\n".into()));
    let _held = hold(&socket, &web, Some(&name("app"))).await.unwrap();
    let refusal = call(&socket, &web, "yield?to=other").await.unwrap_err();
    assert_eq!(refusal, Refusal::new(RefusalKind::InUse, "it is required by app", "end that"));
}

/// Sends `request` as it is and reads until the end of the answer.
async fn raw(socket: &Path, request: &str) -> String {
    let mut caller = UnixStream::connect(socket).await.unwrap();
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(ENOUGH, caller.read_to_string(&mut answer)).await.expect("no end").unwrap();
    answer
}

#[tokio::test(flavor = "local")]
async fn every_answer_has_its_status_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let _helper = Helper::listen(&socket, sidecar("web").0);
    let cases = [
        ("GET", "/", 404, "nothing is at"),
        ("POST", "/v1/sidecars", 404, "nothing is at"),
        ("POST", "/v1/sidecars/web/eat", 404, "nothing is at"),
        ("POST", "/v1/sidecars/db/hold", 404, "no sidecar"),
        ("POST", "/v1/sidecars//hold", 404, "no sidecar"),
        ("POST", "/v1/sidecars/w%65b/hold", 404, "no sidecar"),
        ("GET", "/v1/sidecars/web/hold", 405, "use POST"),
        ("DELETE", "/v1/sidecars/web", 405, "use GET"),
        ("GET", "/v1/sidecars/web?json", 400, "has no parameters"),
        ("POST", "/v1/sidecars/web/touch?by=a", 400, "has no parameters"),
        ("POST", "/v1/sidecars/web/sleep?force=perhaps", 400, "force=true"),
        ("POST", "/v1/sidecars/web/hold?for=1q%20", 400, "1h30m"),
        ("POST", "/v1/sidecars/web/hold?for=2y", 400, "up to a year"),
        ("POST", "/v1/sidecars/web/hold?for=0s", 400, "up to a year"),
        ("POST", "/v1/sidecars/web/hold?by=a&by=b", 400, "each once"),
        ("POST", "/v1/sidecars/web/hold?required_by=a&for=1h", 400, "awake itself"),
        ("POST", "/v1/sidecars/web/hold?by=", 400, "cannot name who holds"),
        ("POST", "/v1/sidecars/web/hold?by=a%20b", 400, "cannot name who holds"),
        ("POST", "/v1/sidecars/web/yield", 400, "?to=NAME"),
        ("POST", "/v1/sidecars/web/yield?to=@x", 400, "?to=NAME"),
        ("POST", "/v1/sidecars/web/yield?to=a&by=b", 400, "each once: to"),
        ("POST", "/v1/sidecars/broken/hold", 503, "read its log"),
    ];
    for (method, path, status, says) in cases {
        let answer = raw(&socket, &format!("{method} {path} HTTP/1.1\r\nHost: rouse\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{method} {path}: {answer}");
        assert_eq!(head.contains("allow: "), status == 405, "{method} {path}: {answer}");
        let refusal: Refusal = serde_json::from_str(body).unwrap();
        assert!(refusal.to_string().contains(says), "{method} {path}: {refusal}");
    }
    let answer = raw(&socket, "POST /v1/sidecars/web/yield?to=db HTTP/1.1\r\nHost: rouse\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n{\"state\":\"asleep\"}\n"),
        "{answer}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_hold_says_at_once_that_it_has_begun_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let (directory, holds) = sidecar("web");
    let _helper = Helper::listen(&socket, directory);
    let mut caller = UnixStream::connect(&socket).await.unwrap();
    // Without a version of HTTP that knows chunks the body is the line alone, and its end the connection's.
    caller.write_all(b"POST /v1/sidecars/web/hold HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n{\"state\":\"awake\"}\n") {
        let mut bytes = [0; 1024];
        let read = timeout(ENOUGH, caller.read(&mut bytes)).await.unwrap().unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert_eq!(holds.by(), [Holder::named(format!("pid {}", std::process::id()))]);
    holds.end_all();
    assert_eq!(timeout(ENOUGH, caller.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
}

#[tokio::test(flavor = "local")]
async fn who_has_only_ended_what_they_send_waits_for_an_answer() {
    let (_folder, socket, _helper, mut calls) = web();
    let holds = Holds::default();
    let mut caller = UnixStream::connect(&socket).await.unwrap();
    let request = b"POST /v1/sidecars/web/hold?by=cron%3A5 HTTP/1.1\r\nHost: rouse\r\n\r\n";
    caller.write_all(request).await.unwrap();
    caller.shutdown().await.unwrap();
    let Call::Hold { holder, mut answer, .. } = calls.next().await else { panic!("no hold") };
    assert!(timeout(Duration::from_millis(100), answer.closed()).await.is_err(), "taken for gone");
    answer.give(holds.take(holder));
    let mut head = [0; 12];
    timeout(ENOUGH, caller.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(holds.by(), [Holder::named("cron:5")]);
    assert!(timeout(Duration::from_millis(100), holds.one_ended()).await.is_err(), "taken for gone");
    drop(caller);
    until_empty(&holds).await;
}

#[tokio::test(flavor = "local")]
async fn malformed_requests_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let (directory, holds) = sidecar("web");
    let _helper = Helper::listen(&socket, directory);
    let held = hold(&socket, &name("web"), Some(&name("app"))).await.unwrap();
    let long = format!("POST /{} HTTP/1.1\r\n", "x".repeat(1 << 16));
    let garbage = ["", "\0\0\0\0", "\r\n\r\n", "POST", "POST hold\r\n\r\n", "\u{16}\u{3}\u{1}hello", &long];
    for text in garbage {
        let mut caller = UnixStream::connect(&socket).await.unwrap();
        let _ = caller.write_all(text.as_bytes()).await;
        let _ = caller.shutdown().await;
        // An answer of some kind, or none, but an end.
        let _ = timeout(ENOUGH, caller.read_to_end(&mut Vec::new())).await.expect("no end");
    }
    drop(hold(&socket, &name("web"), Some(&name("next"))).await.unwrap());
    timeout(ENOUGH, holds.one_ended()).await.unwrap();
    assert_eq!(holds.by(), [required("app")]);
    drop(held);
}

#[tokio::test(flavor = "local")]
async fn who_is_no_helper_is_told_of_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let web = name("web");
    let answers = [
        ("", "broke off"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "broke off"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", "answered 500 Internal Server Error"),
        ("HTTP/1.1 409 No\r\nContent-Length: 2\r\n\r\n{}", "answered 409 Conflict"),
        ("HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n{\"error\":", "answered 503 Service Unavailable"),
    ];
    for (text, says) in answers {
        let _ = fs::remove_file(&socket);
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let other = async {
            let (mut caller, _) = listener.accept().await.unwrap();
            let _ = caller.read(&mut [0; 1024]).await;
            caller.write_all(text.as_bytes()).await.unwrap();
        };
        let refusal = tokio::join!(hold(&socket, &web, None), other).0.unwrap_err();
        assert!(refusal.to_string().contains(says), "{text:?}: {refusal}");
        assert!(refusal.to_string().contains("web.sock"), "{text:?}: {refusal}");
    }
}

#[tokio::test(flavor = "local")]
async fn where_nobody_listens_the_hint_is_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("web.sock");
    let cure = "systemctl enable --now rouse@web.socket";
    let refusal = hold(&socket, &name("web"), Some(&name("app"))).await.unwrap_err();
    assert!(refusal.hint.contains(cure), "{refusal}");
    drop(UnixListener::bind(&socket).unwrap());
    let refusal = call(&socket, &name("web"), "yield?to=db").await.unwrap_err();
    assert!(refusal.hint.contains(cure), "{refusal}");
}
