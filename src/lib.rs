//! rouse wakes a container when somebody connects to its port, and puts it back to sleep when nobody uses it.
//!
//! The modules in reading order; each may use those after it, never those before.

// argv to an exit code, one file per command
pub mod cli;

// all sidecars of this machine, looked at and not asked
mod survey;
// what a terminal shows well
mod terminal;
// what will not work, and how to mend it
mod check;
// configuration and socket for a container that exists, and their removal
mod add;
// what was counted of all sidecars, for Prometheus
mod metrics;

// one helper: a life per sidecar, signals, exit
mod helper;

// the life of one sidecar, in straight lines
mod sidecar;
// a turn of an exclusive group
mod exclusive;
// from asleep to an address that answers
mod wake;
// why a sidecar cannot be used now
mod failure;
// what an admin should mend, said once
mod warnings;
// clients that came before their container was ready, and callers
mod room;
// the open connections: their tasks are the count
mod connections;
// who comes in at a sidecar's sockets, and when he counts as asking
mod door;
// what counts as use, and when a pause or sleep is due
mod activity;
// the state file and its lock
mod state;
// what is told of a sidecar, in words
mod events;
// a sidecar's holds on those that it requires
mod requirements;
// one wake at a time in an exclusive group
mod group;
// which address stands behind a port
mod route;
// whether an address answers yet
mod readiness;
// a connection to a container that is thought to answer
mod dial;

// the other sidecars, wherever they live
mod neighbours;
// the control socket
mod control;
// what can be asked of a sidecar by those who are not its clients
mod calls;
// who keeps a sidecar awake
mod holds;
// what the sidecars of a helper say of themselves
mod status;
// a sidecar as it is shown to others
mod shown;
// what the state file holds
mod record;
// why a sidecar is as it is
mod why;
// what starts and stops containers
mod engine;
// bytes from one socket to another and back
mod relay;
// files to a checked configuration, every error with its place
mod config;
// the header that tells a container who its client is
mod proxy_protocol;

// the units of sidecars, as their files say
mod units;
// words such that a shell reads each as it is
mod shell;
// the time of day, and times as people read them
mod clock;
// the folders that all helpers and commands of one manager share
mod places;
// a file that one process at a time has
mod lock;
// how many connections fit
mod limits;
// stream sockets on the reactor
mod socket;
// events: to journald, or as lines on stderr
mod journal;
// sockets by name in, notifications out
mod systemd;
// what a sidecar may be called
mod name;

// that each module uses only those after it
#[cfg(test)]
mod order;
