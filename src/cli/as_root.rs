//! The command that this process was called with, for somebody who may do it.

use std::env;

use crate::shell::word;

/// The command line again, such that a shell reads it.
pub fn as_root() -> String {
    let words: Vec<_> = env::args_os().skip(1).map(|argument| word(&argument.to_string_lossy())).collect();
    format!("sudo rouse {}", words.join(" "))
}
