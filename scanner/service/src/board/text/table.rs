//! Columns that fit the width of a terminal.

use std::fmt::Write as _;

/// How text looks where there are colours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Title,
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Tone {
    /// Select Graphic Rendition, as every terminal has it.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Title => Some("1"),
            Self::Good => Some("32"),
            Self::Doubtful => Some("33"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
        }
    }
}

/// A text and how it looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: shown(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Text for a terminal, line by line.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    width: usize,
    colours: bool,
}

impl Page {
    /// Between two columns.
    const GAP: &'static str = "  ";
    /// A column is not made narrower than this; lines are cut instead.
    const NARROWEST: usize = 4;

    pub(super) fn new(width: Option<usize>, colours: bool) -> Self {
        // As wide as it gets, where nobody says how wide that is.
        Self { text: String::new(), width: width.unwrap_or(usize::MAX).max(20), colours }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line of several parts, with nothing between them. What does not fit is cut.
    pub(super) fn line(&mut self, parts: impl IntoIterator<Item = Cell>) {
        let mut room = self.width;
        for part in parts {
            let text = cut(&part.text, room);
            room = room.saturating_sub(length(&text));
            self.write(&text, part.tone);
        }
        self.gap();
    }

    /// A text of several lines, where it does not fit into one; it is moved in.
    pub(super) fn paragraph(&mut self, indent: usize, part: &Cell) {
        let room = self.width.saturating_sub(indent).max(Self::NARROWEST);
        let mut line = String::new();
        for word in part.text.split(' ') {
            if !line.is_empty() && length(&line).saturating_add(1).saturating_add(length(word)) > room {
                self.indented(indent, &line, part.tone);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&cut(word, room));
        }
        self.indented(indent, &line, part.tone);
    }

    /// Rows under their titles. Columns that take the most room give way first.
    pub(super) fn table(&mut self, titles: &[&str], rows: Vec<Vec<Cell>>) {
        let titles = titles.iter().map(|title| Cell::toned(title, Tone::Faint)).collect();
        let rows: Vec<Vec<Cell>> = std::iter::once(titles).chain(rows).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0_usize; columns];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = length(&cell.text).max(*width);
            }
        }
        let gaps = Self::GAP.len().saturating_mul(columns);
        while widths.iter().sum::<usize>().saturating_add(gaps) > self.width {
            match widths.iter_mut().max() {
                Some(widest) if *widest > Self::NARROWEST => *widest = widest.saturating_sub(1),
                _ => break,
            }
        }
        for row in rows {
            let last = row.len().saturating_sub(1);
            let mut room = self.width;
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = Self::GAP.get(..room.min(Self::GAP.len())).unwrap_or_default();
                room = room.saturating_sub(gap.len());
                let text = cut(&cell.text, room.min(*width));
                room = room.saturating_sub(length(&text));
                let padding = if index == last { 0 } else { width.saturating_sub(length(&text)).min(room) };
                room = room.saturating_sub(padding);
                self.text.push_str(gap);
                self.write(&text, cell.tone);
                self.text.extend(std::iter::repeat_n(' ', padding));
            }
            self.gap();
        }
    }

    fn indented(&mut self, indent: usize, line: &str, tone: Tone) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.write(line, tone);
        self.gap();
    }

    fn write(&mut self, text: &str, tone: Tone) {
        match tone.code().filter(|_| self.colours && !text.is_empty()) {
            // Writing to a string cannot fail.
            Some(code) => drop(write!(self.text, "\u{1b}[{code}m{text}\u{1b}[0m")),
            None => self.text.push_str(text),
        }
    }
}

/// How many columns a text takes: one for each character. Names of AWS have no others.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// As much of a text as there is room for.
fn cut(text: &str, room: usize) -> String {
    if length(text) <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain((room > 0).then_some('…')).collect()
}

/// Foreign text, without what a terminal would act on.
fn shown(text: &str) -> String {
    let turns = |character| matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let acts = |character: char| character.is_control() || turns(character);
    text.chars().map(|character| if acts(character) { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: usize, colours: bool) -> String {
        let mut page = Page::new(Some(width), colours);
        let row = |target: &str, tone| vec![Cell::from(target), Cell::toned("failed", tone), "3".into()];
        page.table(
            &["TARGET", "RESULT", "N"],
            vec![row("i-0123456789abcdef0123456789", Tone::Bad), row("short", Tone::Plain)],
        );
        page.finish()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        assert_eq!(
            table(80, false),
            "  TARGET                        RESULT  N\n  i-0123456789abcdef0123456789  failed  3\n  short                         failed  3\n"
        );
    }

    #[test]
    fn what_takes_most_room_gives_way() {
        assert_eq!(
            table(24, false),
            "  TARGET       RESULT  N\n  i-01234567…  failed  3\n  short        failed  3\n"
        );
        for width in 0..60 {
            let widest = table(width, false).lines().map(length).max().unwrap();
            assert!(widest <= width.max(20), "{widest} of {width}");
        }
    }

    #[test]
    fn colours_take_no_room() {
        let plain =
            table(24, true).replace("\u{1b}[31m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        assert_eq!(plain, table(24, false));
        assert!(table(24, true).contains("\u{1b}[31mfailed\u{1b}[0m"));
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        let mut page = Page::new(None, false);
        page.line(["a\u{1b}[2J\r\n\u{202e}b".into()]);
        assert_eq!(page.finish(), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}b\n");
    }

    #[test]
    fn paragraphs_are_broken_between_words() {
        let mut page = Page::new(Some(20), false);
        page.paragraph(4, &"one two three four five averyveryverylongword".into());
        assert_eq!(page.finish(), "    one two three\n    four five\n    averyveryverylo…\n");
    }
}
