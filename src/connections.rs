//! The open connections of one sidecar: the set of their tasks is the count.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::activity::Seen;
use crate::dial::dial;
use crate::door::Client;
use crate::journal;
use crate::name::Name;
use crate::proxy_protocol::ProxyProtocol;
use crate::readiness;
use crate::relay::{Bell, Meter, Pipes, Totals, relay};
use crate::socket::{Address, Stream};

/// How long connections may move nothing once their container is dead.
const STILL: Duration = Duration::from_millis(500);
/// The same where bytes are under way to a client: a slow one makes room for them in large steps.
const STILL_UNDER_WAY: Duration = Duration::from_secs(30);
/// How much later than it happens the engine may tell of a freeze.
const HEARSAY: Duration = Duration::from_secs(1);

/// The connections to one run of a container, and what came of those that have ended.
#[derive(Debug)]
pub struct Connections {
    sidecar: Name,
    pipes: Rc<Pipes>,
    proxy_protocol: Option<ProxyProtocol>,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    ended: Totals,
    last_use: Instant,
    bell: Rc<Bell>,
    /// Since when their container is frozen, or about to be.
    frozen_since: Option<Instant>,
}

/// An open connection.
#[derive(Debug)]
struct Open {
    meter: Rc<Meter>,
    task: AbortHandle,
    /// The client, until its container has been reached.
    client: Rc<RefCell<Option<Client>>>,
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// One has ended.
    Ended,
    /// A client wants something of a frozen container.
    Stirred,
}

impl Connections {
    /// None yet; what has made the container run counts as use.
    pub fn new(sidecar: Name, pipes: Rc<Pipes>, proxy_protocol: Option<ProxyProtocol>) -> Connections {
        Connections {
            sidecar,
            pipes,
            proxy_protocol,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            ended: Totals::default(),
            last_use: Instant::now(),
            bell: Rc::default(),
            frozen_since: None,
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Their container is about to be frozen, or was when it was found: from now on [`Connections::next`] tells when a client wants
    /// something of it.
    pub fn freeze(&mut self) {
        self.frozen_since.get_or_insert_with(Instant::now);
        self.bell.listen(true);
    }

    /// Their container was frozen by somebody's hand, which was heard of at `heard`. A client who came or sent something just
    /// before that, and has had no answer since, may have found it frozen, and counts as coming now.
    pub fn found_frozen(&mut self, heard: Instant) {
        let meters = self.open.values().map(|open| &open.meter);
        let unanswered =
            meters.filter(|meter| meter.down.last() <= meter.up.last()).map(|meter| meter.up.last());
        let since = unanswered.filter(|last| heard <= *last + HEARSAY).min();
        self.frozen_since.get_or_insert(since.unwrap_or_else(Instant::now));
        self.bell.listen(true);
    }

    /// Their container runs.
    pub fn thaw(&mut self) {
        self.frozen_since = None;
        self.bell.listen(false);
    }

    /// Relays between a client and the connection to its container that is there already.
    pub fn relay(&mut self, client: Client, container: Stream) {
        self.spawn(client, async move |_| Ok(container));
    }

    /// Dials the container for a client, and relays. During its `grace` a refusal means that it does not listen yet.
    pub fn dial(&mut self, client: Client, address: Address, grace: Option<Instant>) {
        self.spawn(client, async move |sidecar| {
            if let Some(grace) = grace
                && let Ok(container) = timeout_at(grace, readiness::connection(&address)).await
            {
                return Ok(container);
            }
            dial(&address).await.inspect_err(|error| {
                journal::debug(
                    sidecar,
                    format_args!("a client is reset: cannot connect to {address}: {error}"),
                );
            })
        });
    }

    /// Lets go of a connection to the container that no client came for.
    pub fn let_go(&self, container: Stream) {
        if let Some(version) = self.proxy_protocol {
            // It ends here, whether the container hears of that or not.
            let _ = version.introduce_self(&container);
        }
    }

    fn spawn(
        &mut self,
        client: Client,
        connect: impl AsyncFnOnce(&Name) -> std::io::Result<Stream> + 'static,
    ) {
        let meter = Rc::new(Meter::new(Instant::now(), self.bell.clone()));
        let (sidecar, pipes, counted) = (self.sidecar.clone(), self.pipes.clone(), meter.clone());
        let proxy_protocol = self.proxy_protocol;
        let client = Rc::new(RefCell::new(Some(client)));
        let waiting = client.clone();
        let task = self.tasks.spawn_local(async move {
            let connected = connect(&sidecar).await;
            let (Ok(container), Some(Client { stream: client, .. })) =
                (connected, waiting.borrow_mut().take())
            else {
                return;
            };
            counted.connected.set(true);
            if let Some(version) = proxy_protocol
                && let Err(error) = version.introduce(&client, &container)
            {
                let text = format_args!("a client is reset: the container cannot be told who it is: {error}");
                return journal::debug(&sidecar, text);
            }
            let ended = relay(client, container, &pipes, &counted).await;
            let (up, down) = (counted.up.bytes(), counted.down.bytes());
            match ended {
                Ok(()) => {
                    journal::debug(&sidecar, format_args!("connection ended: {up} bytes up, {down} down"))
                }
                Err(error) => {
                    journal::debug(
                        &sidecar,
                        format_args!("connection reset: {error}: {up} bytes up, {down} down"),
                    );
                }
            }
        });
        self.last_use = Instant::now();
        self.open.insert(task.id(), Open { meter, task, client });
    }

    /// Takes back the clients for whom the container has not been reached yet: they have asked it for nothing.
    pub fn unserved(&mut self) -> Vec<Client> {
        let mut clients = Vec::new();
        self.open.retain(|_, open| match open.client.borrow_mut().take() {
            Some(client) => {
                open.task.abort();
                clients.push(client);
                false
            }
            None => true,
        });
        clients
    }

    /// Waits until one has ended; for ever while there is none. Cancelling it loses none.
    pub async fn one_ended(&mut self) {
        let ended = self.tasks.join_next_with_id().await;
        self.note_end(ended).await;
    }

    /// Waits for what happens to them: an end, or, while their container is frozen, a byte that a client has sent since or a
    /// client who has come since. Cancelling it loses nothing.
    pub async fn next(&mut self, is_paused: bool) -> Happening {
        let stirred = stirred(&self.open, &self.bell, self.frozen_since.filter(|_| is_paused));
        let ended = tokio::select! {
            biased;
            () = stirred => return Happening::Stirred,
            ended = self.tasks.join_next_with_id() => ended,
        };
        self.note_end(ended).await;
        Happening::Ended
    }

    async fn note_end(&mut self, ended: Option<Result<(Id, ()), JoinError>>) {
        let id = match ended {
            Some(Ok((id, ()))) => id,
            Some(Err(aborted)) => aborted.id(),
            None => pending().await,
        };
        if let Some(Open { meter, .. }) = self.open.remove(&id) {
            self.ended.add(&meter);
            // Where any open connection is use, its end is the last of it; elsewhere its last byte is.
            self.last_use = self.last_use.max(meter.up.last()).max(meter.down.last());
        }
    }

    /// The last use that no open connection shows.
    pub fn last_use(&self) -> Instant {
        self.last_use
    }

    /// The end of one that counted as use for as long as it was open.
    pub fn count_use(&mut self) {
        self.last_use = Instant::now();
    }

    /// What has made the container run was no use: the last one was then.
    pub fn count_use_at(&mut self, last: Instant) {
        self.last_use = last;
    }

    /// What the open ones look like now.
    pub fn seen(&self) -> Vec<Seen> {
        // Who leaves a frozen container waits for no answer of it.
        let asked = |ended: Instant| self.frozen_since.is_none_or(|frozen| ended < frozen);
        let seen = |Open { meter, .. }: &Open| Seen {
            last_up: meter.up.last(),
            last_down: meter.down.last(),
            up_ended: meter.up.ended().is_some_and(asked),
            down_ended: meter.down.ended().is_some(),
            is_awaited: !meter.connected.get() || meter.down.is_under_way(),
        };
        self.open.values().map(seen).collect()
    }

    /// Whether a client who is still there has come since then or has sent a byte.
    pub fn are_used_since(&self, since: Instant) -> bool {
        used_since(&self.open, since)
    }

    /// All that have been, open ones included.
    pub fn totals(&self) -> Totals {
        let mut totals = self.ended;
        self.open.values().for_each(|open| totals.add(&open.meter));
        totals
    }

    /// Gives connections whose container is dead a moment to end by themselves, which most do; less once somebody has `asked`
    /// for the next wake.
    pub async fn settle(&mut self, asked: impl Future<Output = ()>) {
        tokio::select! {
            () = self.all_ended() => {}
            () = asked => {}
            () = sleep(STILL) => {}
        }
    }

    /// Winds up connections whose container is dead: what it has sent before its end is delivered as long as it moves; what
    /// stands still is reset, each by its own clock. What has moved meanwhile.
    pub async fn wind_up(mut self) -> Totals {
        let before = self.totals();
        let mut seen: HashMap<Id, (u64, Instant)> = HashMap::new();
        while !self.tasks.is_empty() {
            for (id, Open { meter, task, .. }) in &self.open {
                let now = Instant::now();
                let (delivered, since) = seen.entry(*id).or_insert((meter.down.delivered(), now));
                if *delivered != meter.down.delivered() {
                    (*delivered, *since) = (meter.down.delivered(), now);
                }
                let patience = if meter.down.is_under_way() { STILL_UNDER_WAY } else { STILL };
                if now.duration_since(*since) >= patience {
                    task.abort();
                }
            }
            // A timeout is the next look.
            let _ = timeout(STILL, self.one_ended()).await;
        }
        let after = self.totals();
        Totals { connections: 0, up: after.up - before.up, down: after.down - before.down }
    }

    async fn all_ended(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ended().await;
        }
    }
}

/// Waits until a client has sent a byte or has come since then; for ever if there is no such moment.
async fn stirred(open: &HashMap<Id, Open>, bell: &Bell, since: Option<Instant>) {
    let Some(since) = since else { return pending().await };
    while !used_since(open, since) {
        bell.rung().await;
    }
}

fn used_since(open: &HashMap<Id, Open>, since: Instant) -> bool {
    open.values().any(|open| open.meter.up.last() >= since)
}
