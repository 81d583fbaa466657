//! Following what others do to a container that is up: it is compared with what it was, and nothing of it is undone.

use tokio::time::Instant;

use super::{Run, Sidecar, Up};
use crate::activity::Activity;
use crate::connections::Connections;
use crate::engine::{Container, Error};
use crate::room::{Room, Visit};

/// What a look at the container showed.
pub(super) enum Found {
    /// It is up, as it was or otherwise.
    Up,
    /// Nothing: the engine has not told.
    Unknown,
    /// It is down; none if it is not even there any more.
    Dead(Option<Box<Container>>),
}

impl Sidecar {
    /// What has become of the container that is up, to which something may have happened `since` then.
    pub(super) fn compare(
        &mut self,
        up: &mut Up,
        since: Instant,
        found: Result<Container, Error>,
        activity: &mut Activity,
        room: &mut Room,
        connections: &mut Connections,
    ) -> Found {
        let found = match found {
            Err(Error::NoSuchContainer { .. }) => return Found::Dead(None),
            Err(_) => return Found::Unknown,
            Ok(found) if !found.is_up() => return Found::Dead(Some(Box::new(found))),
            Ok(found) => found,
        };
        self.told = None;
        if found.is_restarting() || Run::of(&found) != Run::of(&up.container) {
            // Another run, or none between two of them: its address is another one, and whether it answers yet is unknown.
            let last_use = connections.last_use();
            // The engine may have told of it late: whoever came after the end of the last run wants this one.
            connections.unserved().into_iter().for_each(|client| room.keep(Visit::Client(client)));
            self.part_with(connections);
            let restarting = [&found, &up.container].into_iter().any(Container::is_restarting);
            if restarting || found.restarts() != up.container.restarts() {
                // That its restart policy starts it is no use.
                connections.count_use_at(last_use);
            }
            activity.set(self.rules());
            self.run = Some(Run::of(&found));
            *up = Up::found(found);
            if up.is_paused {
                connections.freeze();
            }
            self.enter_as(up);
            return Found::Up;
        }
        match (up.is_paused, found.is_paused()) {
            (false, true) => self.frozen(up, since, connections),
            (true, false) => {
                self.thawed(up, None, connections);
                activity.refuse_pause(Instant::now());
            }
            (false, false) => connections.thaw(),
            (true, true) => {}
        }
        up.container = found;
        // A pause or a stop that the engine has not answered has had its effect by now, or none.
        self.enter_as(up);
        self.show(up, activity, connections);
        Found::Up
    }
}
