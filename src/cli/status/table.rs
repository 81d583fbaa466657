//! One line per sidecar, in as many columns as there is room for.

use super::super::words::{ago, bytes, took};
use super::element::Element;
use super::engine::Said;
use crate::record::State;
use crate::terminal::{Colour, Terminal, columns, cut, harmless};
use crate::why::Why;

const GAP: &str = "  ";
/// The reason is what one looks for: other columns go before it gets less room than this.
const REASON: usize = 24;
/// How far a name is cut to give the reason so much: a little for a good reason, and more for some reason at all.
const NARROW: [(usize, usize); 2] = [(20, REASON), (8, 8)];

struct Column {
    title: &'static str,
    is_number: bool,
    /// The larger, the earlier it is left out.
    rank: u8,
    cell: fn(&Element, u64) -> (String, Colour),
}

/// All but the reason, which comes last and takes what is left.
const COLUMNS: [Column; 8] = [
    Column { title: "NAME", is_number: false, rank: 0, cell: |element, _| plain(&element.shown.sidecar) },
    Column {
        title: "STATE",
        is_number: false,
        rank: 0,
        cell: |element, _| (element.word().into(), colour(element)),
    },
    Column { title: "SINCE", is_number: false, rank: 2, cell: since },
    Column {
        title: "CLIENTS",
        is_number: true,
        rank: 1,
        cell: |element, _| plain(&element.shown.connections.to_string()),
    },
    Column { title: "ENGINE", is_number: false, rank: 3, cell: |element, _| engine(element) },
    Column { title: "WAKE", is_number: true, rank: 4, cell: usual_wake },
    Column {
        title: "UP",
        is_number: true,
        rank: 5,
        cell: |element, _| plain(&bytes(element.shown.totals.bytes_up)),
    },
    Column {
        title: "DOWN",
        is_number: true,
        rank: 5,
        cell: |element, _| plain(&bytes(element.shown.totals.bytes_down)),
    },
];

/// The table with its titles, each line ended.
pub fn render(elements: &[Element], now_ms: u64, terminal: &Terminal) -> String {
    let reasons: Vec<_> = elements.iter().map(|element| harmless(&element.shown.text)).collect();
    let longest = reasons.iter().map(|reason| columns(reason)).max().unwrap_or(0);
    let mut shown: Vec<_> = COLUMNS.iter().map(|column| Filled::of(column, elements, now_ms)).collect();
    if let Some(width) = terminal.width {
        let lacking =
            |shown: &[Filled], reason: usize| (before(shown) + longest.min(reason)).saturating_sub(width);
        for rank in (1..=5).rev() {
            if lacking(&shown, REASON) > 0 {
                shown.retain(|column| column.column.rank != rank);
            }
        }
        for (name, reason) in NARROW {
            let lacking = lacking(&shown, reason);
            if let Some(first) = shown.first_mut() {
                first.width = first.width.saturating_sub(lacking).max(first.width.min(name));
            }
        }
    }
    let before = before(&shown);
    let fit = |line: &str| {
        terminal.width.map_or_else(|| line.to_owned(), |width| cut(line, width.saturating_sub(before)).into())
    };
    let mut text = String::new();
    for row in 0..=elements.len() {
        let (reason, colour) = match row.checked_sub(1) {
            None => ("WHY", Colour::Bold),
            Some(place) => (reasons[place].as_str(), reason_colour(&elements[place].shown.why)),
        };
        text.extend(shown.iter().map(|column| column.padded(row, terminal) + GAP));
        text.push_str(&terminal.paint(colour, fit(reason)));
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The columns of the terminal that are taken before the reason begins.
fn before(shown: &[Filled]) -> usize {
    shown.iter().map(|column| column.width + GAP.len()).sum()
}

/// A column with its title and all its cells, as wide as the widest.
struct Filled<'a> {
    column: &'a Column,
    cells: Vec<(String, Colour)>,
    width: usize,
}

impl Filled<'_> {
    fn of<'a>(column: &'a Column, elements: &[Element], now_ms: u64) -> Filled<'a> {
        let mut cells = vec![(column.title.to_owned(), Colour::Bold)];
        cells.extend(elements.iter().map(|element| (column.cell)(element, now_ms)));
        let width = cells.iter().map(|(text, _)| columns(text)).max().unwrap_or(0);
        Filled { column, cells, width }
    }

    /// One cell, in the column's width: the padding stays outside of the colour.
    fn padded(&self, row: usize, terminal: &Terminal) -> String {
        let (text, colour) = &self.cells[row];
        let text = cut(text, self.width);
        let padding = " ".repeat(self.width - columns(&text));
        let painted = terminal.paint(*colour, text);
        if self.column.is_number { padding + &painted } else { painted + &padding }
    }
}

fn plain(text: &str) -> (String, Colour) {
    (text.to_owned(), Colour::Plain)
}

fn since(element: &Element, now_ms: u64) -> (String, Colour) {
    plain(&element.shown.since_ms.map_or_else(|| "-".to_owned(), |then| ago(then, now_ms)))
}

fn usual_wake(element: &Element, _: u64) -> (String, Colour) {
    plain(&element.shown.usual_wake_ms.map_or_else(|| "-".to_owned(), took))
}

fn engine(element: &Element) -> (String, Colour) {
    match element.engine {
        Some(Said::Missing) => (Said::Missing.name().into(), Colour::Red),
        Some(said) => plain(said.name()),
        None => ("?".into(), Colour::Yellow),
    }
}

/// The colour of its state.
pub fn colour(element: &Element) -> Colour {
    match element.shown.state {
        State::Asleep => Colour::Dim,
        State::Waking | State::Pausing | State::Sleeping => Colour::Yellow,
        State::Awake => Colour::Green,
        State::Paused => Colour::Blue,
    }
}

/// The colour of its reason.
pub fn reason_colour(why: &Why) -> Colour {
    match why {
        Why::Failed { .. }
        | Why::EngineUnreachable { .. }
        | Why::Rejected { .. }
        | Why::Unreadable { .. } => Colour::Red,
        Why::Unattended => Colour::Yellow,
        _ => Colour::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{NOW_MS, element};
    use super::*;
    use crate::why::Step;

    fn machine() -> Vec<Element> {
        let mut busy = element("kicad-mcp", State::Awake, Why::Busy { percent: 212 });
        (busy.shown.connections, busy.shown.usual_wake_ms) = (12, Some(1_240));
        (busy.shown.totals.bytes_up, busy.shown.totals.bytes_down) = (12_345_678, 3_456_789_012);
        let reason = "exit code 127\n\x1b[31mno such file\x1b[0m: größe 日本".into();
        let failed = Why::Failed { reason, next_ms: NOW_MS + 8_000 };
        let mut failed = element("blender-worker", State::Asleep, failed);
        failed.engine = Some(Said::Missing);
        let mut off = element("ollama", State::Asleep, Why::Off);
        (off.enabled, off.engine, off.shown.since_ms) = (false, None, None);
        let paused =
            element("web", State::Paused, Why::Unused { next: Step::Sleep, at_ms: NOW_MS + 192_000 });
        vec![failed, busy, off, paused]
    }

    fn table(width: Option<usize>, colored: bool) -> String {
        "\n".to_owned() + &render(&machine(), NOW_MS, &Terminal { width, colored })
    }

    #[test]
    fn a_wide_terminal_has_all_columns_and_a_pipe_is_never_cut() {
        let whole = "
NAME            STATE   SINCE      CLIENTS  ENGINE    WAKE     UP    DOWN  WHY
blender-worker  asleep  3 min ago        0  missing      -    0 B     0 B  wake failed: exit code 127 �[31mno such file�[0m: größe 日本, next try in 8 s
kicad-mcp       awake   3 min ago       12  running  1.2 s  12 MB  3.5 GB  busy: 212 % CPU
ollama          off     -                0  ?            -    0 B     0 B  not enabled
web             paused  3 min ago        0  running      -    0 B     0 B  sleeps in 3 min 12 s
";
        assert_eq!(table(Some(200), false), whole);
        assert_eq!(table(None, false), whole);
    }

    #[test]
    fn narrower_ones_lose_what_matters_least() {
        assert_eq!(
            table(Some(100), false),
            "
NAME            STATE   SINCE      CLIENTS  ENGINE    WAKE     UP    DOWN  WHY
blender-worker  asleep  3 min ago        0  missing      -    0 B     0 B  wake failed: exit code 1…
kicad-mcp       awake   3 min ago       12  running  1.2 s  12 MB  3.5 GB  busy: 212 % CPU
ollama          off     -                0  ?            -    0 B     0 B  not enabled
web             paused  3 min ago        0  running      -    0 B     0 B  sleeps in 3 min 12 s
"
        );
        assert_eq!(
            table(Some(80), false),
            "
NAME            STATE   SINCE      CLIENTS  ENGINE   WHY
blender-worker  asleep  3 min ago        0  missing  wake failed: exit code 127…
kicad-mcp       awake   3 min ago       12  running  busy: 212 % CPU
ollama          off     -                0  ?        not enabled
web             paused  3 min ago        0  running  sleeps in 3 min 12 s
"
        );
        assert_eq!(
            table(Some(60), false),
            "
NAME            STATE   CLIENTS  WHY
blender-worker  asleep        0  wake failed: exit code 127…
kicad-mcp       awake        12  busy: 212 % CPU
ollama          off           0  not enabled
web             paused        0  sleeps in 3 min 12 s
"
        );
        assert_eq!(
            table(Some(40), false),
            "
NAME            STATE   WHY
blender-worker  asleep  wake failed: ex…
kicad-mcp       awake   busy: 212 % CPU
ollama          off     not enabled
web             paused  sleeps in 3 min…
"
        );
    }

    #[test]
    fn at_any_width_no_line_is_longer_and_all_columns_stand_below_each_other() {
        for width in 20..200 {
            let text = table(Some(width), false);
            let lines: Vec<_> = text.trim_start().lines().collect();
            let starts: Vec<_> = lines[0]
                .match_indices(" W")
                .filter(|(place, _)| lines[0][*place..].starts_with(" WHY"))
                .collect();
            for line in &lines {
                assert!(columns(line) <= width, "{width}: {line:?}");
                if let [(gap, _)] = starts[..] {
                    let before: String = line.chars().take(gap + 1).collect();
                    assert!(before.ends_with(' '), "{width}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_as_long_as_names_may_be_leaves_room_for_the_reason() {
        let mut machine = machine();
        machine[1].shown.sidecar = "x".repeat(90);
        let table = |width| render(&machine, NOW_MS, &Terminal { width: Some(width), colored: false });
        for width in 20..200 {
            assert!(table(width).lines().all(|line| columns(line) <= width), "{width}:\n{}", table(width));
        }
        assert!(table(80).contains("  busy: 212 % CPU\n"), "{}", table(80));
        assert!(table(40).contains("xxxxxxxxxxxxxxxxxxx…  awake   busy: 21"), "{}", table(40));
    }

    #[test]
    fn colours_change_nothing_but_the_colours() {
        let colored = table(Some(100), true);
        assert!(colored.contains("\x1b[32mawake\x1b[0m") && colored.contains("\x1b[31mwake failed"));
        let mut plain = colored;
        for code in ["0", "1", "2", "31", "32", "33", "34"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed.join("\n") + "\n", table(Some(100), false));
    }
}
