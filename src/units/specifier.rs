//! What `%i` and its like stand for in a value: the specifiers of systemd.unit(5) that an address or a name is made of.

use crate::places;

/// `value` with the specifiers of `unit` filled in; `None` where it has one that is not known here.
pub(super) fn expand(value: &str, unit: &str) -> Option<String> {
    let (name, _) = unit.rsplit_once('.')?;
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        text.push_str(match characters.next()? {
            '%' => "%",
            'i' => instance,
            'p' => prefix,
            'n' => unit,
            'N' => name,
            't' => places::runtime().to_str()?,
            _ => return None,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn the_instance_and_the_runtime_directory_are_filled_in() {
        let expand = |value| expand(value, "rouse@kicad-mcp.socket");
        assert_eq!(expand("%t/%p/%i.sock").as_deref(), Some("/run/rouse/kicad-mcp.sock"));
        assert_eq!(expand("[fe80::1]:80%%eth0").as_deref(), Some("[fe80::1]:80%eth0"));
        assert_eq!(expand("%n %N").as_deref(), Some("rouse@kicad-mcp.socket rouse@kicad-mcp"));
        assert_eq!([expand("%H"), expand("80%")], [None, None]);
    }
}
