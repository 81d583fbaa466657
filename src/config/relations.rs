//! What sidecars require of each other: each has a table, all that one requires can be up at once, and no requirement leads
//! back to where it began.
//!
//! A helper takes its group's lock and then wakes what it requires, which takes that one's lock. So the members of a
//! group count as one, and whatever leads back, be it through groups, would wait for itself.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Concerns, Error, Wrong, table_key};
use super::source::Place;
use super::suggest::closest;
use super::walk::Table;
use crate::name::Name;

/// How many requirements of a circle are spelled out; nobody reads more.
const MOST_SPELLED: usize = 30;

/// One name in a list of requirements.
#[derive(Clone, Copy)]
struct Link<'a> {
    from: &'a Name,
    to: &'a Name,
    place: &'a Place,
}

/// What counts as one: each sidecar, or each group with all its members.
#[derive(Clone, Copy)]
enum View {
    Sidecars,
    Groups,
}

/// What counts as one in some view.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Node<'a> {
    Sidecar(&'a Name),
    Group(&'a Name),
}

/// Links, each with the position of the one before it.
type Trail<'a> = Vec<(Link<'a>, Option<usize>)>;

/// The links, by where they begin.
struct Web<'a> {
    tables: &'a BTreeMap<Name, Table>,
    view: View,
    onward: BTreeMap<Node<'a>, Vec<Link<'a>>>,
}

/// The errors of requirements that cannot be met; `complete`: no table is missing because it could not be read.
pub(super) fn errors(tables: &BTreeMap<Name, Table>, complete: bool) -> Vec<Error> {
    let links = tables
        .iter()
        .flat_map(|(from, table)| table.requires.iter().map(move |(to, place)| Link { from, to, place }));
    let (known, unknown): (Vec<_>, Vec<_>) = links.partition(|link| tables.contains_key(link.to));
    let mut errors = Vec::new();
    if complete {
        errors.extend(unknown.iter().map(|link| link.error(no_table(link, tables))));
    }
    let web = Web::new(tables, &known, View::Sidecars);
    let mut sound = Vec::new();
    for link in known {
        match web.vicious(link) {
            Some(wrong) => errors.push(link.error(wrong)),
            None => sound.push(link),
        }
    }
    // Without those at fault: a sidecar on the way from one to its rival is not at fault itself.
    let web = Web::new(tables, &sound, View::Sidecars);
    errors.extend(sound.iter().filter_map(|link| Some(link.error(web.discord(*link)?))));
    let web = Web::new(tables, &sound, View::Groups);
    errors.extend(sound.iter().filter_map(|link| Some(link.error(web.standstill(*link)?))));
    errors
}

impl Link<'_> {
    fn error(&self, wrong: Wrong) -> Error {
        let key = format!("{}.requires", table_key(self.from));
        self.place.error(&key, wrong, Concerns::One(self.from.clone()))
    }
}

impl<'a> Web<'a> {
    fn new(tables: &'a BTreeMap<Name, Table>, links: &[Link<'a>], view: View) -> Web<'a> {
        let mut web = Web { tables, view, onward: BTreeMap::new() };
        for link in links {
            web.onward.entry(web.node(view, link.from)).or_default().push(*link);
        }
        web
    }

    fn group(&self, name: &Name) -> Option<&'a Name> {
        self.tables.get(name)?.settings.exclusive.as_ref()
    }

    fn node(&self, view: View, name: &'a Name) -> Node<'a> {
        match (view, self.group(name)) {
            (View::Groups, Some(group)) => Node::Group(group),
            _ => Node::Sidecar(name),
        }
    }

    /// All links from `first` on, each after the one before it and with its position.
    fn trail(&self, first: Link<'a>) -> Trail<'a> {
        // The list is also the queue.
        let mut trail = vec![(first, None)];
        let mut seen = BTreeSet::new();
        let mut position = 0;
        while let Some((link, _)) = trail.get(position) {
            let node = self.node(self.view, link.to);
            let onward = self.onward.get(&node).filter(|_| seen.insert(node));
            trail.extend(onward.into_iter().flatten().map(|next| (*next, Some(position))));
            position += 1;
        }
        trail
    }

    /// The fewest links from `first` on that lead back to where it begins, as `home` sees that.
    fn circle(&self, first: Link<'a>, home: View) -> Option<Vec<Link<'a>>> {
        let begin = self.node(home, first.from);
        let trail = self.trail(first);
        let position = trail.iter().position(|(link, _)| self.node(home, link.to) == begin)?;
        Some(trace(&trail, position))
    }

    /// What is wrong with `first` if it leads back to its own sidecar, or to another of the group.
    fn vicious(&self, first: Link<'a>) -> Option<Wrong> {
        if first.from == first.to {
            return Some(Wrong::new("it requires itself", "remove it from the list"));
        }
        if let Some(circle) = self.circle(first, View::Sidecars) {
            let what = format!("a circle of requirements: {}", spell(&circle, Name::to_string));
            return Some(Wrong::new(what, "remove one of them"));
        }
        let group = self.group(first.from)?;
        let way = self.circle(first, View::Groups)?;
        let last = way.last()?.to;
        let what = format!(
            "{} can never be up together with {last}, which excludes it (group {group}): {}",
            first.from,
            spell(&way, Name::to_string)
        );
        Some(Wrong::new(what, "remove it, or take one of the two out of the group"))
    }

    /// What is wrong with `link` if it leads to a rival of one to whom an earlier one of the same list leads. Where one link
    /// alone leads to both, the fault is further on.
    fn discord(&self, link: Link<'a>) -> Option<Wrong> {
        let here = self.trail(link);
        let list = self.onward.get(&Node::Sidecar(link.from))?;
        let earlier = list.iter().take_while(|earlier| earlier.to != link.to);
        let (group, ways) = earlier.map(|earlier| self.trail(*earlier)).find_map(|there| {
            let leads = |trail: &Trail<'a>, name| trail.iter().any(|(link, _)| link.to == name);
            let ours = here.iter().enumerate().filter(|(_, (link, _))| !leads(&there, link.to));
            ours.into_iter().find_map(|(at, (ours, _))| {
                let group = self.group(ours.to)?;
                let rival = |(theirs, _): &(Link<'a>, _)| {
                    self.group(theirs.to) == Some(group) && !leads(&here, theirs.to)
                };
                let rival = there.iter().position(rival)?;
                Some((group, [trace(&there, rival), trace(&here, at)]))
            })
        })?;
        let [one, other] =
            ways.each_ref().map(|way| way.last().map(|link| link.to.as_str()).unwrap_or_default());
        let what = format!(
            "{} can never be up: {one} and {other} exclude each other (group {group}): {}",
            link.from,
            spell(&ways.concat(), Name::to_string)
        );
        Some(Wrong::new(what, "remove it, or take one of the two out of the group"))
    }

    /// What is wrong with `first` if it leads back through groups.
    fn standstill(&self, first: Link<'a>) -> Option<Wrong> {
        let circle = self.circle(first, View::Groups)?;
        let label = |name: &Name| match self.group(name) {
            Some(group) => format!("{name} ({group})"),
            None => name.to_string(),
        };
        let what = format!("groups that could wait for each other for ever: {}", spell(&circle, label));
        Some(Wrong::new(
            what,
            "remove one of these requirements, or take one of the sidecars out of its group",
        ))
    }
}

/// The links up to the one at `position`, in their order.
fn trace<'a>(trail: &Trail<'a>, position: usize) -> Vec<Link<'a>> {
    let step = |(_, before): &&(Link<'a>, Option<usize>)| trail.get((*before)?);
    let mut links: Vec<_> = std::iter::successors(trail.get(position), step).map(|(link, _)| *link).collect();
    links.reverse();
    links
}

/// The way along `links`, such as `a → b → c, d → a` where c and d are in one group.
fn spell(links: &[Link], label: impl Fn(&Name) -> String) -> String {
    let mut text = String::new();
    let mut here = None;
    for link in links.iter().take(MOST_SPELLED) {
        if here != Some(link.from) {
            text += if here.is_some() { ", " } else { "" };
            text += &label(link.from);
        }
        text += " → ";
        text += &label(link.to);
        here = Some(link.to);
    }
    if links.len() > MOST_SPELLED {
        text += " → …";
    }
    text
}

fn no_table(link: &Link, tables: &BTreeMap<Name, Table>) -> Wrong {
    let known: Vec<_> = tables.keys().filter(|name| *name != link.from).map(Name::as_str).collect();
    let table = table_key(link.to);
    let cure = match closest(link.to.as_str(), &known) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("add a table [{table}]; an empty one will do"),
    };
    Wrong::new(format!("there is no table [{table}]"), cure)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::tests::config;
    use super::*;

    /// A table for each of `a (group) = b c`, where group and list may be missing.
    fn tables(lines: &[&str]) -> String {
        let table = |line: &&str| {
            let (head, list) = line.split_once(" = ").unwrap_or((line, ""));
            let (name, group) = head.split_once(' ').unwrap_or((head, ""));
            let list: Vec<_> = list.split_whitespace().collect();
            let group = match group.trim_matches(['(', ')']) {
                "" => String::new(),
                group => format!("exclusive = \"{group}\"\n"),
            };
            format!("[sidecar.{name}]\nrequires = {list:?}\n{group}")
        };
        lines.iter().map(table).collect()
    }

    /// What is wrong with `lines`, each with the sidecar that it stops.
    fn wrong(lines: &[&str]) -> Vec<(String, String)> {
        let config = config(&[&tables(lines)]);
        let errors = config.errors().iter();
        errors
            .map(|error| match &error.concerns {
                Concerns::One(name) => (name.to_string(), error.what.clone()),
                Concerns::All => panic!("{error}"),
            })
            .collect()
    }

    /// The sidecars that are stopped.
    fn stopped(lines: &[&str]) -> String {
        wrong(lines).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn takes_trees_and_diamonds() {
        assert_eq!(stopped(&["a = b c", "b = d", "c = d", "d"]), "");
        assert_eq!(stopped(&["a (g) = b", "c (g) = b", "b (h)"]), "");
        assert_eq!(stopped(&["a (g) = b", "b (h) = d", "c (g) = d", "d"]), "");
    }

    #[test]
    fn spells_a_circle_at_each_of_its_members() {
        let found = wrong(&["a = b", "b = c", "c = a", "d = a"]);
        let whole = |way: &str| format!("a circle of requirements: {way}");
        assert_eq!(
            found,
            [
                ("a".into(), whole("a → b → c → a")),
                ("b".into(), whole("b → c → a → b")),
                ("c".into(), whole("c → a → b → c"))
            ]
        );
        assert_eq!(wrong(&["a = a"]), [("a".into(), "it requires itself".into())]);
    }

    #[test]
    fn stops_who_requires_a_rival_and_nobody_on_the_way() {
        assert_eq!(stopped(&["a (g) = b", "b (g)"]), "a");
        assert_eq!(stopped(&["a (g) = b", "b = c", "c (g)"]), "a");
        assert_eq!(stopped(&["a (g) = b", "b (h) = c", "c (g)", "d (h)"]), "a");
        let what = &wrong(&["a (g) = b", "b = c", "c (g)"])[0].1;
        assert_eq!(what, "a can never be up together with c, which excludes it (group g): a → b → c");
    }

    #[test]
    fn stops_who_requires_two_rivals_and_nobody_who_requires_that_one() {
        assert_eq!(stopped(&["a = m n", "m (g)", "n (g)"]), "a");
        assert_eq!(stopped(&["a = m b", "b = c", "c = n", "m (g)", "n (g)"]), "a");
        assert_eq!(stopped(&["z = a m", "a = m n", "m (g)", "n (g)"]), "a");
        assert_eq!(stopped(&["a = m b", "b = m", "m (g)", "n (g)", "c = n"]), "");
        let what = &wrong(&["a = b n", "b = m", "m (g)", "n (g)"])[0].1;
        assert_eq!(what, "a can never be up: m and n exclude each other (group g): a → b → m, a → n");
    }

    #[test]
    fn spells_circles_between_groups() {
        let found = wrong(&["a (g) = b", "b (h)", "c (h) = x", "x = d", "d (g)"]);
        let (names, whats): (String, Vec<_>) = found.into_iter().unzip();
        assert_eq!(names, "acx");
        let way = "groups that could wait for each other for ever: a (g) → b (h), c (h) → x → d (g)";
        assert_eq!(whats[0], way);
    }

    #[test]
    fn a_group_is_no_sidecar_of_the_same_name() {
        assert_eq!(stopped(&["a (b) = b", "b"]), "");
        assert_eq!(stopped(&["a (b) = b", "b (a) = c", "c"]), "");
    }

    #[test]
    fn a_broken_table_does_not_stop_those_that_require_it() {
        let config = config(&["[sidecar.a]\nrequires = [\"b\"]\n[sidecar.b]\nport = 0"]);
        assert!(config.sidecar(&Name::new("a").unwrap()).is_ok());
        assert!(config.sidecar(&Name::new("b").unwrap()).is_err());
    }

    #[test]
    fn tables_of_all_files_count_unless_one_could_not_be_read() {
        let a = "[sidecar.a]\nrequires = [\"b\"]";
        let what = |second| {
            let config = config(&[a, second]);
            config.errors().iter().any(|error| error.what == "there is no table [sidecar.b]")
        };
        assert!(!what("[sidecar.b]"));
        assert!(what("[sidecar.x]"));
        assert!(!what("[sidecar.b"));
    }

    #[test]
    fn long_circles_are_found_and_not_spelled_to_the_end() {
        let ring: String =
            (0..300).map(|n| format!("[sidecar.s{n}]\nrequires = [\"s{}\"]\n", (n + 1) % 300)).collect();
        let config = config(&[&ring]);
        assert_eq!(config.errors().len(), 300);
        assert!(config.errors().iter().all(|error| error.what.len() < 500));
    }

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    type Drawn = Vec<(Option<usize>, BTreeSet<usize>)>;

    /// For each of [`NAMES`] its group, if any, and what it requires.
    fn drawn() -> impl Strategy<Value = Drawn> {
        let group = prop::option::of(0..3_usize);
        let requires = prop_oneof![
            2 => Just(BTreeSet::new()),
            3 => prop::collection::btree_set(0..NAMES.len(), 1..3),
        ];
        prop::collection::vec((group, requires), NAMES.len())
    }

    fn written_out(drawn: &Drawn) -> String {
        let line = |(number, (group, requires)): (usize, &(Option<usize>, BTreeSet<usize>))| {
            let list: Vec<_> = requires.iter().map(|other| NAMES[*other]).collect();
            let group = group.map(|group| format!(" (g{group})")).unwrap_or_default();
            format!("{}{group} = {}", NAMES[number], list.join(" "))
        };
        let lines: Vec<_> = drawn.iter().enumerate().map(line).collect();
        tables(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Whether the groups can be put in an order, by taking away whatever requires nothing that is left.
    fn in_order(drawn: &Drawn, counts: impl Fn(usize) -> bool) -> bool {
        let node = |number: usize| drawn[number].0.unwrap_or(100 + number);
        let mut links: Vec<_> = (0..drawn.len())
            .filter(|from| counts(*from))
            .flat_map(|from| drawn[from].1.iter().map(move |to| (node(from), node(*to))))
            .collect();
        loop {
            let begins: BTreeSet<_> = links.iter().map(|(from, _)| *from).collect();
            let before = links.len();
            links.retain(|(_, to)| begins.contains(to));
            if links.len() == before {
                return links.is_empty();
            }
        }
    }

    /// Whether somebody needs two of one group at once.
    fn at_odds(drawn: &Drawn) -> bool {
        (0..drawn.len()).any(|number| {
            let mut needed = BTreeSet::from([number]);
            for _ in 0..drawn.len() {
                needed = needed.iter().flat_map(|one| drawn[*one].1.iter().chain([one])).copied().collect();
            }
            let groups: Vec<_> = needed.iter().filter_map(|one| drawn[*one].0).collect();
            groups.iter().collect::<BTreeSet<_>>().len() < groups.len()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn an_accepted_configuration_has_no_circle_and_no_discord_and_any_other_is_accepted(drawn in drawn()) {
            let config = config(&[&written_out(&drawn)]);
            let sound = in_order(&drawn, |_| true) && !at_odds(&drawn);
            prop_assert_eq!(config.errors().is_empty(), sound, "{:?}", config.errors());
        }

        #[test]
        fn the_sidecars_that_may_run_are_in_no_circle(drawn in drawn()) {
            let config = config(&[&written_out(&drawn)]);
            let runs = |number: usize| config.sidecar(&Name::new(NAMES[number]).unwrap()).is_ok();
            prop_assert!(in_order(&drawn, runs), "{:?}", config.errors());
        }
    }
}
