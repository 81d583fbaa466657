//! The command that this process was called with, for somebody who may do it.

use std::env;

/// The command line again, such that a shell reads it.
pub fn as_root() -> String {
    let words: Vec<_> = env::args_os().skip(1).map(|word| shell(&word.to_string_lossy())).collect();
    format!("sudo rouse {}", words.join(" "))
}

fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::shell;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(shell("--listen=127.0.0.1:80"), "--listen=127.0.0.1:80");
        assert_eq!(shell("[::1]:80"), "'[::1]:80'");
        assert_eq!(shell(r"log:it's \d"), r"'log:it'\''s \d'");
        assert_eq!(shell(""), "''");
    }
}
