//! A container that is not as a sidecar's should be.

use super::{Finding, Severity};
use crate::config::{Ready, Sidecar};
use crate::engine::Container;

/// What its own settings make impossible, or different from what is meant.
pub fn check(settings: &Sidecar, container: &Container) -> Vec<Finding> {
    let name = &settings.container;
    let mut findings = Vec::new();
    if container.is_deleted_when_stopped() {
        let message = "the engine deletes it when it is put to sleep (--rm)";
        let hint = "create it anew without --rm";
        findings.push(Finding::new(Severity::Error, message, hint));
    }
    // `unless-stopped` is fine: what rouse has stopped stays down, and what was awake is adopted.
    if container.restarts_always() {
        let message = "restart=always: the engine starts it again whenever it starts itself";
        let hint = format!("docker update --restart unless-stopped {name}");
        findings.push(Finding::new(Severity::Warning, message, hint));
    }
    let mut findings: Vec<_> =
        findings.into_iter().map(|finding| finding.about_sidecar(&settings.name, "")).collect();
    if settings.ready == Ready::Healthy && !container.has_healthcheck() {
        let message = "\"healthy\", but the container has no HEALTHCHECK: rouse waits for its port instead";
        let hint = "give it a HEALTHCHECK, or set ready to \"tcp\" or \"http:/PATH\"";
        findings.push(Finding::new(Severity::Warning, message, hint).about_sidecar(&settings.name, "ready"));
    }
    if let Some(network) = &settings.network
        && settings.address.is_none()
        && !container.networks().any(|own| own == network)
    {
        let own: Vec<&str> = container.networks().collect();
        let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
        let hint = format!("one of its networks ({own}), or `docker network connect {network} {name}`");
        let finding = Finding::new(Severity::Error, format!("it is not in the network {network:?}"), hint);
        findings.push(finding.about_sidecar(&settings.name, "network"));
    }
    findings.into_iter().map(|finding| finding.of_container(name)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::check;
    use crate::config::Config;
    use crate::engine::Container;
    use crate::name::Name;

    /// What is said of the container of a sidecar `web`, as lines.
    fn said(keys: &str, container: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rouse.toml");
        std::fs::write(&file, format!("[sidecar.web]\n{keys}\n")).unwrap();
        let settings = Config::read(Some(&file)).sidecar(&Name::new("web").unwrap()).unwrap();
        let container: Container = serde_json::from_str(container).unwrap();
        check(&settings, &container).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plain_container_is_fine() {
        assert!(said("", r#"{"Id":"abc","State":{}}"#).is_empty());
    }

    #[test]
    fn a_container_that_ends_with_its_first_sleep_is_an_error() {
        let lines = said("", r#"{"Id":"abc","State":{},"HostConfig":{"AutoRemove":true}}"#);
        assert!(lines[0].starts_with("container web: sidecar.web: the engine deletes it"), "{lines:?}");
    }

    #[test]
    fn only_the_policy_always_is_warned_about() {
        let policy = |name: &str| {
            said(
                "",
                &format!(
                    r#"{{"Id":"abc","State":{{}},"HostConfig":{{"RestartPolicy":{{"Name":"{name}"}}}}}}"#
                ),
            )
        };
        let lines = policy("always");
        assert!(lines[0].starts_with("container web: warning: sidecar.web: restart=always: "), "{lines:?}");
        assert!(lines[0].ends_with(": docker update --restart unless-stopped web"), "{lines:?}");
        assert!(policy("unless-stopped").is_empty() && policy("on-failure").is_empty());
    }

    #[test]
    fn healthy_needs_a_healthcheck() {
        let with = r#"{"Id":"abc","State":{},"Config":{"Healthcheck":{"Test":["CMD","true"]}}}"#;
        let without = r#"{"Id":"abc","State":{},"Config":{}}"#;
        assert!(said("ready = \"healthy\"", with).is_empty() && said("", without).is_empty());
        let lines = said("ready = \"healthy\"", without);
        assert!(lines[0].starts_with("container web: warning: sidecar.web.ready: "), "{lines:?}");
    }

    #[test]
    fn a_network_that_it_is_not_in_is_an_error_unless_an_address_is_dialled() {
        let container = r#"{"Id":"abc","State":{},"NetworkSettings":{"Networks":{"bridge":{}}}}"#;
        assert!(said("network = \"bridge\"", container).is_empty());
        assert!(said("network = \"own\"\naddress = \"127.0.0.1:80\"", container).is_empty());
        let lines = said("network = \"own\"", container);
        assert!(
            lines[0].starts_with("container web: sidecar.web.network: it is not in")
                && lines[0].contains("(bridge)")
        );
    }
}
