//! What comes in while a sidecar serves: news of the engine, its answers, visitors, and the moment to look whether anybody
//! uses it. Each may end serving.

use tokio::time::Instant;

use super::following::Found;
use super::questions::Told;
use super::serve::{End, SOON, Service, UNCERTAIN};
use super::yielding::Sleepers;
use super::{Sidecar, Up};
use crate::activity::{Activity, Next, Rules};
use crate::calls::Refusal;
use crate::clock::now_ms;
use crate::connections::Connections;
use crate::engine::{Change, Event, Watch};
use crate::room::{Room, Visit};
use crate::why::Why;

impl Sidecar {
    /// Something has happened to the container, or to the engine.
    pub(super) fn hear(&mut self, change: Change, up: &Up, service: &mut Service) {
        match change {
            Change::Lost(error) => {
                self.tell_unreachable(&error.to_string(), 0);
                service.look();
            }
            Change::Happened(Event::Healthy) => {}
            Change::Happened(Event::Killed(signal)) => {
                if up.container.is_ended_by(signal) {
                    service.killed = Some(Instant::now());
                }
            }
            Change::Happened(event) => {
                if event == (Event::Died { as_asked: true }) {
                    service.killed = Some(Instant::now());
                }
                // Whoever were let through now would go to the run that was; Podman answers a look only after a restart.
                if matches!(event, Event::Died { .. } | Event::Started) {
                    service.uncertain_until = Some(Instant::now() + UNCERTAIN);
                }
                service.questions.look();
            }
            // An answer alone may be one that was on its way when the engine went.
            Change::Subscribed => {
                if self.is_away {
                    // An engine that ends has ended its containers too, and nobody meant this one.
                    (self.is_away, service.killed) = (false, None);
                }
                service.questions.look();
            }
        }
    }

    /// The engine has answered, or has not.
    pub(super) fn learn(
        &mut self,
        told: Told,
        up: &mut Up,
        activity: &mut Activity,
        service: &mut Service,
        room: &mut Room,
        connections: &mut Connections,
    ) -> Option<End> {
        if matches!(told, Told::Container(..)) && service.questions.are_answered() {
            service.uncertain_until = None;
        }
        match told {
            Told::Container(since, found) => {
                match self.compare(up, since, *found, activity, room, connections) {
                    Found::Same => connections.turn_away(since),
                    // What a signal was sent for has been done.
                    Found::Another => service.killed = None,
                    Found::Unknown => {
                        connections.lose_patience(self.settings.wake_timeout);
                        service.questions.look_again();
                        service.sleepers.refuse(&unsure(), activity);
                    }
                    Found::Dead(found) => return Some(service.died(found)),
                }
            }
            Told::CpuTime(Ok((at, used))) => {
                if let Some(percent) = activity.measured(at, used, &self.sight(up, connections)) {
                    let busy = Why::Busy { percent }.text(now_ms());
                    service.sleepers.refuse(&Refusal::in_use(&busy), activity);
                }
            }
            Told::CpuTime(Err(error)) => {
                service.questions.look_again();
                if error.is_open() {
                    service.sleepers.refuse(&unsure(), activity);
                }
                if service.questions.keep_being_refused() {
                    self.warnings.of_stats(&self.settings, &error);
                    activity.set(Rules { busy_cpu: None, ..self.rules() });
                }
            }
        }
        service.look();
        None
    }

    /// Whether anybody uses it, and what is due otherwise.
    pub(super) fn consider(
        &mut self,
        up: &Up,
        activity: &mut Activity,
        service: &mut Service,
        room: &mut Room,
        watch: &Watch,
        connections: &Connections,
    ) -> Option<End> {
        let now = Instant::now();
        let sight = self.sight(up, connections);
        if service.sleepers.consider(now, &sight, activity) {
            return Some(End::Unwanted(std::mem::take(&mut service.sleepers)));
        }
        // Nothing is done on stale knowledge, and an engine may be away for long.
        if !watch.is_subscribed() {
            service.sleepers.refuse(&unsure(), activity);
        }
        let sure = service.questions.are_answered() && watch.is_subscribed();
        let full = connections.len() >= self.settings.max_connections;
        match activity.next(now, &sight) {
            Next::Wait(then) => service.look_at(then),
            Next::Measure if sure => {
                service.questions.measure(&up.container.id);
                service.look_at(now + activity.longest_wait());
            }
            // Where it is full, whoever is queued is served after the sleep rather than never.
            Next::Take(step) if sure && (full || !room.is_asked()) && !connections.have_unserved() => {
                if service.questions.were_just_answered() {
                    return Some(Sleepers::end(std::mem::take(&mut service.sleepers), step));
                }
                service.questions.look();
                service.look_at(now + SOON);
            }
            Next::Measure | Next::Take(_) => service.look_at(now + SOON),
        }
        None
    }

    /// Somebody comes.
    pub(super) fn receive(
        &mut self,
        visit: Visit,
        up: &Up,
        activity: &mut Activity,
        service: &mut Service,
        room: &mut Room,
        connections: &mut Connections,
    ) -> Option<End> {
        match (visit, &up.route) {
            (Visit::Sleeper(sleeper), _) => {
                service.sleepers.add(sleeper, activity);
                service.look();
            }
            (Visit::Touch(answer), _) => {
                activity.count_use(Instant::now());
                service.is_news();
                answer.give(());
            }
            (Visit::Watcher(answer), _) => {
                self.show(up, activity, connections);
                answer.give(());
            }
            // A frozen container accepts too: it is dialled while it thaws.
            (Visit::Client(client), Some(route)) => {
                if let Ok(address) = route.address(client.port) {
                    let grace = route.grace(&address);
                    connections.dial(client, address, grace);
                }
            }
            (Visit::Caller(caller), Some(_)) if !up.is_paused => {
                let outlives_us = caller.lasting.is_some();
                self.give_hold(caller);
                if outlives_us {
                    self.show(up, activity, connections);
                } else {
                    service.is_news();
                }
            }
            (visit, Some(_)) => {
                room.keep(visit);
                return Some(End::Stirred);
            }
            (visit, None) => room.keep(visit),
        }
        None
    }
}

/// Why nobody who wants it asleep can be told whether it is in use.
fn unsure() -> Refusal {
    Refusal::failed("the engine does not answer, and nobody else can tell what its container does")
}
