//! Following what others do to a container that is up: it is compared with what it was, and nothing of it is undone.

use tokio::time::Instant;

use super::{Run, Sidecar, Up};
use crate::activity::Activity;
use crate::connections::Connections;
use crate::engine::{Container, Error};
use crate::room::Room;

/// What a look at the container showed.
pub(super) enum Found {
    /// The run that it was, frozen or not.
    Same,
    /// Another run, none between two of them, or the same elsewhere: its address is another one, and whether it answers there
    /// yet is unknown.
    Another,
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
        let has_moved = up.route.as_ref().is_some_and(|route| route.is_left(&up.container, &found));
        if found.is_restarting() || Run::of(&found) != Run::of(&up.container) || has_moved {
            let last_use = connections.last_use();
            self.part_with(connections, room);
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
            return Found::Another;
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
        Found::Same
    }
}
