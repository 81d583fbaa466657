//! What an admin should mend though nothing has failed: each is said once by a helper.

use std::cell::Cell;
use std::fmt;

use crate::config::{Ready, Sidecar};
use crate::engine::Container;
use crate::journal;
use crate::socket::Address;

/// What has been said of one sidecar.
#[derive(Debug, Default)]
pub struct Warnings {
    no_healthcheck: Cell<bool>,
    published: Cell<bool>,
    restarts: Cell<bool>,
    networks: Cell<bool>,
    stats: Cell<bool>,
}

impl Warnings {
    /// Of a `ready` that tells less than it seems to.
    pub fn of_readiness(&self, settings: &Sidecar, container: &Container) {
        if settings.ready == Ready::Healthy && !container.has_healthcheck() {
            let text =
                "ready = \"healthy\", but the container has no HEALTHCHECK: waiting for its port instead";
            once(&self.no_healthcheck, settings, format_args!("{text}"));
        }
        if settings.ready == Ready::Tcp
            && let Some(Address::Tcp(address)) = &settings.address
            && container.publishes(address).is_some()
        {
            // docker-proxy accepts before the application listens (moby#16976).
            once(
                &self.published,
                settings,
                format_args!(
                    "ready = \"tcp\", but {address} is a published port, which accepts before the container listens: \
                     set `ready` to \"http:/PATH\" or \"log:REGEX\", or dial the container itself without `address`"
                ),
            );
        }
    }

    /// Of a restart policy that starts a container which nobody has asked for.
    pub fn of_restarts(&self, settings: &Sidecar, container: &Container) {
        if container.restarts_always() {
            let text = "the engine starts this container again whenever it starts itself, and no helper is there then: \
                        docker update --restart unless-stopped";
            once(&self.restarts, settings, format_args!("restart=always: {text} {}", settings.container));
        }
    }

    /// Of several networks without a choice between them.
    pub fn of_networks(&self, settings: &Sidecar, network: &str, others: &[String]) {
        let others = others.join(", ");
        once(
            &self.networks,
            settings,
            format_args!("dialling network {network}; also in {others}: set `network` to choose"),
        );
    }

    /// Of an engine that does not tell the CPU time.
    pub fn of_stats(&self, settings: &Sidecar, error: &crate::engine::Error) {
        once(
            &self.stats,
            settings,
            format_args!(
                "its CPU use cannot be read, so work without clients does not keep it awake: {error}: mend that, or set \
                 busy_cpu = 0"
            ),
        );
    }
}

fn once(said: &Cell<bool>, settings: &Sidecar, text: fmt::Arguments<'_>) {
    if !said.replace(true) {
        journal::warn(&settings.name, text);
    }
}
