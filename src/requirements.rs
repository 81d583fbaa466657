//! A sidecar's holds on those that it requires, kept for as long as it is awake.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::calls::Refusal;
use crate::holds::Hold;
use crate::journal;
use crate::name::Name;
use crate::neighbours::Neighbours;

/// The pause before a lost hold is taken again, which doubles with each try up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Holds on other sidecars; dropping it lets all of them go.
#[derive(Debug)]
pub struct Requirements {
    _keepers: JoinSet<()>,
}

impl Requirements {
    /// Wakes all of `names` at once and waits until all are ready. The first refusal fails it, and lets go of the others.
    pub async fn wake(
        names: &[Name],
        by: &Name,
        neighbours: &Rc<Neighbours>,
    ) -> Result<Requirements, (Name, Refusal)> {
        let mut asked = JoinSet::new();
        for requirement in requirements(names, by, neighbours) {
            asked.spawn_local(async {
                let answer = requirement.ask().await;
                (requirement, answer)
            });
        }
        let mut keepers = JoinSet::new();
        while let Some(answered) = asked.join_next().await {
            // A task that panics ends the process.
            let Ok((requirement, answer)) = answered else { continue };
            match answer {
                Ok(hold) => drop(keepers.spawn_local(requirement.keep(Some(hold)))),
                Err(refusal) => return Err((requirement.name, refusal)),
            }
        }
        Ok(Requirements { _keepers: keepers })
    }

    /// Takes the holds in the background, for a container that is up already: a refusal is only warned about.
    pub fn keep(names: &[Name], by: &Name, neighbours: &Rc<Neighbours>) -> Requirements {
        let mut keepers = JoinSet::new();
        for requirement in requirements(names, by, neighbours) {
            keepers.spawn_local(requirement.keep(None));
        }
        Requirements { _keepers: keepers }
    }
}

fn requirements(names: &[Name], by: &Name, neighbours: &Rc<Neighbours>) -> impl Iterator<Item = Requirement> {
    names.iter().map(|name| Requirement {
        name: name.clone(),
        by: by.clone(),
        neighbours: neighbours.clone(),
    })
}

struct Requirement {
    name: Name,
    by: Name,
    neighbours: Rc<Neighbours>,
}

impl Requirement {
    async fn ask(&self) -> Result<Hold, Refusal> {
        self.neighbours.hold(&self.name, &self.by).await
    }

    /// Takes the hold again whenever it has ended, until it is dropped.
    async fn keep(self, mut hold: Option<Hold>) {
        let Requirement { name, by, .. } = &self;
        let mut pause = FIRST_PAUSE;
        let mut told = None;
        loop {
            let why = match hold.take() {
                Some(hold) => {
                    let since = Instant::now();
                    hold.ended().await;
                    // A container that dies over and over is not to be started over and over at the shortest pause.
                    if since.elapsed() >= LONGEST_PAUSE {
                        (pause, told) = (FIRST_PAUSE, None);
                    }
                    "its container or its helper has ended".to_owned()
                }
                None => match self.ask().await {
                    Ok(taken) => {
                        journal::debug(by, format_args!("{name}, which it requires, is kept awake"));
                        hold = Some(taken);
                        continue;
                    }
                    Err(refusal) => refusal.to_string(),
                },
            };
            if told.as_ref() != Some(&why) {
                journal::warn(
                    by,
                    format_args!(
                        "{name}, which it requires, is not kept awake: {why}; it is asked for again"
                    ),
                );
                told = Some(why);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::time::timeout;

    use super::*;
    use crate::calls::Directory;
    use crate::control::tests::{ENOUGH, Helper, name, sidecar};
    use crate::holds::Holds;
    use crate::why::Holder;

    fn neighbours(directory: Directory, sockets: &Path) -> Rc<Neighbours> {
        Rc::new(Neighbours::new(Rc::new(directory), sockets.to_owned()))
    }

    async fn until(what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(ENOUGH, wait).await.expect("it does not happen");
    }

    fn is_held(holds: &Holds) -> bool {
        holds.by() == [Holder { requires: true, ..Holder::named("web") }]
    }

    #[tokio::test(flavor = "local")]
    async fn all_are_held_until_they_are_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let (here, holds_here) = sidecar("here");
        let (there, holds_there) = sidecar("there");
        let _helper = Helper::listen(&folder.path().join("there.sock"), there);
        let neighbours = neighbours(here, folder.path());
        let names = [name("here"), name("there")];
        let requirements = Requirements::wake(&names, &name("web"), &neighbours).await.unwrap();
        assert!(is_held(&holds_here) && is_held(&holds_there));
        drop(requirements);
        until(|| holds_here.by().is_empty() && holds_there.by().is_empty()).await;
        Requirements::wake(&[], &name("web"), &neighbours).await.unwrap();
    }

    #[tokio::test(flavor = "local")]
    async fn one_that_refuses_lets_go_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (here, holds) = sidecar("here");
        let names = [name("here"), name("broken")];
        let refused = Requirements::wake(&names, &name("web"), &neighbours(here, folder.path())).await;
        let (which, refusal) = refused.unwrap_err();
        assert_eq!((which, refusal.error.as_str()), (name("broken"), "it does not start"));
        until(|| holds.by().is_empty()).await;
    }

    #[tokio::test(flavor = "local")]
    async fn a_hold_that_ends_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("there.sock");
        let (there, holds) = sidecar("there");
        let helper = Helper::listen(&socket, there.clone());
        let neighbours = neighbours(Directory::new(), folder.path());
        let _kept = Requirements::wake(&[name("there")], &name("web"), &neighbours).await.unwrap();
        drop(helper);
        until(|| holds.by().is_empty()).await;
        let _helper = Helper::listen(&socket, there);
        until(|| is_held(&holds)).await;
        holds.end_all();
        assert!(holds.by().is_empty());
        until(|| is_held(&holds)).await;
    }

    #[tokio::test(flavor = "local")]
    async fn what_an_adopted_container_requires_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let (there, holds) = sidecar("there");
        let neighbours = neighbours(Directory::new(), folder.path());
        let kept = Requirements::keep(&[name("there")], &name("web"), &neighbours);
        sleep(Duration::from_millis(50)).await;
        let _helper = Helper::listen(&folder.path().join("there.sock"), there);
        until(|| is_held(&holds)).await;
        drop(kept);
        until(|| holds.by().is_empty()).await;
    }
}
