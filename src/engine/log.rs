//! What a container has written: the end of its log, and its lines as they come.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;

use super::call::Call;
use super::docker::{DEADLINE, refusal};
use super::frames::{Frames, STREAMS};
use super::{Container, Docker, Error};

/// No log line that somebody waits for is longer; more without an end is given out in pieces of this length.
const MAX_LINE: usize = 64 << 10;

impl Docker {
    /// The last `lines` that a container has written in its last run, oldest first.
    pub async fn log(&self, container: &Container, lines: usize) -> Result<String, Error> {
        self.tail(container, lines, container.log_since()).await
    }

    /// The last `lines` that it has written in whatever run.
    pub async fn log_of_all_runs(&self, container: &Container, lines: usize) -> Result<String, Error> {
        self.tail(container, lines, None).await
    }

    async fn tail(
        &self,
        container: &Container,
        lines: usize,
        since: Option<SystemTime>,
    ) -> Result<String, Error> {
        let since = self::since(since);
        let query = format!("stdout=1&stderr=1&tail={lines}{since}");
        let (call, answer) = self.call(Call::Logs(&container.id, &query), DEADLINE).await?;
        match answer.status {
            StatusCode::OK => {
                let mut text = Vec::with_capacity(answer.body.len());
                let mut frames = Frames::of(container);
                frames.feed(&answer.body, |_, payload| text.extend_from_slice(payload));
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Follows a container's log from `since` on, or from its beginning, until the container ends; what is there already comes
    /// first. The engine refuses where its log driver cannot be read.
    pub async fn follow_log(&self, container: &Container, since: Option<SystemTime>) -> Result<Log, Error> {
        let since = self::since(since);
        let query = format!("follow=1&stdout=1&stderr=1{since}");
        let call = Call::Logs(&container.id, &query);
        let body = self.stream(call).await?;
        let call = format!("{} {}", call.method(), call.path());
        Ok(Log { body, call, lines: Lines::new(Frames::of(container)), ended: false })
    }
}

/// The part of a query that asks for what was written from then on.
fn since(moment: Option<SystemTime>) -> String {
    let since = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    since.map(|since| format!("&since={}.{:09}", since.as_secs(), since.subsec_nanos())).unwrap_or_default()
}

/// A container's log, followed.
#[derive(Debug)]
pub struct Log {
    body: Incoming,
    call: String,
    lines: Lines,
    ended: bool,
}

impl Log {
    /// The next line of either stream, without its end; `None` where the log ends. Cancelling it loses none.
    pub async fn line(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.lines.feed(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => {
                    return Err(Error::Garbled { call: self.call.clone(), what: error.to_string() });
                }
                None => {
                    self.ended = true;
                    self.lines.end();
                }
            }
        }
    }
}

/// Lines out of frames: a line may span frames, and between those may be some of the other stream.
#[derive(Debug)]
struct Lines {
    frames: Frames,
    /// What has come of each stream's next line.
    open: [Vec<u8>; STREAMS],
    complete: VecDeque<String>,
}

impl Lines {
    fn new(frames: Frames) -> Lines {
        Lines { frames, open: Default::default(), complete: VecDeque::new() }
    }

    fn next(&mut self) -> Option<String> {
        self.complete.pop_front()
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Lines { frames, open, complete } = self;
        frames.feed(bytes, |stream, payload| {
            let open = &mut open[stream];
            for piece in payload.split_inclusive(|byte| *byte == b'\n') {
                open.extend_from_slice(piece);
                let ends = open.pop_if(|byte| *byte == b'\n').is_some();
                while open.len() > MAX_LINE {
                    let rest = open.split_off(MAX_LINE);
                    complete.push_back(text(open));
                    *open = rest;
                }
                if ends {
                    open.pop_if(|byte| *byte == b'\r');
                    complete.push_back(text(open));
                    open.clear();
                }
            }
        });
    }

    /// Gives out what has no end.
    fn end(&mut self) {
        let open = self.open.iter_mut().map(std::mem::take).filter(|open| !open.is_empty());
        self.complete.extend(open.map(|open| text(&open)));
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Frames, Lines, MAX_LINE, STREAMS};

    /// All lines of what comes in these pieces.
    fn lines<'a>(frames: Frames, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut lines = Lines::new(frames);
        pieces.into_iter().for_each(|piece| lines.feed(piece));
        lines.end();
        lines.complete.into()
    }

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], length.as_slice(), payload].concat()
    }

    #[test]
    fn lines_span_frames_and_the_streams_do_not_mix() {
        let log = [frame(1, b"half"), frame(2, b"err\r\n"), frame(1, b" rest\n\ntwo\n"), frame(1, b"no end")]
            .concat();
        assert_eq!(lines(Frames::marked(), [log.as_slice()]), ["err", "half rest", "", "two", "no end"]);
    }

    #[test]
    fn a_terminals_log_is_read_as_it_is() {
        assert_eq!(lines(Frames::bare(), [b"one\r\ntw".as_slice(), b"o\r\n"]), ["one", "two"]);
        assert_eq!(lines(Frames::bare(), [b"\x01\0\0\0\0\0\0\x02a\n".as_slice()]), ["\x01\0\0\0\0\0\0\x02a"]);
        assert!(lines(Frames::bare(), [b"".as_slice()]).is_empty());
    }

    #[test]
    fn a_line_is_bounded() {
        let longest = "x".repeat(MAX_LINE);
        assert_eq!(lines(Frames::bare(), [format!("{longest}\nnext\n").as_bytes()]), [&longest, "next"]);
        let log = format!("{longest}{longest}end\nnext\n");
        for pieces in [1, 1000, log.len()] {
            let found = lines(Frames::bare(), log.as_bytes().chunks(pieces));
            assert_eq!(found, [&longest, &longest, "end", "next"]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn frames_may_be_cut_anywhere(
            written in prop::collection::vec((1..3_u8, prop::collection::vec(prop::sample::select(b"ab\r\n\xc3\xa4\0\x01".as_slice()), 0..12)), 0..8),
        ) {
            let log: Vec<u8> = written.iter().flat_map(|(stream, payload)| frame(*stream, payload)).collect();
            let whole = lines(Frames::marked(), [log.as_slice()]);
            for cut in 0..=log.len() {
                prop_assert_eq!(&lines(Frames::marked(), [&log[..cut], &log[cut..]]), &whole);
            }
            prop_assert_eq!(&lines(Frames::marked(), log.chunks(1)), &whole);

            let mut expected = Vec::new();
            for stream in 0..STREAMS {
                let own = written.iter().filter(|(of, _)| usize::from(*of) == stream);
                let own: Vec<u8> = own.flat_map(|(_, payload)| payload.clone()).collect();
                let ended = own.split_inclusive(|byte| *byte == b'\n').map(|line| {
                    let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
                    String::from_utf8_lossy(line).into_owned()
                });
                expected.extend(ended);
            }
            let sorted = |mut lines: Vec<String>| { lines.sort(); lines };
            prop_assert_eq!(sorted(whole), sorted(expected));
        }
    }
}
