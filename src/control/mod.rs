//! The control socket of a helper: HTTP/1.1 with JSON.

pub mod client; // calls another helper
pub mod server; // answers its callers

mod body; // what an answer consists of
mod query; // the parameters of a call
mod refused; // what is refused, and with which status

#[cfg(test)]
pub mod tests; // both ends over real sockets
