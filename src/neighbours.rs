//! The other sidecars, wherever they live: in this process, or behind their control sockets.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::calls::{Cause, Directory, Refusal};
use crate::control::client;
use crate::holds::Hold;
use crate::name::Name;
use crate::places;
use crate::socket::{Address, Listeners};
use crate::why::Holder;

/// Whom to ask for each sidecar.
#[derive(Debug)]
pub struct Neighbours {
    directory: Rc<Directory>,
    sockets: PathBuf,
}

impl Neighbours {
    /// The sidecars of this process, and the folder with the control sockets of all others.
    pub fn new(directory: Rc<Directory>, sockets: PathBuf) -> Neighbours {
        Neighbours { directory, sockets }
    }

    /// Wakes a sidecar that `by` requires, and keeps it awake until the hold is dropped.
    pub async fn hold(&self, name: &Name, by: &Name) -> Result<Hold, Refusal> {
        match self.directory.get(name) {
            Some(caller) => caller.hold(Holder { requires: true, ..Holder::named(by.as_str()) }).await,
            None => client::hold(&self.socket(name), name, Some(by)).await,
        }
    }

    /// Has a sidecar sleep, if nobody uses it, because `to` needs its group.
    pub async fn give_way(&self, name: &Name, to: &Name) -> Result<(), Refusal> {
        match self.directory.get(name) {
            Some(caller) => caller.sleep(Cause::Yield(to.clone())).await,
            None => client::call(&self.socket(name), name, &format!("yield?to={to}")).await.map(drop),
        }
    }

    fn socket(&self, name: &Name) -> PathBuf {
        socket(&self.sockets, name)
    }
}

/// The control socket of a sidecar, in the folder of all of them.
pub fn socket(folder: &Path, name: &Name) -> PathBuf {
    folder.join(format!("{name}.sock"))
}

/// The folder of the control sockets: that of our own, as systemd passed it, since all of them have one template.
pub fn sockets_folder(control: &Listeners) -> PathBuf {
    let folders = control.iter().filter_map(|listener| match listener.address() {
        Some(Address::Unix(path)) => path.parent(),
        _ => None,
    });
    let mut absolute = folders.filter(|folder| folder.is_absolute());
    absolute.next().map_or_else(places::usual_sockets, Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::control::tests::{Helper, name, sidecar};

    #[tokio::test(flavor = "local")]
    async fn those_of_this_process_are_asked_without_a_socket_and_the_others_by_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let (here, holds_here) = sidecar("here");
        let (there, holds_there) = sidecar("there");
        let _helper = Helper::listen(&folder.path().join("there.sock"), there);
        let neighbours = Neighbours::new(Rc::new(here), folder.path().to_owned());
        let _held = neighbours.hold(&name("here"), &name("web")).await.unwrap();
        assert_eq!((holds_here.by().len(), holds_there.by().len()), (1, 0));
        assert!(neighbours.give_way(&name("here"), &name("web")).await.is_err());
        neighbours.give_way(&name("there"), &name("web")).await.unwrap();
        let _held = neighbours.hold(&name("there"), &name("web")).await.unwrap();
        assert_eq!(holds_there.by(), [Holder { requires: true, ..Holder::named("web") }]);
        assert!(neighbours.hold(&name("nowhere"), &name("web")).await.is_err());
    }

    #[tokio::test(flavor = "local")]
    async fn the_sockets_are_where_our_own_is() {
        let folder = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(sockets_folder(&Listeners::new(vec![tcp.into()]).unwrap()), Path::new("/run/rouse"));
        let unix = UnixListener::bind(folder.path().join("web.sock")).unwrap();
        assert_eq!(sockets_folder(&Listeners::new(vec![unix.into()]).unwrap()), folder.path());
    }
}
