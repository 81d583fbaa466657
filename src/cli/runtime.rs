//! What runs a command's asynchronous part.

use std::io;

use tokio::runtime::{Builder, LocalOptions};

/// Runs `future` to its end. One thread, so that state needs no locks.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(future))
}
