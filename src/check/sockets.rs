//! Sockets that nobody can connect to, and sidecars without one.

use std::path::Path;

use super::known::{Known, addresses};
use super::{Finding, Severity};
use crate::config::{Config, closest};
use crate::name::Name;
use crate::units::{Socket, Units, instance};

const KEY: &str = "ListenStream";
const RELOAD: &str = "systemctl daemon-reload";

/// What is wrong with the socket units of all sidecars.
pub fn check(config: &Config, units: &Units, known: &Known) -> Vec<Finding> {
    let sockets: Vec<&Socket> = known.values().flatten().copied().collect();
    let mut findings = Vec::new();
    findings.extend(without_template(units, &sockets));
    for socket in &units.sockets {
        if instance(&socket.unit).is_some() {
            findings.extend(misnamed(socket));
        }
    }
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
        format!("{} is an instance of rouse@.socket, which is not in {}", orphan.unit, places(units));
    Some(at(
        orphan,
        Finding::new(Severity::Error, message, format!("install the units of rouse, then {RELOAD}")),
    ))
}

fn misnamed(socket: &Socket) -> Option<Finding> {
    let why = Name::new(&socket.name).err()?;
    let hint = "rename the instance, or set FileDescriptorName= in its drop-in";
    Some(at(socket, Finding::new(Severity::Error, why, hint).about("FileDescriptorName")))
}

/// Why nobody is heard at this socket: it has no address, or is not enabled.
fn unheard(socket: &Socket, all: &[&Socket]) -> Vec<Finding> {
    let unit = &socket.unit;
    if socket.files.is_masked {
        let hint = format!("systemctl unmask {unit}, or disable it and remove its drop-ins");
        return vec![at(
            socket,
            Finding::new(Severity::Warning, format!("{unit} is masked: nothing starts it"), hint),
        )];
    }
    let mut findings = Vec::new();
    for setting in socket.files.astray("Socket", KEY) {
        let place = match setting.section.as_str() {
            "" => "in no section".to_owned(),
            section => format!("in the section [{section}]"),
        };
        let message = format!("{KEY}= stands {place}, where systemd ignores it");
        let finding =
            Finding::new(Severity::Error, message, format!("put a line [Socket] above it, then {RELOAD}"));
        findings.push(finding.in_file(&setting.file, Some(setting.line)).about(KEY));
    }
    for address in socket.addresses.iter().filter(|address| address.listen.is_none()) {
        let message = format!("systemd cannot listen on {:?} and ignores it", address.setting.value);
        let hint = "a port, ADDRESS:PORT with the address in numbers, or the path of a unix socket";
        let finding = Finding::new(Severity::Error, message, hint).about(KEY);
        findings.push(finding.in_file(&address.setting.file, Some(address.setting.line)));
    }
    if socket.addresses.is_empty() && findings.is_empty() {
        findings.push(at(socket, without_address(socket, all)));
    }
    if let (Some(address), None) = (socket.addresses.first(), &socket.enabled) {
        let message = format!("{unit} is not enabled: nothing listens there after the next boot");
        let finding = Finding::new(Severity::Warning, message, format!("systemctl enable --now {unit}"));
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
    let turn_on = format!("{RELOAD} && systemctl enable --now {unit}");
    // What has an address and is not enabled may have been meant for this one.
    let idle: Vec<&Socket> =
        all.iter().copied().filter(|other| other.enabled.is_none() && !other.addresses.is_empty()).collect();
    let names: Vec<&str> = idle.iter().map(|other| other.unit.as_str()).collect();
    let meant = closest(unit, &names).and_then(|name| idle.iter().find(|other| other.unit == name));
    let meant = meant.and_then(|other| other.addresses.first()?.setting.file.parent());
    let hint = match meant {
        Some(directory) => {
            format!("if {} was meant for it, rename that to {unit}.d, then {turn_on}", directory.display())
        }
        None => format!(
            "write a section [Socket] with {KEY}=ADDRESS:PORT into /etc/systemd/system/{unit}.d/listen.conf, then {turn_on}"
        ),
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
            format!("no socket units were looked at: there is no rouse@.socket in {}", places(units));
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
            "write a section [Socket] with {KEY}=ADDRESS:PORT into /etc/systemd/system/{unit}.d/listen.conf (a path where only \
             others require it), then {RELOAD} && systemctl enable --now {unit}"
        );
        Finding::new(Severity::Warning, message, hint).in_config(place).about_sidecar(name, "")
    };
    alone.into_iter().map(finding).collect()
}

/// The finding at the file that tells most of the socket.
fn at(socket: &Socket, finding: Finding) -> Finding {
    let files = [socket.files.drop_ins.first(), socket.enabled.as_ref(), socket.files.file.as_ref()];
    match files.into_iter().flatten().next() {
        Some(file) => finding.in_file(file, None),
        None => finding.in_file(Path::new(&socket.unit), None),
    }
}

fn places(units: &Units) -> String {
    units.path().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
