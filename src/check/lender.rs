//! The container whose network a sidecar's shares: it must run first.

use super::{Finding, Severity};
use crate::config::{Config, Sidecar};
use crate::engine::{Container, Error};

/// Why the sidecar cannot wake beside `lender`, which is what the engine says of that container.
pub fn check(config: &Config, settings: &Sidecar, lender: &Result<Container, Error>) -> Option<Finding> {
    let finding = match lender {
        Ok(lender) if lender.is_up() => return None,
        Ok(lender) => {
            let is_it = |required: &Sidecar| lender.is_called(&required.container);
            if settings
                .requires
                .iter()
                .any(|name| config.sidecar(name).is_ok_and(|required| is_it(&required)))
            {
                return None;
            }
            let other = lender.name();
            let message =
                format!("it shares the network of container {other}, which does not run: it cannot start");
            let hint = format!("start {other}, or make it a sidecar too and name that in `requires`");
            Finding::new(Severity::Warning, message, hint)
        }
        Err(Error::NoSuchContainer { .. }) => {
            let message = "it shares the network of a container that is gone: it cannot start any more";
            Finding::new(Severity::Error, message, "create it anew")
        }
        Err(error) => {
            let message = format!("{error}, so the container whose network it shares was not looked at");
            Finding::new(Severity::Warning, message, "see how the engine is, and try again")
        }
    };
    Some(finding.about_sidecar(&settings.name, "").of_container(&settings.container))
}
