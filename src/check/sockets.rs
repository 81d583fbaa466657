//! Sockets that nobody can connect to, and sidecars without one.

use super::known::{Known, addresses};
use super::{Finding, Severity};
use crate::config::{Config, closest};
use crate::name::Name;
use crate::places::{self, systemctl};
use crate::units::{Socket, Units, instance};

const KEY: &str = "ListenStream";

/// What is wrong with the socket units of all sidecars.
pub fn check(config: &Config, units: &Units, known: &Known) -> Vec<Finding> {
    let sockets: Vec<&Socket> = known.values().flatten().copied().collect();
    let mut findings = Vec::new();
    findings.extend(without_template(units, &sockets));
    let instances = units.sockets.iter().filter(|socket| instance(&socket.unit).is_some());
    findings.extend(instances.filter_map(misnamed));
    for socket in &sockets {
        findings.extend(unheard(socket, &sockets));
    }
    findings.extend(clashes(&sockets));
    findings.extend(without_socket(config, units, known));
    findings
}

/// Instances of a template that is not there.
fn without_template(units: &Units, sockets: &[&Socket]) -> Option<Finding> {
    let orphan = sockets.iter().find(|socket| socket.files.file.is_none())?;
    let message =
        format!("{} is an instance of rouse@.socket, which is not in {}", orphan.unit, searched(units));
    let hint = format!("install the units of rouse, then {} daemon-reload", systemctl());
    Some(Finding::new(Severity::Error, message, hint).in_file(orphan.file(), None))
}

fn misnamed(socket: &Socket) -> Option<Finding> {
    let why = Name::new(&socket.name).err()?;
    let hint = "rename the instance, or set FileDescriptorName= in its drop-in";
    let finding = Finding::new(Severity::Error, why, hint).in_file(socket.file(), None);
    Some(finding.about("FileDescriptorName"))
}

/// Why nobody is heard at this socket: it has no address, or is not enabled.
fn unheard(socket: &Socket, all: &[&Socket]) -> Vec<Finding> {
    let unit = &socket.unit;
    if socket.files.is_masked {
        let message = format!("{unit} is masked: nothing starts it");
        let hint = format!("{} unmask {unit}, or disable it and remove its drop-ins", systemctl());
        return vec![Finding::new(Severity::Warning, message, hint).in_file(socket.file(), None)];
    }
    let mut findings = ignored(socket);
    if socket.addresses.is_empty() && findings.is_empty() {
        findings.push(without_address(socket, all).in_file(socket.file(), None));
    }
    if let (Some(address), None) = (socket.addresses.first(), &socket.enabled) {
        let message = format!("{unit} is not enabled: nothing listens there after the next boot");
        let finding =
            Finding::new(Severity::Warning, message, format!("{} enable --now {unit}", systemctl()));
        findings.push(finding.in_file(&address.setting.file, Some(address.setting.line)));
    }
    findings
}

/// Addresses that systemd makes nothing of.
fn ignored(socket: &Socket) -> Vec<Finding> {
    let mut findings = Vec::new();
    for setting in socket.files.astray("Socket", KEY) {
        let place = match setting.section.as_str() {
            "" => "in no section".to_owned(),
            section => format!("in the section [{section}]"),
        };
        let message = format!("it stands {place}, where systemd ignores it");
        let finding = Finding::new(
            Severity::Error,
            message,
            format!("put a line [Socket] above it, then {}", reloaded(&format!("restart {}", socket.unit))),
        );
        findings.push(finding.in_file(&setting.file, Some(setting.line)).about(KEY));
    }
    for address in socket.addresses.iter().filter(|address| address.listen.is_none()) {
        let message = format!("systemd cannot listen on {:?} and ignores it", address.setting.value);
        let hint = "a port, ADDRESS:PORT with the address in numbers, or the path of a unix socket";
        let finding = Finding::new(Severity::Error, message, hint).about(KEY);
        findings.push(finding.in_file(&address.setting.file, Some(address.setting.line)));
    }
    findings
}

fn without_address(socket: &Socket, all: &[&Socket]) -> Finding {
    let unit = &socket.unit;
    let (severity, what) = match socket.enabled {
        Some(_) => (Severity::Error, format!("{unit} is enabled, but no drop-in says where it listens")),
        None => (Severity::Warning, format!("{unit} has drop-ins, but none says where it listens")),
    };
    let turn_on = turn_on(unit);
    // What has an address and is not enabled may have been meant for this one.
    let idle: Vec<&Socket> =
        all.iter().copied().filter(|other| other.enabled.is_none() && !other.addresses.is_empty()).collect();
    let names: Vec<&str> = idle.iter().map(|other| other.name.as_str()).collect();
    let meant = closest(&socket.name, &names).and_then(|name| idle.iter().find(|other| other.name == name));
    let meant = meant.and_then(|other| other.addresses.first()?.setting.file.parent());
    let hint = match meant {
        Some(directory) => {
            format!(
                "if {} was meant for it, rename that to {unit}.d, then {turn_on}; else {} disable {unit}",
                directory.display(),
                systemctl()
            )
        }
        None => {
            format!("write a section [Socket] with {KEY}=ADDRESS:PORT into {}, then {turn_on}", drop_in(unit))
        }
    };
    Finding::new(severity, what, hint).about(KEY)
}

/// Pairs of addresses of which only one can be had.
fn clashes(sockets: &[&Socket]) -> Vec<Finding> {
    let all = addresses(sockets);
    let mut findings = Vec::new();
    for (number, (socket, setting, listen)) in all.iter().enumerate() {
        for (other, elsewhere, taken) in all.iter().take(number).filter(|(.., taken)| taken.clashes(listen)) {
            let severity = match socket.enabled.is_some() && other.enabled.is_some() {
                true => Severity::Error,
                false => Severity::Warning,
            };
            let message = format!(
                "{} listens on {listen}, but {} has {taken} ({}:{})",
                socket.unit,
                other.unit,
                elsewhere.file.display(),
                elsewhere.line
            );
            let hint = "only one of them can start: choose another port or address";
            let finding = Finding::new(severity, message, hint).about(KEY);
            findings.push(finding.in_file(&setting.file, Some(setting.line)));
        }
    }
    findings
}

/// Tables of sidecars that no socket belongs to.
fn without_socket(config: &Config, units: &Units, known: &Known) -> Vec<Finding> {
    let alone = known.iter().filter(|(_, sockets)| sockets.is_empty());
    let alone: Vec<_> = alone.filter_map(|(name, _)| Some((name, config.table(name)?))).collect();
    if !units.has_template() && known.values().all(Vec::is_empty) {
        // No machine of rouse, or not yet: here only the configuration can be looked at.
        let message =
            format!("no socket units were looked at: there is no rouse@.socket in {}", searched(units));
        let hint = "on the machine where the sidecars run, install the units of rouse";
        return (!alone.is_empty())
            .then(|| Finding::new(Severity::Note, message, hint))
            .into_iter()
            .collect();
    }
    let finding = |(name, place)| {
        let unit = format!("rouse@{name}.socket");
        let message = "this sidecar has no socket, so nobody can wake it";
        let hint = format!(
            "write a section [Socket] with {KEY}=ADDRESS:PORT into {} (a path where only others require it), then {}",
            drop_in(&unit),
            turn_on(&unit)
        );
        Finding::new(Severity::Warning, message, hint).in_config(place).about_sidecar(name, "")
    };
    alone.into_iter().map(finding).collect()
}

/// Where the address of a socket unit belongs.
fn drop_in(unit: &str) -> String {
    places::units().join(format!("{unit}.d/listen.conf")).display().to_string()
}

/// What is typed once that is written.
fn turn_on(unit: &str) -> String {
    reloaded(&format!("enable --now {unit}"))
}

fn reloaded(then: &str) -> String {
    format!("{0} daemon-reload && {0} {then}", systemctl())
}

fn searched(units: &Units) -> String {
    units.path().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::known::sidecars;
    use super::{Units, check};
    use crate::config::Config;

    /// What is said of the units in `directory`, without the directory's name.
    fn said(directory: &Path) -> Vec<String> {
        let config = Config::read_in(directory);
        let units = Units::read(vec![directory.to_owned()]);
        let findings = check(&config, &units, &sidecars(&config, &units));
        let directory = format!("{}/", directory.display());
        findings.iter().map(|finding| finding.to_string().replace(&directory, "")).collect()
    }

    /// A directory with the template, and with drop-ins that let these instances listen.
    fn listening(sockets: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("rouse@.socket"), "[Socket]\nFileDescriptorName=%i\n").unwrap();
        for (name, address) in sockets {
            let drop_ins = directory.path().join(format!("rouse@{name}.socket.d"));
            fs::create_dir(&drop_ins).unwrap();
            fs::write(drop_ins.join("listen.conf"), format!("[Socket]\nListenStream={address}\n")).unwrap();
        }
        directory
    }

    fn enable(directory: &Path, unit: &str) {
        let wants = directory.join("sockets.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink("/nowhere", wants.join(unit)).unwrap();
    }

    #[test]
    fn sockets_that_are_enabled_and_apart_are_fine() {
        let directory = listening(&[("a", "127.0.0.1:80"), ("b", "127.0.0.2:80"), ("c", "%t/%i")]);
        for name in ["a", "b", "c"] {
            enable(directory.path(), &format!("rouse@{name}.socket"));
        }
        assert_eq!(said(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn a_clash_is_an_error_once_both_are_enabled() {
        let directory = listening(&[("a", "80"), ("b", "0.0.0.0:80")]);
        enable(directory.path(), "rouse@a.socket");
        let clash = "ListenStream: rouse@b.socket listens on 0.0.0.0:80, but rouse@a.socket has port 80 \
                     (rouse@a.socket.d/listen.conf:2): only one of them can start: choose another port or address";
        let place = "rouse@b.socket.d/listen.conf:2:";
        let before = said(directory.path());
        assert!(before[0].contains("rouse@b.socket is not enabled"), "{before:?}");
        assert_eq!(before[1..], [format!("{place} warning: {clash}")]);
        enable(directory.path(), "rouse@b.socket");
        assert_eq!(said(directory.path()), [format!("{place} {clash}")]);
    }

    #[test]
    fn an_address_named_twice_is_a_clash_too() {
        let directory = listening(&[("a", "80\nListenStream=80")]);
        enable(directory.path(), "rouse@a.socket");
        let lines = said(directory.path());
        assert!(
            lines.len() == 1 && lines[0].starts_with("rouse@a.socket.d/listen.conf:3: ListenStream: "),
            "{lines:?}"
        );
    }

    #[test]
    fn only_a_drop_in_of_nearly_that_name_is_thought_to_be_mistyped() {
        for (name, is_near) in [("olama", true), ("ollama2", true), ("db", false)] {
            let directory = listening(&[(name, "80")]);
            enable(directory.path(), "rouse@ollama.socket");
            let lines = said(directory.path());
            let place =
                "sockets.target.wants/rouse@ollama.socket: ListenStream: rouse@ollama.socket is enabled, but";
            let line = lines.iter().find(|line| line.starts_with(place)).unwrap();
            assert_eq!(line.contains(&format!("if rouse@{name}.socket.d was meant")), is_near, "{line}");
        }
    }

    #[test]
    fn a_masked_socket_is_warned_about_instead_of_all_else() {
        let directory = listening(&[("a", "80")]);
        symlink("/dev/null", directory.path().join("rouse@a.socket")).unwrap();
        let lines = said(directory.path());
        assert!(lines.len() == 1 && lines[0].contains("warning: rouse@a.socket is masked"), "{lines:?}");
    }

    #[test]
    fn an_instance_that_cannot_be_a_sidecars_name_is_an_error() {
        let lines = said(listening(&[("control", "80")]).path());
        assert!(
            lines.len() == 1 && lines[0].contains("FileDescriptorName: \"control\" is reserved"),
            "{lines:?}"
        );
    }
}
