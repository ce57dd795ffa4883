//! What an analyser says, for people: whoever wrote the disk may have chosen it.

use agentless_core::text::printable;

/// The most bytes that are shown: the longest path, and what is wrong with it.
const MOST: usize = 8 << 10;

/// Text on which a terminal does not act, and which does not fill one.
pub(super) fn foreign(text: &str) -> String {
    // Escaped, it is longer.
    let start = text.get(..text.floor_char_boundary(MOST)).unwrap_or_default();
    let mut shown = printable(start);
    let is_cut = start.len() < text.len() || shown.len() > MOST;
    if is_cut {
        shown.truncate(shown.floor_char_boundary(MOST));
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_unless_it_is_long_or_acts_on_a_terminal() {
        assert_eq!(foreign("/etc/é: not found"), "/etc/é: not found");
        assert_eq!(foreign("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
        for long in ["x", "é", "\u{1b}"] {
            let shown = foreign(&long.repeat(1 << 20));
            assert!(shown.ends_with('…') && shown.len() <= MOST + 3, "{long:?}: {}", shown.len());
        }
    }
}
