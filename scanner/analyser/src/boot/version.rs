//! The order of versions.

use std::cmp::Ordering;

/// Compares versions as RPM does, which is how GRUB sorts the entries of a menu: piece by piece, numbers by their value and
/// before letters; `~` is less than the end, and `^` more. (rpm-version(7).)
pub(super) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        left = skip(left);
        right = skip(right);
        match (left.first(), right.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                left = left.get(1..).unwrap_or_default();
                right = right.get(1..).unwrap_or_default();
            }
            (None, None) => return Ordering::Equal,
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) | (Some(_), None) => return Ordering::Greater,
            (Some(b'^') | None, Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (Some(first), Some(second)) => {
                let kind: fn(&u8) -> bool =
                    if first.is_ascii_digit() { u8::is_ascii_digit } else { u8::is_ascii_alphabetic };
                if first.is_ascii_digit() != second.is_ascii_digit() {
                    return if first.is_ascii_digit() { Ordering::Greater } else { Ordering::Less };
                }
                let (one, one_rest) = piece(left, kind);
                let (two, two_rest) = piece(right, kind);
                let order = if first.is_ascii_digit() {
                    let (one, two) = (number(one), number(two));
                    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
                } else {
                    one.cmp(two)
                };
                if order.is_ne() {
                    return order;
                }
                (left, right) = (one_rest, two_rest);
            }
        }
    }
}

/// What comes after separators.
fn skip(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    start.and_then(|start| text.get(start..)).unwrap_or_default()
}

fn piece(text: &[u8], kind: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !kind(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// Without leading zeros, so that the longer one is the larger.
fn number(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_rpm_orders_them() {
        for (left, right, expected) in [
            ("6.1.0-18-amd64", "6.1.0-9-amd64", Ordering::Greater),
            ("5.14.0-70.el9", "5.14.0-70.13.1.el9", Ordering::Less),
            ("1.0", "1.0", Ordering::Equal),
            ("1.0", "1.00", Ordering::Equal),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1.0^git", "1.0", Ordering::Greater),
            ("1.0^git", "1.0.1", Ordering::Less),
            ("a", "1", Ordering::Less),
            ("1.a", "1", Ordering::Greater),
            ("", "", Ordering::Equal),
        ] {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), expected, "{left} {right}");
            assert_eq!(compare(right.as_bytes(), left.as_bytes()), expected.reverse(), "{right} {left}");
        }
    }
}
