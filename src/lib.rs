//! rouse wakes a container when somebody connects to its port, and puts it back to sleep when nobody uses it.
//!
//! The modules in reading order; each may use those after it, never those before.

pub mod cli; // argv to an exit code, one file per command

mod helper; // one helper: a life per sidecar, signals, exit

mod activity; // what counts as use, and when a sidecar is idle
mod connections; // the open connections: their tasks are the count
mod room; // clients that came before their container was ready
mod route;
mod sidecar; // the life of one sidecar, in straight lines
mod state; // the state file and its lock
mod status; // the line that systemctl status shows
mod wake; // from asleep to an address that answers // which address stands behind a port

mod events; // what is told of a sidecar, in words

mod config; // files to a checked configuration, every error with its place
mod control; // the control socket
mod dial; // a connection to a container that is thought to answer
mod engine; // what starts and stops containers
mod journal; // events: to journald, or as lines on stderr
mod limits; // how many connections fit
mod name;
mod readiness; // whether an address answers yet
mod relay; // bytes from one socket to another and back
mod socket; // stream sockets on the reactor
mod systemd; // sockets by name in, notifications out // what a sidecar may be called
