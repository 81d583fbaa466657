//! One client: what it has sent, and what came of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt::Linger};

/// What has come of it so far.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub answers: Vec<String>,
    /// When it ended, for whatever reason.
    pub ended: Option<Instant>,
}

/// A connection on which lines are sent and answers gathered.
pub struct Talk {
    stream: Option<TcpStream>,
    heard: Arc<Mutex<Heard>>,
    pub connected: Instant,
    /// When each line had been sent.
    pub asked: Vec<Instant>,
    has_finished: bool,
    /// When this side cut it off.
    pub cut: Option<Instant>,
}

impl Talk {
    pub fn begin(address: SocketAddr) -> Talk {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).ok();
        let connected = Instant::now();
        match stream.as_ref().and_then(|stream| stream.try_clone().ok()) {
            Some(stream) => {
                let heard = Arc::clone(&heard);
                thread::spawn(move || {
                    for line in BufReader::new(stream).lines().map_while(Result::ok) {
                        heard.lock().unwrap().answers.push(line);
                    }
                    heard.lock().unwrap().ended = Some(Instant::now());
                });
            }
            // Reset before it was looked at.
            None => heard.lock().unwrap().ended = Some(connected),
        }
        Talk { stream, heard, connected, asked: Vec::new(), has_finished: false, cut: None }
    }

    pub fn is_open(&self) -> bool {
        self.stream.is_some() && !self.has_finished && self.heard().ended.is_none()
    }

    pub fn ask(&mut self) {
        let line = format!("echo {}\n", self.asked.len());
        let sent = self.stream.as_ref().is_some_and(|mut stream| stream.write_all(line.as_bytes()).is_ok());
        if sent {
            self.asked.push(Instant::now());
        }
    }

    pub fn finish(&mut self) {
        self.has_finished = true;
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    pub fn reset(&mut self) {
        self.cut = Some(Instant::now());
        if let Some(stream) = self.stream.take() {
            let _ = setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 });
            // The reader has a descriptor of it too: this ends its wait.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
}
