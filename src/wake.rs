//! From asleep to an address that answers.

use std::future::pending;

use hyper::StatusCode;
use tokio::time::Instant;

use crate::calls::Refusal;
use crate::config::{Ready, Sidecar, WhenLate};
use crate::engine::{Change, Container, Docker, Error, Event, Location, Started, Watch};
use crate::events;
use crate::failure::Failure;
use crate::journal::took;
use crate::readiness;
use crate::room::Room;
use crate::route::Route;
use crate::socket::{Address, Listeners, Stream};
use crate::warnings::Warnings;

/// How many lines of its log a container that failed is shown with.
const LOG_LINES: usize = 10;
/// A restart policy may start a container again that has ended so often before it answers, and no more.
const ENDS: u32 = 3;

/// What a wake works with; nothing of it changes meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The sidecar's settings.
    pub settings: &'a Sidecar,
    /// Its engine.
    pub engine: &'a Docker,
    /// Its sockets.
    pub listeners: &'a Listeners,
    /// What its admin has been told to mend.
    pub warnings: &'a Warnings,
}

/// A container that answers, or that is let be dialled late.
#[derive(Debug)]
pub struct Answering {
    /// The container, as it is now that it runs.
    pub container: Container,
    /// The way to it.
    pub route: Route,
    /// The probe that succeeded, where it is a connection: the first client's.
    pub first: Option<Stream>,
    /// Where the probe went.
    pub probed: Address,
    /// Nothing has answered within `wake_timeout`, and clients are let through all the same.
    pub late: bool,
}

/// Asks the engine to start the container, and waits for the answer however long it takes: a start that is cut off may
/// leave the container half started. Clients are not kept waiting for that: each has `wake_timeout` from `since` on. Nothing
/// else is asked of the container before.
pub async fn start(place: Place<'_>, id: &str, since: Instant, room: &mut Room) -> Result<Started, Error> {
    let Place { settings, engine, .. } = place;
    let mut start = std::pin::pin!(engine.start(id));
    loop {
        tokio::select! {
            biased;
            started = &mut start => return started,
            () = room.gather_while_patient(settings.wake_timeout, since) => {
                let reason = format!("the engine has not answered the start within {}", took(settings.wake_timeout));
                let refusal = Refusal::failed(&reason);
                let clients = room.turn_away(&refusal);
                room.answer_sleepers(Err(&refusal));
                events::wake_failed(settings, &reason, clients, "the start goes on", "");
            }
        }
    }
}

/// Waits until a container that is up answers; thaws it first if it is frozen.
pub async fn until_answering(
    place: Place<'_>,
    room: &mut Room,
    watch: &mut Watch,
    deadline: Instant,
) -> Result<Answering, Failure> {
    let found = place.engine.inspect(&place.settings.container).await?;
    let most_restarts = found.restarts_before().saturating_add(ENDS);
    run_answering(place, found, room, watch, deadline, most_restarts).await
}

/// The same in one run of it after another, of which its restart policy may begin so many.
async fn run_answering(
    place: Place<'_>,
    found: Container,
    room: &mut Room,
    watch: &mut Watch,
    deadline: Instant,
    most_restarts: u32,
) -> Result<Answering, Failure> {
    let settings = place.settings;
    let (mut container, thawed) = running(place, found, room, watch, deadline, most_restarts).await?;
    let route = route(place, &container).await?;
    let port = match room.clients().first() {
        Some(client) => client.port,
        None => place.listeners.iter().next().and_then(|listener| listener.port()),
    };
    let address = route.address(port).map_err(|why| no_way(settings, why))?;
    // A frozen container counts as unhealthy until its next check, which may be half a minute away.
    let by_health = settings.ready == Ready::Healthy && container.has_healthcheck() && !thawed;
    place.warnings.of_readiness(settings, &container);
    let mut probe = std::pin::pin!(probe(place, container.clone(), &address, by_health));
    let (first, late) = loop {
        if by_health && container.is_healthy() {
            break (None, false);
        }
        tokio::select! {
            biased;
            first = &mut probe => break (first?, false),
            change = watch.next() => match change {
                // The engine is gone; the container may well come up without it. A start is the one that was asked for, or
                // follows a death.
                Change::Lost(_) | Change::Happened(Event::Started) => {}
                Change::Subscribed | Change::Happened(_) => {
                    let found = place.engine.inspect(&settings.container).await?;
                    let is_another = found.started_at() != container.started_at();
                    if !found.is_running() || is_another || route.is_left(&container, &found) {
                        // Another run, with another address, or none; or the same one elsewhere.
                        let next = run_answering(place, found, room, watch, deadline, most_restarts);
                        return Box::pin(next).await;
                    }
                    container = found;
                }
            },
            () = room.gather_until(deadline) => {
                too_late(settings, &address)?;
                break (None, true);
            }
        }
    };
    let route = route.probed(address.clone(), deadline);
    Ok(Answering { container, route, first, probed: address.clone(), late })
}

/// Waits until the container answers, as `ready` has it: with the connection that shows it, where it is one.
async fn probe(
    place: Place<'_>,
    container: Container,
    address: &Address,
    by_health: bool,
) -> Result<Option<Stream>, Failure> {
    let proxy_protocol = place.settings.proxy_protocol;
    match &place.settings.ready {
        // The engine tells.
        Ready::Healthy if by_health => pending().await,
        Ready::Tcp | Ready::Healthy => return Ok(Some(readiness::connection(address).await)),
        Ready::Http(path) => readiness::response(address, path, proxy_protocol, |_| true).await,
        Ready::HttpOk(path) => {
            let wanted = |status: StatusCode| status.is_success() || status.is_redirection();
            readiness::response(address, path, proxy_protocol, wanted).await;
        }
        Ready::Log(pattern) => {
            readiness::logged(place.engine, &container, |line| pattern.is_match(line)).await?;
        }
    }
    Ok(None)
}

/// `wake_timeout` has passed though the start was answered: `when_late` decides.
fn too_late(settings: &Sidecar, address: &Address) -> Result<(), Failure> {
    let what = match &settings.ready {
        Ready::Tcp => format!("nothing listens on {address}"),
        Ready::Http(path) => format!("no response from http://{address}{path}"),
        Ready::HttpOk(path) => format!("no 2xx or 3xx from http://{address}{path}"),
        Ready::Healthy => "its HEALTHCHECK has not passed".into(),
        Ready::Log(pattern) => format!("no line of its log matches {}", pattern.as_str()),
    };
    let after = settings.wake_timeout;
    if settings.when_late == WhenLate::Refuse {
        return Err(Failure::NotReady { container: settings.container.clone(), after, what });
    }
    events::late(settings, &what);
    Ok(())
}

/// The container once it runs, and whether it had to be thawed for that. Between two tries of its restart policy the next one
/// is waited for.
async fn running(
    place: Place<'_>,
    mut container: Container,
    room: &mut Room,
    watch: &mut Watch,
    deadline: Instant,
    most_restarts: u32,
) -> Result<(Container, bool), Failure> {
    let Place { settings, engine, .. } = place;
    let mut thawed = false;
    loop {
        // Podman tries again without a pause, so one in a loop may run whenever it is looked at. Docker pauses, and the one run
        // that follows a pause that was not seen may be the one that lasts.
        let most = if container.is_running() { most_restarts.saturating_add(1) } else { most_restarts };
        let is_in_loop = container.is_up() && container.restarts() >= most;
        if container.is_paused() {
            engine.unpause(&container.id).await?;
            thawed = true;
        } else if container.is_running() && !is_in_loop {
            return Ok((container, thawed));
        } else if !container.is_up() {
            let (ending, log) = (container.ending(), last_words(engine, &container).await);
            return Err(Failure::Died { container: settings.container.clone(), ending, log });
        } else if is_in_loop || !changes(room, watch, deadline).await {
            let (ending, log) = if container.is_running() {
                let log = engine.log_of_all_runs(&container, LOG_LINES).await;
                ("it runs again for the moment".to_owned(), log.unwrap_or_default())
            } else {
                (container.ending(), last_words(engine, &container).await)
            };
            return Err(Failure::CrashLoop { container: settings.container.clone(), ending, log });
        }
        container = engine.inspect(&settings.container).await?;
    }
}

/// Waits until something happens to the container; false if nothing does before the deadline.
async fn changes(room: &mut Room, watch: &mut Watch, deadline: Instant) -> bool {
    loop {
        tokio::select! {
            biased;
            change = watch.next() => match change {
                // The engine is gone, and the next try with it until it is back.
                Change::Lost(_) => {}
                Change::Subscribed | Change::Happened(_) => return true,
            },
            () = room.gather_until(deadline) => return false,
        }
    }
}

/// The end of a container's log; nothing where the engine has none (log drivers other than json-file and local).
pub async fn last_words(engine: &Docker, container: &Container) -> String {
    engine.log(container, LOG_LINES).await.unwrap_or_default()
}

/// The way to a running container: its address may be another one at each start.
async fn route(place: Place<'_>, container: &Container) -> Result<Route, Failure> {
    let Place { settings, engine, listeners, warnings } = place;
    let wanted = settings.network.as_deref();
    let route = match Route::fixed(settings) {
        Some(route) => route,
        None => {
            let mut location = container.location(wanted);
            if let Location::Of(other) = &location {
                // The one whose network it shares cannot share yet another's.
                location = engine.inspect(other).await?.location(wanted);
            }
            match location {
                Location::Own { ip, network, others } => {
                    if !others.is_empty() && wanted.is_none() {
                        warnings.of_networks(settings, &network, &others);
                    }
                    Route::to(ip, settings)
                }
                Location::Host => Route::to_host(settings),
                Location::Of(_) => {
                    return Err(no_way(settings, "it shares a shared network: set `address`".into()));
                }
                Location::Nowhere(why) => return Err(no_way(settings, why)),
            }
        }
    };
    route.check(listeners).map_err(|why| no_way(settings, why))?;
    Ok(route)
}

fn no_way(settings: &Sidecar, why: String) -> Failure {
    Failure::NoWay { container: settings.container.clone(), why }
}
