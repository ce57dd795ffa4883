//! Foreign text for people.

use std::fmt::Write as _;
use std::io;

/// Text from a disk, for a terminal: control characters, and those that turn the direction of writing, are shown
/// escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a terminal acts on a character.
fn acts(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}

/// Passes JSON on, with `\u` before what a terminal would act on. It says the same: JSON needs no such escape for characters
/// from U+007F up, and has them only inside strings.
///
/// What is written at once must be whole characters, as serializers write them.
#[derive(Debug)]
pub struct JsonText<W>(pub W);

impl<W: io::Write> io::Write for JsonText<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self(out) = self;
        let text =
            std::str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        for piece in text.split_inclusive(|character| character > '\u{7e}' && acts(character)) {
            match piece.chars().next_back().filter(|&last| last > '\u{7e}' && acts(last)) {
                Some(last) => {
                    let start = piece.len().saturating_sub(last.len_utf8());
                    out.write_all(piece.get(..start).unwrap_or_default().as_bytes())?;
                    write!(out, "\\u{:04x}", u32::from(last))?;
                }
                None => out.write_all(piece.as_bytes())?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Cuts a text that has more bytes than it may have, and says how many it had. The end that says so is within `most`: what was
/// cut is not cut again.
pub fn cut(text: &mut String, most: usize) {
    let length = text.len();
    if length <= most {
        return;
    }
    let end = format!("… ({length} bytes)");
    text.truncate(text.floor_char_boundary(most.saturating_sub(end.len())));
    text.push_str(&end);
    // A text of megabytes is not kept for its beginning.
    text.shrink_to_fit();
}

/// Leaves out the name and the password in each `scheme://name:password@host` (RFC 3986, section 3.2.1): a token for a
/// registry is written into its address.
pub fn leave_out_passwords(text: &mut String) {
    const BEGIN: &str = "://";

    if !text.contains(BEGIN) {
        return;
    }
    let mut kept = String::with_capacity(text.len());
    let mut parts = text.split(BEGIN);
    kept.extend(parts.next());
    for part in parts {
        kept.push_str(BEGIN);
        // A password may have an `@` itself; what ends the authority it may not.
        let ends =
            |character: char| matches!(character, '/' | '?' | '#' | '"' | '\'') || character.is_whitespace();
        let authority = part.get(..part.find(ends).unwrap_or(part.len())).unwrap_or_default();
        let start = authority.rfind('@').map_or(0, |at| at.saturating_add(1));
        kept.push_str(part.get(start..).unwrap_or_default());
    }
    *text = kept;
}

/// Any bytes for a terminal, such as a file's name: as [`printable`], and what is not UTF-8 in hexadecimal.
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Writes text of several lines for a terminal: keeps lines and tabs, and nothing else that a terminal would act on.
///
/// # Errors
///
/// Those of `out`.
pub fn write_lines(part: &[u8], out: &mut dyn io::Write) -> io::Result<()> {
    for piece in part.split_inclusive(|&byte| matches!(byte, b'\n' | b'\t')) {
        let (text, end) = match piece.split_last() {
            Some((end @ (b'\n' | b'\t'), text)) => (text, std::slice::from_ref(end)),
            _ => (piece, &[][..]),
        };
        out.write_all(printable_bytes(text).as_bytes())?;
        out.write_all(end)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_what_a_terminal_acts_on() {
        let mut text = Vec::new();
        io::Write::write_all(
            &mut JsonText(&mut text),
            "{\n\"é\u{9b}2J\u{7f}\": \"\u{202e}\u{202e}a\"}".as_bytes(),
        )
        .unwrap();
        assert_eq!(text, "{\n\"é\\u009b2J\\u007f\": \"\\u202e\\u202ea\"}".as_bytes());
    }

    #[test]
    fn a_text_that_is_cut_has_no_more_than_it_may_have() {
        let mut text = "é".repeat(1 << 20);
        cut(&mut text, 4096);
        assert!((4090..=4096).contains(&text.len()) && text.ends_with("é… (2097152 bytes)"), "{text:.20}");
        let once = text.clone();
        cut(&mut text, 4096);
        assert_eq!(text, once);
    }

    #[test]
    fn passwords_in_addresses_are_left_out() {
        for (text, expected) in [
            ("git+https://user:secret@example.com/a@1", "git+https://example.com/a@1"),
            ("x https://secret@h y https://a:s@e@h/ z@w", "x https://h y https://h/ z@w"),
            ("https://example.com/@scope/a", "https://example.com/@scope/a"),
            ("\"https://secret@h\" mail@example.com", "\"https://h\" mail@example.com"),
            ("://@", "://"),
            ("1.0", "1.0"),
        ] {
            let mut left = text.to_owned();
            leave_out_passwords(&mut left);
            assert_eq!(left, expected, "{text}");
        }
    }

    #[test]
    fn a_disk_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}é"), "a\\u{1b}[2Jb\\u{202e}é");
        assert_eq!(printable_bytes(b"a\xff\n\xc3\xa9"), "a\\xff\\né");
    }
}
