//! From a container that exists to its first connection, and back.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::harness::{Container, Kind, Network, PORT, Plan, docker, engine_socket, free_port, output, skip};

/// The folder that stands for `/`, with a configuration that names the suite's engine.
struct Root {
    dir: TempDir,
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Root {
    fn new() -> Root {
        let root = Root { dir: tempfile::Builder::new().prefix("rouse-it-").tempdir().unwrap() };
        fs::set_permissions(root.dir.path(), Permissions::from_mode(0o755)).unwrap();
        root.put(
            "etc/rouse/rouse.toml",
            &format!("[helper]\nengine = \"unix://{}\"\n", engine_socket().display()),
        );
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// What `systemctl enable` does.
    fn enable(&self, name: &str) {
        let wants = self.path("etc/systemd/system/sockets.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink("/usr/lib/systemd/system/rouse@.socket", wants.join(format!("rouse@{name}.socket"))).unwrap();
    }

    fn table(&self, name: &str) -> String {
        format!("etc/rouse/rouse.d/{name}.toml")
    }

    fn drop_in(&self, name: &str) -> String {
        format!("etc/systemd/system/rouse@{name}.socket.d/listen.conf")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every file below it.
    fn files(&self) -> Vec<String> {
        let list = output(Command::new("find").arg(self.dir.path()).args(["-type", "f", "-printf", "%P\n"]));
        let mut files: Vec<_> = String::from_utf8(list.stdout).unwrap().lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    fn command(&self, command: &str, args: &[&str]) -> Command {
        let mut rouse = Command::new(env!("CARGO_BIN_EXE_rouse"));
        rouse.args([command, "--root"]).arg(self.dir.path()).args(args).env_remove("DOCKER_HOST");
        rouse
    }

    #[track_caller]
    fn rouse(&self, command: &str, args: &[&str]) -> Said {
        said(&mut self.command(command, args))
    }
}

#[track_caller]
fn said(command: &mut Command) -> Said {
    let done = output(command);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

#[test]
fn what_add_writes_is_all_that_a_first_connection_needs() {
    let (web, root) = (Container::new("web", ""), Root::new());
    let plan = Plan::new("").socket("web", Kind::Tcp4);
    let address = format!("127.0.0.1:{}", plan.listener("web", 0).port());
    let port = PORT.to_string();
    let added = root.rouse(
        "add",
        &["web", "--container", web.name(), "--listen", &address, "--port", &port, "--idle-timeout", "400ms"],
    );
    assert_eq!(added.code, 0, "{added:?}");
    assert_eq!(
        added.out.lines().last(),
        Some("systemctl daemon-reload && systemctl enable --now rouse@web.socket")
    );
    let drop_in = root.text(&root.drop_in("web"));
    assert!(drop_in.lines().any(|line| line == format!("ListenStream={address}")), "{drop_in}");
    let host = plan.config(&root.text(&root.table("web"))).listen();
    assert_eq!(host.connect("web").ask("echo added"), "added");
    host.event("web", "slept");
}

/// The commonest case: a container of which people use the published port.
#[test]
fn a_published_port_becomes_the_sockets_once_the_container_is_made_without_it() {
    let root = Root::new();
    let plan = Plan::new("").socket("web", Kind::Tcp4);
    let address = format!("127.0.0.1:{}", plan.listener("web", 0).port());
    let published = Container::with("web", &["--publish", &format!("{address}:{PORT}")], "");
    let added = root.rouse("add", &["web", "--container", published.name()]);
    assert_eq!(added.code, 0, "{added:?}");
    for part in [format!("publishes {address}:{PORT}"), "recreate it without -p".to_owned()] {
        assert!(added.err.contains(&part), "{part}: {added:?}");
    }
    assert!(root.text(&root.drop_in("web")).contains(&format!("\nListenStream={address}\n")));
    let replacement = Container::new("web", "");
    published.remove();
    docker(&["rename", replacement.name(), published.name()]);
    let host = plan.config(&root.text(&root.table("web"))).listen();
    assert_eq!(host.connect("web").ask("echo moved"), "moved");
}

#[test]
fn a_dry_run_shows_both_files_and_writes_none() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    let before = root.files();
    let shown = root.rouse("add", &[web.name(), "--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert_eq!(root.files(), before);
    assert_eq!(root.rouse("add", &[web.name()]).code, 0);
    for name in [root.table(web.name()), root.drop_in(web.name())] {
        let file = format!("# {}\n{}", root.path(&name).display(), root.text(&name));
        assert!(shown.out.contains(&file), "{file} is missing in {shown:?}");
        assert_eq!(fs::metadata(root.path(&name)).unwrap().permissions().mode() & 0o777, 0o644);
    }
}

#[test]
fn what_is_there_is_not_overwritten_without_force() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    let drop_in = root.drop_in(web.name());
    root.put(&drop_in, "[Socket]\nListenStream=1\n");
    let before = root.files();
    for args in [&[web.name()][..], &[web.name(), "--dry-run"]] {
        let refused = root.rouse("add", args);
        assert!(refused.code == 1 && refused.err.contains("--force"), "{refused:?}");
        assert!(refused.err.contains(&drop_in), "{refused:?}");
        assert_eq!(root.files(), before);
    }
    assert_eq!(root.text(&drop_in), "[Socket]\nListenStream=1\n");
    assert_eq!(root.rouse("add", &[web.name(), "--force"]).code, 0);
    assert!(root.text(&drop_in).contains("127.0.0.1:8000"));
}

#[test]
fn several_are_added_together_or_not_at_all() {
    let root = Root::new();
    let [one, two] = ["8001", "8002"].map(|port| Container::with("web", &["--expose", port], ""));
    let before = root.files();
    let refused = root.rouse("add", &[one.name(), "nobody-has-this-name", two.name()]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("no container \"nobody-has-this-name\""), "{refused:?}");
    assert!(refused.err.contains("docker ps --all"), "{refused:?}");
    assert_eq!(root.files(), before);
    let added = root.rouse("add", &[two.name(), one.name(), two.name()]);
    let units = format!("rouse@{}.socket rouse@{}.socket", two.name(), one.name());
    assert!(added.out.ends_with(&format!("systemctl enable --now {units}\n")), "{added:?}");
    assert_eq!(root.files().len(), before.len() + 4);
}

#[test]
fn a_service_of_compose_is_known_by_the_name_of_its_container() {
    let root = Root::new();
    let service = format!("service-{}", std::process::id());
    let label = format!("com.docker.compose.service={service}");
    let web = Container::with("web", &["--expose", "8000", "--label", &label], "");
    let refused = root.rouse("add", &[&service]);
    let meant = format!("rouse add {service} --container {}", web.name());
    assert!(refused.code == 1 && refused.err.contains(&meant), "{meant}: {refused:?}");
    assert_eq!(root.rouse("add", &[&service, "--container", web.name()]).code, 0);
}

#[test]
fn a_place_or_a_container_that_another_sidecar_has_is_refused() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    root.put(&root.drop_in("other"), "[Socket]\nListenStream=0.0.0.0:8000\n");
    let refuses = |args: &[&str], parts: &[&str]| {
        let before = root.files();
        let refused = root.rouse("add", args);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(parts.iter().all(|part| refused.err.contains(part)), "{parts:?}: {refused:?}");
        assert_eq!(root.files(), before);
    };
    refuses(
        &[web.name()],
        &["127.0.0.1:8000 is where rouse@other.socket listens", &root.drop_in("other"), "--listen"],
    );
    assert_eq!(root.rouse("add", &[web.name(), "--listen", "8001"]).code, 0);
    refuses(&["second", "--container", web.name(), "--listen", "8002"], &["is also that of", web.name()]);
    // A sidecar without a table is on the container of its own name.
    let other = Container::with("other", &["--expose", "8000"], "");
    root.put(&root.drop_in(other.name()), "[Socket]\nListenStream=9000\n");
    refuses(&["third", "--container", other.name(), "--listen", "8002"], &[other.name(), "has no table"]);
    refuses(
        &["fourth", "--container", other.name(), "--ready", "ftp"],
        &["fourth.toml", "sidecar.fourth.ready"],
    );
    root.put("etc/rouse/rouse.d/broken.toml", "[defaults]\nprot = 1\n");
    refuses(&[other.name(), "--force", "--listen", "8002"], &["broken.toml:2:1: ", "prot"]);
}

#[test]
fn remove_leaves_nothing_of_what_add_wrote() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    let before = root.files();
    assert_eq!(root.rouse("add", &["web", "--container", web.name()]).code, 0);
    let pretended = root.rouse("remove", &["web", "--dry-run"]);
    assert!(pretended.code == 0 && root.files().len() == before.len() + 2, "{pretended:?}");
    // It asks no engine.
    docker(&["rm", web.name()]);
    root.put("etc/rouse/rouse.d/needs.toml", "[sidecar.needs]\nrequires = [\"web\"]\n");
    let removed = root.rouse("remove", &["web"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(
        removed.out.lines().last(),
        Some("systemctl disable --now rouse@web.socket; systemctl daemon-reload")
    );
    assert!(removed.err.contains("sidecar.needs.requires"), "whoever required it is named: {removed:?}");
    fs::remove_file(root.path("etc/rouse/rouse.d/needs.toml")).unwrap();
    assert_eq!(root.files(), before);
    assert!(!root.path(&root.drop_in("web")).parent().unwrap().exists());
    let again = root.rouse("remove", &["web"]);
    assert!(again.code == 1 && again.err.contains("nothing to remove"), "{again:?}");
}

#[test]
fn remove_makes_status_forget_the_sidecar_unless_its_helper_lives() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    let states = ["web.json", "web.json.bad", "web.lock"].map(|file| format!("var/lib/rouse/{file}"));
    let put = || states.iter().for_each(|file| root.put(file, &std::process::id().to_string()));
    let kept = || root.files().into_iter().filter(|file| file.starts_with("var/")).collect::<Vec<_>>();
    put();
    root.put("var/lib/rouse/web2.json", "");
    assert_eq!(root.rouse("add", &["web", "--container", web.name()]).code, 0);
    let pretended = root.rouse("remove", &["web", "--dry-run"]);
    assert!(states.iter().all(|file| pretended.out.contains(file)) && kept().len() == 4, "{pretended:?}");
    let helper = Flock::lock(File::open(root.path(&states[2])).unwrap(), FlockArg::LockExclusive).unwrap();
    let removed = root.rouse("remove", &["web"]);
    assert!(
        removed.code == 0 && removed.out.contains("systemctl disable --now rouse@web.socket"),
        "{removed:?}"
    );
    let lives = format!("its helper lives (pid {})", std::process::id());
    assert!(removed.err.contains(&lives) && kept().len() == 4, "{removed:?}");
    assert_eq!(root.rouse("remove", &["web"]).code, 1, "it lives still");
    drop(helper);
    let removed = root.rouse("remove", &["web"]);
    assert!(removed.code == 0 && states.iter().all(|file| removed.out.contains(file)), "{removed:?}");
    assert_eq!(kept(), ["var/lib/rouse/web2.json"]);
}

#[test]
fn what_is_kept_of_a_sidecar_that_has_a_table_or_address_elsewhere_stays() {
    let root = Root::new();
    root.put("var/lib/rouse/web.json", "");
    let refuses = |place: &str| {
        let before = root.files();
        let refused = root.rouse("remove", &["web"]);
        assert!(refused.code == 1 && refused.err.contains(place), "{place}: {refused:?}");
        assert_eq!(root.files(), before);
    };
    root.put("etc/systemd/system/rouse@web.socket.d/mine.conf", "[Socket]\nListenStream=80\n");
    refuses("rouse@web.socket.d/mine.conf:2");
    root.put("etc/rouse/rouse.d/all.toml", "[sidecar.web]\n");
    refuses("etc/rouse/rouse.d/all.toml:1");
}

/// However a container is made: either its proposal is fine with `rouse check` at once, or `rouse add` has said what is to be
/// changed, and then it is.
#[test]
fn check_has_nothing_against_what_add_proposed_once_its_advice_is_followed() {
    let (network, other) = (Network::new("one"), Network::new("two"));
    let port = free_port().to_string();
    let ways: [(&[&str], &[&str]); 8] = [
        (&["--expose=8000"], &[]),
        (&["--expose=8000", "--expose=9000", "--expose=53/udp"], &[]),
        (&["--expose=8000"], &["--publish=127.0.0.1:PORT:8000"]),
        (&["--expose=8000"], &["--publish=PORT:8000", "--publish=[::1]:PORT:8000"]),
        (&["--expose=8000", "--expose=8001"], &["--publish=0.0.0.0:PORT:8001", "--publish=[::]:PORT:8001"]),
        (&["--expose=8000"], &["--publish=8000"]),
        (&["--expose=8000"], &["--restart=always"]),
        (&["--expose=8000"], &["--rm"]),
    ];
    let others: [&[&str]; 3] = [
        &[],
        &["--network", network.name(), "--health-cmd=true"],
        &["--health-cmd=true", "--health-interval=1s"],
    ];
    for (number, (lasting, wrong)) in ways.iter().enumerate() {
        let root = Root::new();
        root.put("usr/lib/systemd/system/rouse@.socket", "[Socket]\nFileDescriptorName=%i\n");
        let also = others[number % others.len()];
        let wrong: Vec<String> = wrong.iter().map(|option| option.replace("PORT", &port)).collect();
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        let web = Container::with("web", &[lasting, also, &wrong].concat(), "");
        if number % 2 == 0 {
            docker(&["network", "connect", other.name(), web.name()]);
        }
        let added = root.rouse("add", &["web", "--container", web.name()]);
        assert_eq!(added.code, 0, "{lasting:?} {wrong:?}: {added:?}");
        root.enable("web");
        let found = root.rouse("check", &[]);
        let advice = added.err.lines().filter(|line| !line.contains("knows nothing")).count();
        assert_eq!(found.code == 0, advice == 0, "{lasting:?} {wrong:?}: {added:?} {found:?}");
        if advice > 0 {
            web.remove();
            let mended = Container::with("web", &[lasting, also].concat(), "");
            docker(&["rename", mended.name(), web.name()]);
            if number % 2 == 0 {
                docker(&["network", "connect", other.name(), web.name()]);
            }
            let found = root.rouse("check", &[]);
            assert_eq!(found.code, 0, "{lasting:?} after {wrong:?}: {found:?}");
        }
    }
}

#[test]
fn a_container_that_runs_where_the_socket_is_to_listen_is_named() {
    let root = Root::new();
    let address = format!("127.0.0.1:{}", free_port());
    let other = Container::with("other", &["--publish", &format!("{address}:{PORT}")], "");
    let web = Container::with("web", &["--expose", "8000"], "");
    let args = [web.name(), "--listen", &address, "--dry-run"];
    assert_eq!(root.rouse("add", &args).err, "", "it does not run yet");
    other.start();
    let added = root.rouse("add", &args);
    let rival = format!("{address} is where container {} is published", other.name());
    assert!(added.code == 0 && added.err.contains(&rival) && added.err.contains("--listen"), "{added:?}");
}

#[test]
fn a_container_that_names_no_tcp_port_is_told_so() {
    let root = Root::new();
    let dns = Container::with("dns", &["--expose", "53/udp"], "");
    let refused = root.rouse("add", &[dns.name()]);
    assert!(refused.code == 1 && refused.err.contains("it names 53/udp only"), "{refused:?}");
}

#[test]
fn remove_leaves_what_somebody_else_wrote() {
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    assert_eq!(root.rouse("add", &["web", "other", "--container", web.name()]).code, 1, "for one alone");
    assert_eq!(root.rouse("add", &["web", "--container", web.name()]).code, 0);
    root.put(&root.drop_in("web"), "[Socket]\nListenStream=8000\n");
    let before = root.files();
    let refused = root.rouse("remove", &["web"]);
    assert!(refused.code == 1 && refused.err.contains(&root.drop_in("web")), "{refused:?}");
    assert_eq!(root.files(), before);
    assert_eq!(root.rouse("remove", &["web", "--force"]).code, 0);
    assert_eq!(root.files(), ["etc/rouse/rouse.toml"]);
}

#[test]
fn who_may_not_write_is_shown_what_and_given_the_command_for_root() {
    const NOBODY: u32 = 65534;
    let (web, root) = (Container::with("web", &["--expose", "8000"], ""), Root::new());
    let group = fs::metadata(engine_socket()).unwrap().gid();
    let binary = Path::new(env!("CARGO_BIN_EXE_rouse"));
    let is_open = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o001 != 0;
    if fs::metadata("/proc/self").unwrap().uid() != 0 || !binary.ancestors().skip(1).all(is_open) {
        return skip("only root can run the binary as somebody else, where that one can reach it");
    }
    let before = root.files();
    let port = free_port().to_string();
    let args = [web.name(), "--listen", &port];
    let again = format!("sudo rouse add --root {} {}", root.dir.path().display(), args.join(" "));
    let refused = said(root.command("add", &args).uid(NOBODY).gid(group));
    assert!(refused.code == 1 && refused.err.contains(&again), "{refused:?}");
    assert!(refused.out.contains(&format!("ListenStream={port}\n")), "{refused:?}");
    // Who may not ask the engine either is told so.
    let refused = said(root.command("add", &args).uid(NOBODY).gid(NOBODY));
    assert!(refused.code == 1 && refused.err.contains(&again), "{refused:?}");
    assert!(refused.err.contains("may not ask"), "{refused:?}");
    assert_eq!(root.files(), before);
    assert_eq!(root.rouse("add", &args).code, 0);
    let refused = said(root.command("remove", &[web.name()]).uid(NOBODY).gid(group));
    assert!(refused.code == 1 && refused.err.contains("sudo rouse remove"), "{refused:?}");
    assert_eq!(root.files().len(), before.len() + 2);
    root.put("var/lib/rouse/gone.json", "");
    let refused = said(root.command("remove", &["gone"]).uid(NOBODY).gid(group));
    assert!(refused.code == 1 && refused.err.contains("sudo rouse remove"), "{refused:?}");
}
