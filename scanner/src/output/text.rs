//! Numbers and foreign text for people.

use std::fmt::Write;

/// A number of bytes with three digits, in powers of 1024.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

    if count < 1024 {
        return format!("{count} B");
    }
    // In tenths, rounded, so that no floating point is needed.
    let mut tenths = u128::from(count) * 10;
    let mut unit = "B";
    for larger in UNITS {
        if tenths < 10 * 1024 - 5 {
            break;
        }
        tenths = (tenths + 512) / 1024;
        unit = larger;
    }
    match tenths {
        0..1000 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", (tenths + 5) / 10),
    }
}

/// A share in percent, with two digits after the point.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let Some(hundredths) = (u128::from(part) * 10_000).checked_div(u128::from(whole)) else {
        return "-".to_owned();
    };
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Text from a disk, for a terminal: control characters, and those that turn the direction of writing, are shown
/// escaped.
pub(crate) fn printable(text: &str) -> String {
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
pub(crate) fn printable_bytes(bytes: &[u8]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (524_288, "512 KiB"),
            (1_048_575, "1.0 MiB"),
            (30 << 30, "30.0 GiB"),
            (5_767_168, "5.5 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn shares_have_two_digits_after_the_point() {
        assert_eq!(percent(1, 3), "33.33 %");
        assert_eq!(percent(1, 0), "-");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.00 %");
    }

    #[test]
    fn a_disk_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}é"), "a\\u{1b}[2Jb\\u{202e}é");
        assert_eq!(printable_bytes(b"a\xff\n\xc3\xa9"), "a\\xff\\né");
    }
}
