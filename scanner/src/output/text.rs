//! Numbers for people.

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

/// The lines of a text of words, none longer than `width` unless a single word is.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(word.len()) < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped(" one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [""; 0]);
    }

    #[test]
    fn shares_have_two_digits_after_the_point() {
        assert_eq!(percent(1, 3), "33.33 %");
        assert_eq!(percent(1, 0), "-");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.00 %");
    }
}
