//! The manual page and the completions of each shell know the commands and options that clap knows, and no others.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, CommandFactory};

const MANUAL: &str = include_str!("../../packaging/man/rouse.1");
const BASH: &str = include_str!("../../packaging/completions/rouse.bash");
const ZSH: &str = include_str!("../../packaging/completions/_rouse");
const FISH: &str = include_str!("../../packaging/completions/rouse.fish");

/// Each command with its long options.
type Commands = BTreeMap<String, BTreeSet<String>>;

/// What clap knows and shows; without the options that every command has.
fn known() -> Commands {
    let mut all = super::Arguments::command();
    all.build();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    let options = |command: &clap::Command| {
        let own = |argument: &&Arg| !argument.is_hide_set() && !COMMON.contains(&argument.get_id().as_str());
        command.get_arguments().filter(own).filter_map(Arg::get_long).map(str::to_owned).collect()
    };
    let known: Commands = shown.map(|command| (command.get_name().to_owned(), options(command))).collect();
    assert!(known.contains_key("status"));
    known
}

const COMMON: [&str; 4] = ["config", "help", "user", "version"];

/// The words of `text` that follow `mark`.
fn marked<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(mark).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
        rest[..end].to_owned()
    })
}

/// The branches of a shell's `case` over the commands, each up to its `;;`.
fn branches(script: &str) -> Commands {
    let mut commands = Commands::new();
    for branch in script.split(";;") {
        // The pattern is the first line that ends or goes on after ')', and has no other bracket or blank before it.
        let pattern = branch.lines().find_map(|line| {
            let pattern = line.trim_start().split_once(')')?.0;
            let is_pattern = |c: char| c.is_ascii_lowercase() || "-| '".contains(c);
            (!pattern.is_empty() && pattern.chars().all(is_pattern)).then_some(pattern)
        });
        let commands_of = pattern.into_iter().flat_map(|pattern| pattern.split('|')).map(str::trim);
        // '' is the command that is still to come.
        for command in commands_of.filter(|command| *command != "''") {
            // "--" alone is no option, but what ends them.
            let options = marked(branch, "--").filter(|option| !option.is_empty());
            let options = options.filter(|option| !COMMON.contains(&option.as_str()));
            commands.insert(command.to_owned(), options.collect());
        }
    }
    commands
}

#[test]
fn the_manual_page_describes_each() {
    let commands = MANUAL.split_once(".Sh COMMANDS").unwrap().1.split_once(".Sh ENVIRONMENT").unwrap().0;
    let (_, commands) = commands.split_once(".Ss ").unwrap();
    let mut described = Commands::new();
    for item in commands.replace(".It Xo\n.Cm ", ".It Cm ").split(".It Cm ").skip(1) {
        let (head, body) = match item.split_once(".Xc\n") {
            Some(parts) => parts,
            None => item.split_once('\n').unwrap(),
        };
        let name = head.split_whitespace().next().unwrap();
        let listed: BTreeSet<_> = marked(body, ".It Fl -").collect();
        let synopsis: BTreeSet<_> = marked(head, "Fl -").collect();
        assert_eq!(listed, synopsis, "{name}: its synopsis and its list of options");
        assert!(described.insert(name.to_owned(), listed).is_none(), "{name} is described twice");
    }
    assert_eq!(described, known());
}

#[test]
fn bash_completes_each() {
    let commands: Commands =
        branches(BASH.split_once("case $command in").unwrap().1.split_once("esac").unwrap().0);
    assert_eq!(commands, known());
    let names = BASH.split_once("names='run ").unwrap().1.split_once('\'').unwrap().0;
    let names: BTreeSet<_> = names.split(' ').chain(["run"]).map(str::to_owned).collect();
    assert_eq!(names, known().into_keys().collect());
}

#[test]
fn zsh_completes_each() {
    let commands = branches(ZSH.split_once("case $words[1] in").unwrap().1.split_once("esac").unwrap().0);
    assert_eq!(commands, known());
    let names = ZSH.split_once("commands=(").unwrap().1.split_once("\n    )").unwrap().0;
    let names: BTreeSet<_> = marked(names, "\n        '").collect();
    assert_eq!(names, known().into_keys().collect());
}

#[test]
fn fish_completes_each() {
    let mut commands: Commands =
        marked(FISH, "-n __rouse_is -a ").map(|command| (command, BTreeSet::new())).collect();
    for line in FISH.lines() {
        let Some((_, rest)) = line.split_once("-n '__rouse_is ") else { continue };
        let (these, rest) = rest.split_once('\'').unwrap();
        for command in these.split(' ') {
            commands.get_mut(command).unwrap().extend(marked(rest, "-l "));
        }
    }
    assert_eq!(commands, known());
}
