//! The real binary, driven through the same door as systemd, against a real engine with real servers in containers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness; // what plays systemd, the clients and the containers, and says everything when a test fails

mod add; // from a container that exists to its first connection, and back
mod addresses; // where a container is dialled: networks, host, another container, an override
mod adopt; // what runs without a helper is given one, and nothing else is touched
mod around_sleep; // clients that come at any moment around the end of a helper
mod awaited; // whoever waits for something is neither left with a frozen container nor cut off by sleep
mod backpressure; // readers that do not read
mod burst; // thousands of clients at one moment
mod busy; // a container that works is in use, whoever is connected
mod by_hand; // what somebody does to a container by hand is followed and never undone
mod check; // what `rouse check` finds in units and containers
mod calls; // what is asked of the engine: the calls that docs/security.md lists, and no others
mod clients; // the usual clients of usual servers see through rouse what they see without it
mod commands; // what an admin asks for in a terminal, and with which exit code it is answered
mod configuration; // what a wrong file stops, and what it leaves working
mod containers; // the container dies, vanishes, comes back, or was running before
mod crowd; // many clients, many sidecars, full tables
mod ends; // how a connection ends: after a half-close, after urgent data
mod engine; // the calls to the engine: version, order, every refusal shown
mod exclusive; // at most one of a group runs at a time, and whoever is unused makes room
mod fail_open; // without an engine, clients are connected straight to `address`
mod failure; // wakes that fail: how often, in which words, and what counts as no failure yet
mod handover; // which sockets are taken, by which names, and what is refused
mod holds; // who holds a sidecar wakes it and keeps it awake
mod idle; // what counts as use, and when a sidecar goes to sleep
mod interruptions; // the helper or the engine goes away, at every stage
mod lives; // whatever is done to a sidecar: one call at a time, an answer or an end for everybody, sleep
mod load; // what must go on while bytes or clients never cease
mod metrics; // what Prometheus is told, by the command and over HTTP
mod notifications; // what systemd is told, and when
mod openapi; // the control socket answers as docs/openapi.yaml says, and in no other way
mod outage; // the engine restarts, hangs or vanishes while containers run on or die with it
mod pausing; // a container is frozen between its last use and its sleep, and thawed by whoever wants something of it
mod pieces; // small pieces that have gathered unread
mod pipes; // pipes are open while bytes are under way, and a moment longer
mod proxy_protocol; // what the container is told of its clients before their first byte
mod readiness; // lines of this run's log, own checks, paced probes, and what is warned about
mod reasons; // whoever looks is told why a sidecar is as it is
mod relay; // bytes, half-close, reset and urgent data, both ways
mod reload; // when a changed configuration takes effect, and what that disturbs
mod requires; // what a sidecar requires is woken before it and kept awake with it
mod scarcity; // no descriptors left: for clients, for pipes
mod sequences; // whatever the two sides do: every byte and every end
mod steering; // what is asked of a sidecar over its control socket is done, or refused with the reason
mod status; // whoever looks sees what is true, and neither wakes nor starts anything
mod strange; // whatever stands in a file, and whoever stops reading, brings no command down
mod succession; // what the next helper makes of a wake that was cut off
mod typescript; // old callers keep working: the functions of packaging/examples/typescript, run by node
mod unattended; // what is done by hand while no helper is there stands
mod wake; // from the first client to its first byte: readiness, death, lateness
mod wake_on_data; // who connects and sends nothing wakes nothing and disturbs nobody
