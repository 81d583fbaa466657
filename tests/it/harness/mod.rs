//! What plays systemd, the clients and the containers, and says everything when a test fails.

mod between; // a helper with the test on both of its sides
mod client; // what a client sees: answers, clean ends, resets
mod container; // a container for one test, removed with it
mod control; // the control socket of a sidecar, as another program calls it
mod dice; // numbers that nobody foresees, the same in every run
mod docker; // the engine's command line, and what the suite may use
mod documented; // the calls to an engine that docs/security.md lists
mod engine; // an engine of a test's own, which it may stop, kill and halt
mod gate; // what somebody waits at until the test lets him pass
mod host; // what systemd is to a helper: it holds the sockets and knows how the helper fares
mod left; // a state file as a helper has left it
mod listener; // one listening socket and its name
mod plan; // what a host is set up with
mod proxy; // the filter of packaging/examples before the engine
mod process; // a helper from outside: descriptors and their limit, pipes, memory
mod record; // all that a helper did and said, and waiting for it
mod recorder; // a socket before the engine's: records, delays and falsifies calls
mod scene; // what many tests begin with
mod spawn; // starting processes with exactly the descriptors meant for them
mod tape; // bytes that know their place
mod town; // hosts that share what all helpers of one machine share
mod unit; // the part of a service unit that matters here, and the manager that keeps it
mod wait; // deadlines instead of sleeps
mod witness; // which containers ran at the same time, as the engine tells it
mod words; // what the engines say: each refuses the same in words of its own

pub use between::{Between, Pair, stuff, unread_behind};
pub use client::{Client, End, is_reset};
pub use container::{Container, Network, PORT, SERVERS};
pub use control::Control;
pub use dice::Dice;
pub use docker::{
    asks_healthchecks, docker, docker_anyway, docker_exec, engine_socket, engine_version, is_podman, skip,
    slack,
};
pub use documented::documented;
pub use engine::Engine;
pub use gate::Gate;
pub use host::Host;
pub use left::leave;
pub use listener::{Address, Kind, free_port, queued};
pub use plan::Plan;
pub use process::{
    bytes_in_pipes, descriptors, limit_open_files, next_number, pipe_sizes, private_memory, processor_time,
    until_in_state,
};
pub use proxy::Proxy;
pub use record::Facts;
pub use recorder::{Action, Call, Recorder, Rule};
pub use scene::{behind_recorder, engine_vanishes_in};
pub use spawn::{output, spawn, spawn_with};
pub use tape::Tape;
pub use town::{Town, home};
pub use wait::until;
pub use witness::Witness;
pub use words::{NO_COMMAND, NO_CONTAINER, NO_LOG, PORT_TAKEN};
