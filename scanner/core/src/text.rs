//! Foreign text for people.

use std::fmt::Write as _;
use std::io;

/// Text from a disk, for a terminal: control characters, and those that turn the direction of writing, are shown
/// escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
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
    fn a_disk_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}é"), "a\\u{1b}[2Jb\\u{202e}é");
        assert_eq!(printable_bytes(b"a\xff\n\xc3\xa9"), "a\\xff\\né");
    }
}
