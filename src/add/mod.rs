//! Configuration and socket for a container that exists, and their removal.

mod address; // what to dial where the container's own will not do
mod advice; // what is to be changed about the container first
mod files; // both files of all sidecars, or none
mod listen; // where a socket listens
mod places; // where the files are
mod proposal; // what a container looks like, as a sidecar
mod ports; // which port of the container is behind which socket
mod sockets; // where the sockets of other sidecars listen
mod texts; // the two files of a sidecar

pub use files::{Error, New, Removal, remove, write};
pub use listen::Listen;
pub use places::Places;
pub use proposal::{Proposal, Wishes, propose};
pub use sockets::{Socket, sockets};
