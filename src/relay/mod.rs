//! Bytes from one socket to another and back, through the kernel alone while there are pipes.

mod connection; // both directions, with half-close and reset
mod meter; // what a connection tells about itself
mod pipes; // pipes that connections borrow
mod carrier; // how a pipe takes bytes and passes them on, or a buffer where there is none
mod pump; // one direction

pub use connection::relay;
pub use meter::{Bell, Meter, Totals};
pub use pipes::Pipes;
