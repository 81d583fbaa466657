//! Whether the helper may use its engine: it runs as a user of its own.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::{Finding, Severity};
use crate::units::Unit;

/// Who wants to use a socket.
struct Who {
    uid: u32,
    gids: Vec<u32>,
}

/// Why the helper of `service` cannot use the engine's socket, if it is there.
pub fn check(service: &Unit, socket: &Path) -> Option<Finding> {
    let name = service.last("Service", "User").map_or("root", |setting| setting.value.as_str());
    let user = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    let Some(user) = user.ok()? else {
        let finding = Finding::new(
            Severity::Error,
            format!("user {name}, as whom the helper runs, does not exist"),
            "systemd-sysusers makes the users of installed packages",
        );
        let file = service.file.as_deref()?;
        return Some(finding.in_file(file, None).about("User"));
    };
    let who = Who { uid: user.uid.as_raw(), gids: groups(service, &user) };
    let (barrier, metadata) = barrier(&who, socket)?;
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    let hint = match group.filter(|group| metadata.mode() & 0o020 != 0 && group.name != "root") {
        Some(group) => format!("usermod --append --groups {} {name}", group.name),
        None => format!("give it to a group that may use it, and put {name} into that group"),
    };
    let what =
        if barrier == socket { "the engine's socket".to_owned() } else { barrier.display().to_string() };
    let message = format!("user {name}, as whom the helper runs, may not use {what}");
    Some(Finding::new(Severity::Error, message, hint).in_file(socket, None))
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

/// The first on the way to `socket` that keeps `who` out; none also where it cannot be seen.
fn barrier<'a>(who: &Who, socket: &'a Path) -> Option<(&'a Path, Metadata)> {
    let mut way: Vec<&Path> = socket.ancestors().collect();
    way.reverse();
    let bits = |path: &Path| if path == socket { 0o6 } else { 0o1 };
    let closed = |path: &'a Path| {
        let metadata = fs::metadata(path).ok()?;
        (!who.may(bits(path), &metadata)).then_some((path, metadata))
    };
    way.into_iter().find_map(closed)
}

impl Who {
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

    use super::{Who, barrier};

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
            barrier(who, &socket).map(|(path, _)| path.to_owned())
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
}
