//! The names of sidecars and of groups, where a table speaks of others.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;

use super::error::{Wrong, quoted};
use super::value::{kind, text};
use crate::name::{CONTROL, Name};

const LIST: &str = r#"a list of sidecars such as ["postgres"]"#;
const GROUP: &str = "a letter or digit, then up to 89 letters, digits, '_', '.' or '-'";

/// The name of a sidecar.
pub(super) fn name(text: &str) -> Result<Name, Wrong> {
    Name::new(text).map_err(|message| {
        let (what, cure) = message.rsplit_once(": ").unwrap_or((&message, "another name"));
        Wrong::new(what.replace(&format!("{text:?}"), &quoted(text)), cure)
    })
}

/// The name of an exclusive group, which looks like a sidecar's because it becomes a file's too.
pub(super) fn group(value: &DeValue) -> Result<Name, Wrong> {
    let text = text(value, GROUP)?;
    Name::new(text).map_err(|_| match text {
        CONTROL => Wrong::new(format!("{text:?} is reserved"), "choose another name"),
        _ => Wrong::new(format!("{} is not a group's name", quoted(text)), GROUP),
    })
}

/// Puts a list of sidecars into `names`, each with its place; those that are none are errors, and the rest counts still.
pub(super) fn names(value: &DeValue, names: &mut Vec<Spanned<Name>>) -> Result<(), Vec<Wrong>> {
    let DeValue::Array(list) = value else {
        return Err(Wrong::new(format!("{}, not a list", kind(value)), LIST).into());
    };
    let mut seen = BTreeSet::new();
    let mut wrongs = Vec::new();
    for element in list {
        match text(element.get_ref(), LIST).and_then(name) {
            Ok(name) if !seen.insert(name.clone()) => {
                let what = format!("{} is in the list already", quoted(name.as_str()));
                wrongs.push(Wrong::new(what, "name it once").at(element.span()));
            }
            Ok(name) => names.push(Spanned::new(element.span(), name)),
            Err(wrong) => wrongs.push(wrong.at(element.span())),
        }
    }
    match wrongs.is_empty() {
        true => Ok(()),
        false => Err(wrongs),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The names that are taken from `list`, and how many are refused.
    fn read(list: &str) -> (Vec<String>, usize) {
        let mut taken = Vec::new();
        let refused = names(DeValue::parse(list).unwrap().get_ref(), &mut taken);
        (taken.iter().map(ToString::to_string).collect(), refused.err().map_or(0, |wrongs| wrongs.len()))
    }

    #[test]
    fn takes_lists_of_names() {
        assert_eq!(read("[]"), (vec![], 0));
        assert_eq!(read("[\"db\", 'a.b-c_d']"), (vec!["db".into(), "a.b-c_d".into()], 0));
    }

    #[test]
    fn reports_each_element_and_takes_the_rest() {
        let list = "[\"db\", 5, \"db\", \"\", \"a b\", \"control\", [\"x\"], \"web\"]";
        assert_eq!(read(list), (vec!["db".into(), "web".into()], 6));
        assert_eq!(read("\"db\""), (vec![], 1));
    }

    #[test]
    fn points_at_the_element() {
        let wrongs =
            names(DeValue::parse("[\"db\", \"a b\"]").unwrap().get_ref(), &mut Vec::new()).unwrap_err();
        assert_eq!(wrongs[0].span, Some(7..12));
    }

    #[test]
    fn groups_are_named_like_sidecars() {
        let read = |text: &str| group(&DeValue::String(text.into()));
        assert_eq!(read("gpu0").unwrap().as_str(), "gpu0");
        for text in ["", "control", "a/b", "@x", &"x".repeat(91)] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
