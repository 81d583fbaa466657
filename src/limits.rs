//! How many descriptors this process may have, and how many connections fit into them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the helper itself has open: listeners, reactor, signals, state, engine calls.
const OWN: usize = 16;
/// Of the others, one in four is kept for pipes, but no more than this many.
const PIPES: usize = 512;

/// Raises the soft limit to the hard one: systemd keeps it at 1024 for programs that use select(2), and asks others to do
/// so (systemd.exec(5), LimitNOFILE=).
pub fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Whatever is refused here shows as a lower `connections`.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// How many connections of two sockets each fit.
pub fn connections() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let descriptors = usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(OWN);
    (descriptors - (descriptors / 4).min(PIPES)) / 2
}
