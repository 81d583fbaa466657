//! Pipes are open while bytes are under way, and a moment longer.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::harness::{Between, Pair, descriptors, pipe_sizes, stuff, until};

const CONNECTIONS: usize = 8;
const KIB: usize = 1 << 10;

#[test]
fn who_waits_for_a_reader_has_a_pipe_and_who_is_quiet_has_none() {
    let between = Between::new();
    let pairs: Vec<Pair> = (0..CONNECTIONS).map(|_| between.pair()).collect();
    let pid = between.host.pid();
    // Nothing has been sent yet: what there is was inherited.
    let others = descriptors(pid);

    // More than the buffers of both sockets hold, which may grow meanwhile, so that the rest waits in a pipe.
    let mut sent = vec![0; CONNECTIONS];
    let wanted = BTreeMap::from([(64 * KIB, CONNECTIONS - 4), (1024 * KIB, 4)]);
    until("a pipe for each, four of them wide", || {
        sent.iter_mut().zip(&pairs).for_each(|(sent, pair)| *sent += stuff(&pair.client, 0));
        let sizes = pipe_sizes(pid, &others);
        println!("{sizes:?}");
        (sizes == wanted).then_some(())
    });

    for (pair, sent) in pairs.iter().zip(sent) {
        (&pair.server).read_exact(&mut vec![0; sent]).unwrap();
    }
    until("all pipes are closed", || pipe_sizes(pid, &others).is_empty().then_some(()));
    for pair in &pairs {
        (&pair.client).write_all(b"still there").unwrap();
        (&pair.server).read_exact(&mut [0; 11]).unwrap();
    }
}
