//! A turn of an exclusive group: at most one of its sidecars is up, and the engine is the truth about which.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::calls::RefusalKind;
use crate::config::{Rival, Sidecar};
use crate::engine::Engines;
use crate::failure::Failure;
use crate::group::GroupLock;
use crate::neighbours::Neighbours;
use crate::state;

/// How soon one that is in use is asked again to make room.
const AGAIN: Duration = Duration::from_millis(250);

/// Takes the turn of the group, if `settings` name one: no other of it is up, and none wakes while the lock is kept. That
/// takes as long as another is in use, and `wake_timeout` at most.
///
/// The lock is taken before anything that the sidecar requires is woken, and the configuration has no circle of groups: so
/// helpers that wait for each other cannot block.
pub async fn take_turn(
    settings: &Sidecar,
    engines: &Engines,
    neighbours: &Neighbours,
    directory: &Path,
) -> Result<Option<GroupLock>, Failure> {
    let Some(group) = &settings.exclusive else { return Ok(None) };
    let deadline = Instant::now() + settings.wake_timeout;
    let taken = |rival: String, why: String| Failure::Group { group: group.clone(), rival, why };
    let lock = match timeout_at(deadline, GroupLock::take(directory, group, &settings.name)).await {
        Ok(Ok(lock)) => Some(lock),
        // Without a lock the others are asked all the same: the state directory has been warned about.
        Ok(Err(_)) => None,
        Err(_) => {
            let holder = GroupLock::holder(directory, group).unwrap_or_else(|| "another".into());
            return Err(taken(holder, "it is just waking".into()));
        }
    };
    for rival in &settings.rivals {
        let mut why = "it has not answered in time".to_owned();
        // A start whose helper has not seen its end may still take effect.
        while is_up(rival, engines).await? || state::is_waking(directory, &rival.name) {
            let give_way = neighbours.give_way(&rival.name, &settings.name);
            let settled = match timeout_at(deadline, give_way).await {
                Ok(Ok(())) => {
                    why = "it was started again".into();
                    true
                }
                Ok(Err(refusal)) => {
                    why.clone_from(&refusal.error);
                    // Nobody is there to see to what was under way: the engine's word is all there is.
                    refusal.kind == RefusalKind::NoSuchSidecar
                }
                // What it said last is still the reason.
                Err(_) => false,
            };
            if settled && !is_up(rival, engines).await? {
                break;
            }
            if Instant::now() + AGAIN > deadline {
                return Err(taken(rival.name.to_string(), why));
            }
            sleep(AGAIN).await;
        }
    }
    Ok(lock)
}

async fn is_up(rival: &Rival, engines: &Engines) -> Result<bool, Failure> {
    match engines.at(rival.engine.as_deref()).inspect(&rival.container).await {
        Ok(found) => Ok(found.is_up()),
        Err(crate::engine::Error::NoSuchContainer { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
