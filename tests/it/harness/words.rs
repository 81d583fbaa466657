//! What the engines say: each refuses the same in a status and in words of its own.

use super::docker::is_podman;

/// One refusal, as either engine says it.
pub struct Words {
    docker: (u16, &'static str),
    podman: (u16, &'static str),
}

/// There is no container of that name.
pub const NO_CONTAINER: Words =
    Words { docker: (404, "No such container"), podman: (404, "no such container") };
/// Another container has the port.
pub const PORT_TAKEN: Words =
    Words { docker: (500, "port is already allocated"), podman: (500, "address already in use") };
/// Its command is not there.
pub const NO_COMMAND: Words =
    Words { docker: (400, "no such file or directory"), podman: (500, "command that was not found") };
/// Its log goes nowhere.
pub const NO_LOG: Words = Words {
    docker: (500, "logging driver does not support reading"),
    podman: (500, "log driver, cannot read logs"),
};

impl Words {
    fn here(&self) -> (u16, &'static str) {
        if is_podman() { self.podman } else { self.docker }
    }

    /// The status of the suite's engine.
    pub fn status(&self) -> u16 {
        self.here().0
    }

    /// Its words.
    pub fn text(&self) -> &'static str {
        self.here().1
    }
}
