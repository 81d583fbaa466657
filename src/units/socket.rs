//! A socket unit and what it makes of its settings.

use std::path::{Path, PathBuf};

use super::file::Setting;
use super::listen::Listen;
use super::specifier::expand;
use super::unit::Unit;
use super::{entries, instance, is_wants};

/// One socket unit.
#[derive(Debug)]
pub struct Socket {
    /// Such as `rouse@ollama.socket`.
    pub unit: String,
    /// What its sockets are called when they are passed: the sidecar's name.
    pub name: String,
    /// Whether that name is written in its files.
    pub is_named: bool,
    /// Where it listens, in the order of the files.
    pub addresses: Vec<Address>,
    /// The link that starts it at boot.
    pub enabled: Option<PathBuf>,
    /// Its files.
    pub files: Unit,
}

/// One address that a socket unit names.
#[derive(Debug)]
pub struct Address {
    /// Where the unit says so.
    pub setting: Setting,
    /// What it says; `None`: nothing that systemd could listen on.
    pub listen: Option<Listen>,
}

impl Socket {
    /// Each address that systemd can listen on, with the place where it is named.
    pub fn listens(&self) -> impl Iterator<Item = (&Setting, &Listen)> {
        self.addresses.iter().filter_map(|address| Some((&address.setting, address.listen.as_ref()?)))
    }

    /// The socket unit `unit`.
    pub(super) fn read(unit: &str, path: &[PathBuf]) -> Option<Socket> {
        let files = Unit::read(unit, path)?;
        let name = files.last("Socket", "FileDescriptorName");
        let is_named = name.is_some();
        let name = name.and_then(|setting| expand(&setting.value, unit));
        let name = name.unwrap_or_else(|| instance(unit).unwrap_or(unit).to_owned());
        let v6_only =
            files.last("Socket", "BindIPv6Only").is_some_and(|setting| setting.value == "ipv6-only");
        let address = |setting: &Setting| {
            let listen = match expand(&setting.value, unit) {
                Some(value) => Listen::parse(&value),
                None => Some(Listen::Elsewhere(setting.value.clone())),
            };
            let listen = listen.map(|listen| match listen {
                Listen::Tcp { ip, port, .. } => Listen::Tcp { ip, port, both: !v6_only },
                listen => listen,
            });
            Address { setting: setting.clone(), listen }
        };
        let addresses = files.all("Socket", "ListenStream").into_iter().map(address).collect();
        let enabled = path.iter().find_map(|directory| link(directory, unit));
        Some(Socket { unit: unit.to_owned(), name, is_named, addresses, enabled, files })
    }

    /// The file that tells most of it.
    pub fn file(&self) -> &Path {
        let files = [self.files.drop_ins.first(), self.enabled.as_ref(), self.files.file.as_ref()];
        files.into_iter().flatten().next().map_or(Path::new(&self.unit), PathBuf::as_path)
    }
}

/// The link to `unit` in one of the directories of wants in `directory`.
fn link(directory: &Path, unit: &str) -> Option<PathBuf> {
    let wants = entries(directory).into_iter().filter(|entry| is_wants(entry));
    wants.map(|wants| directory.join(wants).join(unit)).find(|link| link.symlink_metadata().is_ok())
}
