#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Socket, Units};

const TEMPLATE: &str = "[Socket]\nFileDescriptorName=%i\n[Install]\nWantedBy=sockets.target\n";

/// The directories `etc` and `usr` with these files in them, and the template in `usr`.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files.iter().chain(&[("usr/rouse@.socket", TEMPLATE)]) {
        let file = root.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, file).unwrap(),
            None => fs::write(file, text).unwrap(),
        }
    }
    root
}

fn path(root: &TempDir) -> Vec<PathBuf> {
    vec![root.path().join("etc"), root.path().join("usr")]
}

fn sockets(files: &[(&str, &str)]) -> Vec<Socket> {
    Units::read(path(&machine(files))).sockets
}

/// Each socket with what it listens on, and whether it is enabled.
fn shown(files: &[(&str, &str)]) -> Vec<String> {
    let show = |socket: Socket| {
        let listens: Vec<_> = socket
            .addresses
            .iter()
            .filter_map(|address| Some(address.listen.as_ref()?.to_string()))
            .collect();
        let enabled = if socket.enabled.is_some() { ", enabled" } else { "" };
        format!("{} of {}: {}{enabled}", socket.unit, socket.name, listens.join(" "))
    };
    sockets(files).into_iter().map(show).collect()
}

#[test]
fn a_socket_is_known_by_its_drop_in_its_own_file_or_the_link_that_enables_it() {
    let shown = shown(&[
        ("etc/rouse@a.socket.d/listen.conf", "[Socket]\nListenStream=127.0.0.1:80"),
        ("etc/sockets.target.wants/rouse@a.socket", "-> /nowhere/rouse@.socket"),
        ("usr/rouse@b.socket", "[Socket]\nListenStream=/run/%i\nFileDescriptorName=bee"),
        ("etc/sockets.target.wants/rouse@c-d.socket", "-> /nowhere"),
        ("etc/sockets.target.wants/other.socket", "-> /nowhere"),
        ("etc/rouse@e.service.d/x.conf", ""),
    ]);
    let expected = [
        "rouse@a.socket of a: 127.0.0.1:80, enabled",
        "rouse@b.socket of bee: /run/b",
        "rouse@c-d.socket of c-d: , enabled",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn drop_ins_count_in_the_order_of_their_names_and_the_first_of_a_name_hides_the_others() {
    let shown = shown(&[
        ("usr/rouse@a.socket.d/10.conf", "[Socket]\nListenStream=1"),
        ("usr/rouse@a.socket.d/20.conf", "[Socket]\nListenStream=2"),
        ("etc/rouse@.socket.d/20.conf", "[Socket]\nListenStream=3"),
        ("etc/rouse@a.socket.d/05.conf", "[Socket]\nListenStream=4"),
        ("etc/rouse@a.socket.d/30.con", "[Socket]\nListenStream=5"),
    ]);
    assert_eq!(shown, ["rouse@a.socket of a: port 4 port 1 port 3"]);
}

#[test]
fn a_folder_without_drop_ins_is_no_unit_and_a_pipe_no_drop_in() {
    let root = machine(&[("etc/rouse@b.socket.d/note", "")]);
    fs::create_dir(root.path().join("etc/rouse@a.socket.d")).unwrap();
    let pipe = root.path().join("etc/rouse@b.socket.d/listen.conf");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let sockets = Units::read(path(&root)).sockets;
    let [b] = sockets.as_slice() else { panic!("{sockets:?}") };
    assert!(b.name == "b" && b.addresses.is_empty(), "{b:?}");
}

#[test]
fn an_empty_assignment_undoes_those_before_it() {
    let listen = "[Socket]\nListenStream=1\nListenStream=\nListenStream=2";
    assert_eq!(shown(&[("etc/rouse@a.socket.d/l.conf", listen)]), ["rouse@a.socket of a: port 2"]);
}

#[test]
fn a_hand_written_socket_is_known_by_the_name_of_its_sockets() {
    let shown = shown(&[
        ("etc/web.socket", "[Socket]\nFileDescriptorName=web\nListenStream=80"),
        ("etc/dbus.socket", "[Socket]\nListenStream=/run/dbus"),
        ("usr/web@.socket", "[Socket]\nFileDescriptorName=%i"),
    ]);
    assert_eq!(shown, ["web.socket of web: port 80"]);
}

#[test]
fn what_stands_in_no_section_or_a_wrong_one_is_astray() {
    let sockets = sockets(&[("etc/rouse@a.socket.d/l.conf", "ListenStream=1\n[Sockets]\nListenStream=2")]);
    let astray: Vec<_> =
        sockets[0].files.astray("Socket", "ListenStream").map(|setting| setting.line).collect();
    assert_eq!((astray, sockets[0].addresses.len()), (vec![1, 3], 0));
}

#[test]
fn a_value_that_is_no_address_is_kept_with_its_place() {
    let sockets = sockets(&[("etc/rouse@a.socket.d/l.conf", "[Socket]\nListenStream=localhost:80")]);
    let [address] = sockets[0].addresses.as_slice() else { panic!() };
    assert!(address.listen.is_none() && address.setting.line == 2);
    assert!(address.setting.file.ends_with("etc/rouse@a.socket.d/l.conf"));
}

#[test]
fn a_link_to_dev_null_masks() {
    let masked = sockets(&[("etc/rouse@a.socket", "-> /dev/null")]);
    assert!(masked[0].files.is_masked);
    assert!(!sockets(&[("etc/rouse@a.socket.d/l.conf", "")])[0].files.is_masked);
}

#[test]
fn the_service_of_an_instance_is_read_with_its_drop_ins() {
    let root = machine(&[
        ("usr/rouse@.service", "[Service]\nUser=rouse\n"),
        ("etc/rouse@a.service.d/user.conf", "[Service]\nUser=root\n"),
    ]);
    let units = Units::read(path(&root));
    let user = |instance| units.service(instance).unwrap().last("Service", "User").unwrap().value.clone();
    assert_eq!([user("a"), user("b")], ["root", "rouse"]);
    assert!(units.has_template());
    assert!(Units::read(vec![root.path().join("none")]).service("a").is_none());
}
