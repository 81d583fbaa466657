//! What counts as use, and when a sidecar is idle: pure, over observations and a clock.

use std::time::Duration;

use tokio::time::Instant;

/// The settings that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Idle after so long without use; none for never.
    pub idle_timeout: Option<Duration>,
    /// Whether any open connection counts as use, also a quiet one.
    pub connections_are_use: bool,
    /// How long an owed answer counts as in use.
    pub reply_timeout: Duration,
}

/// One open connection, as it is seen at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When the last byte went to the container, or when the connection began.
    pub last_up: Instant,
    /// When the last byte came from the container, or when the connection began.
    pub last_down: Instant,
    /// The client has sent all that it will send.
    pub up_ended: bool,
    /// The container has sent all that it will send.
    pub down_ended: bool,
}

impl Seen {
    fn last_use(&self) -> Instant {
        self.last_up.max(self.last_down)
    }

    /// An answer is due: the last byte went to the container, or the client has ended and waits for the rest.
    fn is_owed(&self) -> bool {
        !self.down_ended && (self.up_ended || self.last_up > self.last_down)
    }

    /// Until when this connection alone keeps the sidecar awake; none for as long as it is open.
    fn in_use_until(&self, rules: &Rules, idle_timeout: Duration) -> Option<Instant> {
        let unused = self.last_use() + idle_timeout;
        match self.is_owed() {
            _ if rules.connections_are_use => None,
            true => Some(unused.max(self.last_use() + rules.reply_timeout)),
            false => Some(unused),
        }
    }
}

/// When the sidecar will be idle if nothing more happens; none if never, as things are.
///
/// `last_use` is the last use that no open connection shows: a wake, a new connection, the last byte of an ended one.
pub fn idle_at(rules: &Rules, last_use: Instant, open: impl IntoIterator<Item = Seen>) -> Option<Instant> {
    let idle_timeout = rules.idle_timeout?;
    let mut idle_at = last_use + idle_timeout;
    for connection in open {
        idle_at = idle_at.max(connection.in_use_until(rules, idle_timeout)?);
    }
    Some(idle_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        idle_timeout: Some(Duration::from_secs(300)),
        connections_are_use: false,
        reply_timeout: Duration::from_secs(3600),
    };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn seen(start: Instant, up: u64, down: u64) -> Seen {
        Seen { last_up: at(start, up), last_down: at(start, down), up_ended: false, down_ended: false }
    }

    #[test]
    fn with_nobody_connected_it_is_idle_after_the_timeout() {
        let start = Instant::now();
        assert_eq!(idle_at(&RULES, start, []), Some(at(start, 300)));
        assert_eq!(idle_at(&Rules { idle_timeout: None, ..RULES }, start, []), None);
    }

    #[test]
    fn a_silent_connection_does_not_keep_it_awake_unless_connections_are_use() {
        let start = Instant::now();
        assert_eq!(idle_at(&RULES, start, [seen(start, 10, 20)]), Some(at(start, 320)));
        let rules = Rules { connections_are_use: true, ..RULES };
        assert_eq!(idle_at(&rules, start, [seen(start, 10, 20)]), None);
    }

    #[test]
    fn an_owed_answer_keeps_it_awake_for_the_reply_timeout() {
        let start = Instant::now();
        assert_eq!(idle_at(&RULES, start, [seen(start, 20, 10)]), Some(at(start, 20 + 3600)));
        let half_closed = Seen { up_ended: true, ..seen(start, 10, 20) };
        assert_eq!(idle_at(&RULES, start, [half_closed]), Some(at(start, 20 + 3600)));
        let answered = Seen { down_ended: true, ..half_closed };
        assert_eq!(idle_at(&RULES, start, [answered]), Some(at(start, 320)));
    }

    #[test]
    fn a_new_connection_without_a_byte_owes_nothing() {
        let start = Instant::now();
        assert_eq!(idle_at(&RULES, start, [seen(start, 0, 0)]), Some(at(start, 300)));
    }

    proptest! {
        /// Never idle while a byte is younger than the timeout, and never later than the last due answer allows.
        #[test]
        fn idle_lies_between_the_last_use_and_the_last_reply(
            base in 0u64..1000,
            connections in prop::collection::vec((0u64..5000, 0u64..5000, any::<bool>(), any::<bool>()), 0..20),
        ) {
            let start = Instant::now();
            let open: Vec<Seen> = connections
                .iter()
                .map(|&(up, down, up_ended, down_ended)| Seen { up_ended, down_ended, ..seen(start, up, down) })
                .collect();
            let last_use = open.iter().map(Seen::last_use).chain([at(start, base)]).max().unwrap();
            let idle = idle_at(&RULES, at(start, base), open.clone()).unwrap();
            prop_assert!(idle >= last_use + RULES.idle_timeout.unwrap());
            prop_assert!(idle <= last_use + RULES.reply_timeout);
            if !open.iter().any(Seen::is_owed) {
                prop_assert_eq!(idle, last_use + RULES.idle_timeout.unwrap());
            }
        }

        /// More use never means sleeping earlier.
        #[test]
        fn one_more_connection_never_brings_sleep_forward(
            (up, down) in (0u64..5000, 0u64..5000), (other_up, other_down) in (0u64..5000, 0u64..5000),
        ) {
            let start = Instant::now();
            let one = idle_at(&RULES, start, [seen(start, up, down)]);
            let two = idle_at(&RULES, start, [seen(start, up, down), seen(start, other_up, other_down)]);
            prop_assert!(two >= one);
        }
    }
}
