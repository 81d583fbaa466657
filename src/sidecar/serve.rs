//! Serving: from a container that is up to one that is idle or dead.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::{Sidecar, admit};
use crate::activity::{Rules, idle_at};
use crate::config::Idle;
use crate::connections::Connections;
use crate::engine::{Change, Container, Error, Event, Watch};
use crate::room::Room;
use crate::route::Route;
use crate::wake::{Failure, until_answering};

/// How often the status line follows the count of connections.
const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// How soon the engine is asked again for what it did not tell.
const RECHECK: Duration = Duration::from_secs(1);
/// How soon an idle sidecar is looked at again that something keeps from sleeping: a client is just coming, or the engine is
/// away.
const SOON: Duration = Duration::from_millis(100);

/// What ended a time awake.
#[derive(Debug)]
pub enum End {
    /// Unused for `idle_timeout`.
    Idle,
    /// Ended, though not by us; none if it is not even there any more.
    Died(Option<Box<Container>>),
}

/// A container that is up, and the way to it once it has answered in this run.
#[derive(Debug)]
pub struct Up {
    /// As it was last inspected.
    pub container: Container,
    /// Without one, nobody has been served yet, and the first client waits until it answers.
    pub route: Option<Route>,
}

impl Sidecar {
    /// Serves until idle or dead.
    pub(super) async fn serve(
        &mut self,
        up: &mut Up,
        connections: &mut Connections,
        room: &mut Room<'_>,
        watch: &mut Watch,
    ) -> Result<End, Failure> {
        let settings = self.settings.clone();
        let rules = Rules {
            idle_timeout: settings.idle_timeout,
            connections_are_use: settings.idle == Idle::Connections,
            reply_timeout: settings.reply_timeout,
        };
        let idle_timeout = settings.idle_timeout.unwrap_or_default();
        let mut look = pin!(sleep(idle_timeout));
        let mut recheck = None;
        let mut period = interval(STATUS_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let full = connections.len() >= settings.max_connections;
            tokio::select! {
                // What is rare comes first: a flood of clients must not hide it.
                biased;
                change = watch.next() => match change {
                    Change::Lost(error) => self.tell_unreachable(&error.to_string(), 0),
                    Change::Subscribed | Change::Happened(Event::Started | Event::Died) => recheck = Some(Instant::now()),
                    Change::Happened(_) => {}
                },
                () = at(recheck) => {
                    recheck = None;
                    match self.engine.inspect(&settings.container).await {
                        Ok(found) if !found.is_up() => return Ok(End::Died(Some(Box::new(found)))),
                        // Another run, or none between two of them: its address is another one, and whether it answers
                        // yet is unknown.
                        Ok(found) if found.is_restarting() || found.started_at() != up.container.started_at() => {
                            *up = Up { container: found, route: None };
                            self.part_with(connections);
                        }
                        Ok(_) => self.told = None,
                        Err(Error::NoSuchContainer { .. }) => return Ok(End::Died(None)),
                        Err(_) => recheck = Some(Instant::now() + RECHECK),
                    }
                }
                () = connections.one_ended() => {
                    if rules.connections_are_use {
                        connections.count_use();
                    }
                }
                () = &mut look, if settings.idle_timeout.is_some() => {
                    // The reactor is heard first: what has just arrived is use.
                    yield_now().await;
                    let now = Instant::now();
                    let idle = idle_at(&rules, connections.last_use(), connections.seen());
                    let sure = recheck.is_none() && watch.is_subscribed();
                    if idle.is_some_and(|idle| idle <= now) && sure && !self.seat.listeners.has_client() {
                        return Ok(End::Idle);
                    }
                    look.as_mut().reset(next_look(now, idle, idle_timeout));
                }
                _ = period.tick() => self.seat.status.set(format!("awake, open connections: {}", connections.len())),
                (client, port) = self.seat.listeners.accept(), if up.route.is_some() && !full => {
                    if let Some(route) = &up.route && let Ok(address) = route.address(port) {
                        connections.dial(client, address.clone(), route.grace(&address));
                    }
                }
                () = room.first(), if up.route.is_none() => {
                    let begun = Instant::now();
                    match until_answering(self.place(), room, watch, begun + settings.wake_timeout).await {
                        Ok(answering) => {
                            self.woken(&answering, begun, room);
                            *up = admit(answering, room, connections);
                        }
                        // It was on its way down when it was found; who waits has it woken.
                        Err(Failure::Died { .. }) => {
                            let found = self.engine.inspect(&settings.container).await.ok();
                            return Ok(End::Died(found.map(Box::new)));
                        }
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
    }
}

/// When to look again: when it can be idle, and no later than it could have become so unseen (an owed answer may come at any
/// time, and idleness is due `timeout` later); but not at once.
fn next_look(now: Instant, idle: Option<Instant>, timeout: Duration) -> Instant {
    let latest = now + timeout;
    idle.unwrap_or(latest).min(latest).max(now + SOON)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
