//! Configuration and socket for a container that exists, and their removal.

mod agreement; // whether new sidecars get along with what is there
mod proposal; // what a container looks like, as a sidecar
mod advice; // what is to be changed about the container first
mod address; // what to dial where the container's own will not do
mod ports; // which port of the container is behind which socket
mod texts; // the two files of a sidecar
mod removal; // what was written, gone again
mod files; // all files, or none
mod places; // where the files are
mod listen; // where a socket is wanted to listen

pub use agreement::{agree, unusable};
pub use files::{Error, New, may_write, write};
pub use listen::listen;
pub use places::Places;
pub use proposal::{Proposal, Wishes, propose};
pub use removal::{Removal, remove};
