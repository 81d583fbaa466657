//! A helper from outside: its descriptors and their limit, its pipes, its memory, its state.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::O_NONBLOCK;
use rustix::io::ioctl_fionread;

use super::spawn::output;
use super::wait::until;

/// What its open descriptors lead to, but for the first three: "socket:[123]", "pipe:[456]", a path.
pub fn descriptors(pid: i32) -> Vec<String> {
    links(pid).into_iter().map(|(_, link)| link).collect()
}

/// The numbers of all its descriptors.
fn numbers(pid: i32) -> Vec<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Sets the soft limit of a running helper.
pub fn limit_open_files(pid: i32, limit: usize) {
    let set = output(Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={limit}:")]));
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
}

/// The number that the next descriptor gets. As the limit, it leaves none for a socket or a pipe.
pub fn next_number(pid: i32) -> usize {
    let taken = numbers(pid);
    (0..).find(|number| !taken.contains(number)).unwrap()
}

/// How many bytes lie in its pipes, but for `others`.
pub fn bytes_in_pipes(pid: i32, others: &[String]) -> u64 {
    pipes(pid, others).iter().filter_map(|pipe| ioctl_fionread(pipe).ok()).sum()
}

/// How many pipes it has of which size, but for `others`.
pub fn pipe_sizes(pid: i32, others: &[String]) -> BTreeMap<usize, usize> {
    let mut sizes = BTreeMap::new();
    for pipe in pipes(pid, others) {
        let size = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).unwrap();
        *sizes.entry(usize::try_from(size).unwrap()).or_default() += 1;
    }
    sizes
}

/// Each of its pipes once, but for `others`; one that is closed meanwhile is left out.
fn pipes(pid: i32, others: &[String]) -> Vec<File> {
    let mut pipes = links(pid);
    pipes.retain(|(_, link)| link.starts_with("pipe:") && !others.contains(link));
    // The two ends of one need not be neighbours.
    pipes.sort_by(|one, other| one.1.cmp(&other.1));
    pipes.dedup_by(|one, other| one.1 == other.1);
    // Whichever end it is: opening it anew opens the pipe itself.
    let open = |path: PathBuf| OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    pipes.into_iter().filter_map(|(path, _)| open(path).ok()).collect()
}

/// The memory that is its alone, in bytes.
pub fn private_memory(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// The processor time that it has used so far.
pub fn processor_time(pid: i32) -> Duration {
    let stat = stat(pid);
    // utime and stime, in hundredths of a second.
    let ticks = |number: usize| stat[number].parse::<u64>().unwrap();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Waits until it is in this state (proc(5), `/proc/pid/stat`). One that sleeps has seen to all that had happened.
#[track_caller]
pub fn until_in_state(pid: i32, state: char) {
    until(&format!("a helper in state {state}"), || stat(pid)[0].starts_with(state).then_some(()));
}

/// What follows its name in `/proc/pid/stat` (proc(5)), its state first.
fn stat(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().map(str::to_owned).collect()
}

/// By number; one that is closed meanwhile is left out.
fn links(pid: i32) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().map(|entry| entry.path()).collect();
    let number = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    paths.retain(|path| number(path) > 2);
    paths.sort_by_key(number);
    let link = |path: PathBuf| Some((path.clone(), fs::read_link(path).ok()?.display().to_string()));
    paths.into_iter().filter_map(link).collect()
}
