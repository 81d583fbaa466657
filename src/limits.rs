//! How many descriptors this process may have, and how many connections fit into them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the helper itself has open: listeners, reactor, signals, state, engine calls.
const OWN: usize = 16;
/// Of the others, one in four is kept for pipes, but no more than this many: a user has room for twice as many pipes of full
/// size (pipe(7), pipe-user-pages-soft).
const PIPES: usize = 1024;

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
    (descriptors() - 2 * pipes()) / 2
}

/// How many pipes of two ends each are kept for them.
pub fn pipes() -> usize {
    (descriptors() / 4).min(PIPES) / 2
}

fn descriptors() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(OWN)
}
