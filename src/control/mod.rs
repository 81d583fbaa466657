//! The control socket of a helper: HTTP/1.1 with JSON.

pub mod client; // calls another helper
pub mod server; // answers its callers

mod body; // what an answer consists of
mod refused; // what is refused, and with which status

#[cfg(test)]
pub mod tests; // both ends over real sockets

/// What [`is_plain`] allows, in words.
const PLAIN: &str = "up to 128 letters, digits, '_', '.', '-', ':' or '@'";

/// Whether this can stand in a request's query, and in a line for people, as it is.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:@".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}
