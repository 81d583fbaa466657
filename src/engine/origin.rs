//! Who has made a container, as its labels tell.

use std::collections::BTreeMap;

use super::Container;

/// The label with the service's name that Compose gives its containers.
pub(super) const SERVICE: &str = "com.docker.compose.service";

/// By their keys.
pub(super) type Labels = BTreeMap<String, String>;

/// Which service of which Compose project a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compose {
    /// What the service is called in the Compose file.
    pub service: String,
    /// The folder of that file.
    pub folder: Option<String>,
}

impl Container {
    /// Which service of a Compose project it is, if it is one.
    pub fn compose(&self) -> Option<Compose> {
        let service = self.label(SERVICE)?.to_owned();
        let folder = self.label("com.docker.compose.project.working_dir").map(str::to_owned);
        Some(Compose { service, folder })
    }

    /// The systemd unit that makes it anew at each start, as Quadlet's do.
    pub fn unit(&self) -> Option<&str> {
        self.label("PODMAN_SYSTEMD_UNIT")
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = self.config.as_ref()?.labels.as_ref()?;
        labels.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}
