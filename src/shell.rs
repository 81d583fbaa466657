//! Words such that a shell reads each as it is.

/// One word, quoted where it must be.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(word("--listen=127.0.0.1:80"), "--listen=127.0.0.1:80");
        assert_eq!(word("[::1]:80"), "'[::1]:80'");
        assert_eq!(word(r"log:it's \d"), r"'log:it'\''s \d'");
        assert_eq!(word(""), "''");
    }
}
