//! What runs a command's asynchronous part.

use std::io;

use tokio::runtime::Builder;

/// Runs `future` to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(Builder::new_current_thread().enable_all().build()?.block_on(future))
}
