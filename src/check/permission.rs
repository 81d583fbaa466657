//! Whether the helper may use its engine and read its configuration: it runs as a user of its own.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

use super::{Finding, Severity};
use crate::places;
use crate::units::Unit;

/// What connecting to a socket needs.
const USE: u32 = 0o6;
/// The socket of a Podman that is root's, which is for root alone as Podman comes.
const PODMAN: &str = "/run/podman/podman.sock";
/// What opens it to a group and makes the helper's user a member.
const PODMAN_HINT: &str = "cp -r /usr/share/doc/rouse/examples/podman/etc/. /etc/ && systemd-sysusers && systemd-tmpfiles --create podman-rouse.conf && systemctl daemon-reload && systemctl restart podman.socket";
/// What reading a file needs.
const READ: u32 = 0o4;

/// Who wants to use a socket or to read a file.
struct Who {
    uid: u32,
    gids: Vec<u32>,
}

/// Why the helper of `service` cannot use the engine's socket, if it is there.
pub fn check(service: &Unit, socket: &Path) -> Option<Finding> {
    let name = user_name(service);
    let Some(user) = user(&name)? else {
        let finding = Finding::new(
            Severity::Error,
            format!("user {name}, as whom the helper runs, does not exist"),
            "systemd-sysusers makes the users of installed packages",
        );
        let file = service.file.as_deref()?;
        return Some(finding.in_file(file, None).about("User"));
    };
    let (barrier, metadata) = barrier(&Who::of(service, &user), socket, USE)?;
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    let rights = if barrier == socket { 0o020 } else { 0o010 };
    let hint = match group.filter(|group| metadata.mode() & rights != 0 && group.name != "root") {
        Some(group) => format!("usermod --append --groups {} {name}", group.name),
        None if socket == Path::new(PODMAN) && places::are_users() => {
            "systemctl --user enable --now podman.socket gives you a Podman of your own".to_owned()
        }
        None if socket == Path::new(PODMAN) => PODMAN_HINT.to_owned(),
        None => format!("give it to a group that may use it, and put {name} into that group"),
    };
    let what =
        if barrier == socket { "the engine's socket".to_owned() } else { barrier.display().to_string() };
    let message = format!("user {name}, as whom the helper runs, may not use {what}");
    Some(Finding::new(Severity::Error, message, hint).in_file(socket, None))
}

/// Why the helper of `service` cannot read a configuration file. Whoever looks may be root, and see no difficulty.
pub fn unreadable(service: &Unit, file: &Path) -> Option<Finding> {
    let name = user_name(service);
    let (barrier, _) = barrier(&Who::of(service, &user(&name)??), file, READ)?;
    let message = format!(
        "user {name}, as whom the helper runs, may not read it, so it rejects all of its configuration"
    );
    let right = if barrier == file { "r" } else { "x" };
    let hint = format!("chmod o+{right} {}, or give it to a group of {name}", barrier.display());
    Some(Finding::new(Severity::Error, message, hint).in_file(file, None))
}

fn user_name(service: &Unit) -> String {
    let given = service.last("Service", "User").map(|setting| setting.value.clone());
    // A user's manager runs all as that user.
    let own = || places::are_users().then(|| User::from_uid(geteuid()).ok().flatten()).flatten();
    given.or_else(|| Some(own()?.name)).unwrap_or_else(|| "root".into())
}

/// The user of this name or number; none within if there is none, and none at all if that cannot be known.
fn user(name: &str) -> Option<Option<User>> {
    let user = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    user.ok()
}

fn groups(service: &Unit, user: &User) -> Vec<u32> {
    let own = CString::new(user.name.clone()).ok().and_then(|name| getgrouplist(&name, user.gid).ok());
    let settings =
        service.all("Service", "SupplementaryGroups").into_iter().chain(service.last("Service", "Group"));
    let named = settings.flat_map(|setting| setting.value.split_whitespace()).filter_map(gid);
    own.unwrap_or_default().into_iter().map(Gid::as_raw).chain(named).collect()
}

fn gid(name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| Some(Group::from_name(name).ok()??.gid.as_raw()))
}

/// The first on the way to `end` that keeps `who` out, who wants `rights` there; none also where it cannot be seen.
fn barrier<'a>(who: &Who, end: &'a Path, rights: u32) -> Option<(&'a Path, Metadata)> {
    let mut way: Vec<&Path> = end.ancestors().collect();
    way.reverse();
    let bits = |path: &Path| if path == end { rights } else { 0o1 };
    let closed = |path: &'a Path| {
        let metadata = fs::metadata(path).ok()?;
        (!who.may(bits(path), &metadata)).then_some((path, metadata))
    };
    way.into_iter().find_map(closed)
}

impl Who {
    fn of(service: &Unit, user: &User) -> Who {
        Who { uid: user.uid.as_raw(), gids: groups(service, user) }
    }

    fn may(&self, bits: u32, metadata: &Metadata) -> bool {
        // Of the three classes the first that fits decides, as in the kernel.
        let shift = match metadata.uid() == self.uid {
            true => 6,
            false if self.gids.contains(&metadata.gid()) => 3,
            false => 0,
        };
        self.uid == 0 || metadata.mode() >> shift & bits == bits
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::{READ, USE, Who, barrier};

    #[test]
    fn the_way_to_a_socket_may_be_closed_anywhere() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        fs::write(&socket, "").unwrap();
        let metadata = fs::metadata(&socket).unwrap();
        let (owner, group) = (metadata.uid(), metadata.gid());
        let stranger = Who { uid: owner + 4242, gids: vec![group + 4242] };
        let member = Who { uid: owner + 4242, gids: vec![group] };
        let closed = |who: &Who, directory_mode: u32, mode: u32| {
            fs::set_permissions(directory.path(), Permissions::from_mode(directory_mode)).unwrap();
            fs::set_permissions(&socket, Permissions::from_mode(mode)).unwrap();
            barrier(who, &socket, USE).map(|(path, _)| path.to_owned())
        };
        assert_eq!(closed(&member, 0o755, 0o660), None);
        assert_eq!(closed(&stranger, 0o755, 0o660), Some(socket.clone()));
        assert_eq!(closed(&stranger, 0o755, 0o666), None);
        assert_eq!(closed(&stranger, 0o700, 0o666), Some(directory.path().to_owned()));
        assert_eq!(
            closed(&member, 0o750, 0o606),
            Some(socket.clone()),
            "the group's bits decide for a member"
        );
        assert_eq!(closed(&Who { uid: 0, gids: vec![0] }, 0o700, 0o600), None);
    }

    #[test]
    fn who_may_read_a_file_need_not_write_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rouse.toml");
        fs::write(&file, "").unwrap();
        let set =
            |path: &std::path::Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let stranger = Who { uid: fs::metadata(&file).unwrap().uid() + 4242, gids: Vec::new() };
        set(directory.path(), 0o755);
        set(&file, 0o644);
        assert!(barrier(&stranger, &file, READ).is_none());
        set(&file, 0o640);
        assert_eq!(barrier(&stranger, &file, READ).unwrap().0, file);
        set(&file, 0o644);
        set(directory.path(), 0o700);
        assert_eq!(barrier(&stranger, &file, READ).unwrap().0, directory.path());
    }
}
