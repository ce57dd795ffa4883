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
    fn a_disk_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}é"), "a\\u{1b}[2Jb\\u{202e}é");
        assert_eq!(printable_bytes(b"a\xff\n\xc3\xa9"), "a\\xff\\né");
    }
}
