//! A program that runs on node and uses sidecars through the example's functions.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::harness::{output, skip, spawn, until};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/examples/typescript/rouse.ts");
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/typescript/caller.mjs");
const TESTS_NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node");
/// Longer than a call without an answer takes.
const ENOUGH: Duration = Duration::from_secs(30);

/// The example as node runs it, and node.
#[derive(Clone)]
pub struct Compiled {
    pub node: PathBuf,
    /// The folder of `rouse.js` and `rouse.d.ts`.
    pub folder: PathBuf,
}

/// The example, compiled once under the strictest rules. Where there is no node the calling test is skipped.
#[track_caller]
pub fn compiled() -> Option<Compiled> {
    static ONCE: OnceLock<Result<Compiled, String>> = OnceLock::new();
    let compiled = ONCE.get_or_init(compile).clone();
    compiled.inspect_err(|reason| skip(reason)).ok()
}

fn compile() -> Result<Compiled, String> {
    let found = output(Command::new(TESTS_NODE).arg("--cached"));
    if !found.status.success() {
        return Err(String::from_utf8_lossy(&found.stderr).trim_end().to_owned());
    }
    let programs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim_end());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("typescript");
    let strict =
        ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noUnusedLocals"];
    // What node, Bun and Deno need that strip the types themselves.
    let strippable = ["--erasableSyntaxOnly", "--verbatimModuleSyntax"];
    let module =
        ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--declaration"];
    let mut compiler = Command::new(programs.join("tsc"));
    compiler.args(strict).args(strippable).args(module).args(["--types", "node", "--typeRoots"]);
    compiler.arg(programs.parent().unwrap().join("@types")).arg("--outDir").arg(&folder).arg(EXAMPLE);
    // The cache's own node, not this machine's.
    compiler.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    let done = output(&mut compiler);
    assert!(done.status.success(), "{compiler:?}:\n{}", String::from_utf8_lossy(&done.stdout));
    fs::write(folder.join("package.json"), "{\"type\":\"module\"}\n").unwrap();
    Ok(Compiled { node: programs.join("node").canonicalize().unwrap(), folder })
}

/// The program, running.
pub struct Caller {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Caller {
    /// A caller that looks for control sockets in `folder`.
    pub fn new(compiled: &Compiled, folder: &Path) -> Caller {
        let mut command = Command::new(&compiled.node);
        command.arg(PROGRAM).env("ROUSE_DIR", folder).env("ROUSE_JS", compiled.folder.join("rouse.js"));
        Caller::start(command)
    }

    /// A caller that `command` starts.
    pub fn start(mut command: Command) -> Caller {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command);
        let (said, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Caller { input: child.stdin.take(), child, lines }
    }

    #[track_caller]
    pub fn send(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Its next answer.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        let heard = self.lines.recv_timeout(ENOUGH);
        heard.unwrap_or_else(|error| panic!("{error}: {}", self.complaints()))
    }

    #[track_caller]
    pub fn says(&mut self, line: &str) -> String {
        self.send(line);
        self.hear()
    }

    /// Nothing has gone wrong behind its back: an unhandled rejection would have ended it.
    #[track_caller]
    pub fn leaves_in_order(mut self) {
        drop(self.input.take());
        let status = until("the caller's end", || self.child.try_wait().unwrap());
        let complaints = self.complaints();
        assert!(status.success() && complaints.is_empty(), "{status}: {complaints}");
    }

    /// All that it has to say besides, once it has been ended.
    fn complaints(&mut self) -> String {
        let _ = self.child.kill();
        let mut complaints = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut complaints).unwrap();
        complaints
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
