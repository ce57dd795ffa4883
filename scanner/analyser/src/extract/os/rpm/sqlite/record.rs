//! Records: the values of one row.

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Text or a blob.
    Bytes(&'a [u8]),
    /// An integer.
    Number(i64),
    /// NULL, or a floating-point number: nobody here asks for one.
    Other,
}

/// The values of a record, as many as are there.
pub(super) fn values(record: &[u8]) -> impl Iterator<Item = Value<'_>> {
    let header = varint(record).and_then(|(length, first)| {
        let length = usize::try_from(length).ok()?;
        Some((record.get(first..length)?, record.get(length..)?))
    });
    let (mut kinds, mut content) = header.unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, bytes) = varint(kinds)?;
        kinds = kinds.get(bytes..)?;
        // The serial types of the format, section 2.1.
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => kind.checked_sub(12)? / 2,
        };
        let (value, rest) = content.split_at_checked(usize::try_from(length).ok()?)?;
        content = rest;
        Some(match kind {
            1..=6 => Value::Number(number(value)),
            8 => Value::Number(0),
            9 => Value::Number(1),
            0 | 7 => Value::Other,
            _ => Value::Bytes(value),
        })
    })
}

/// A big-endian number of up to 8 bytes, with its sign.
fn number(bytes: &[u8]) -> i64 {
    let start = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(start, |number: i64, &byte| (number << 8) | i64::from(byte))
}

/// A number of 1 to 9 bytes at the start of `bytes`, and how many it has: 7 bits in each, 8 in the ninth.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (&byte, count) in bytes.iter().zip(1..=9) {
        if count == 9 {
            return Some(((number << 8) | u64::from(byte), count));
        }
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, count));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_one_to_nine_bytes() {
        assert_eq!(varint(&[0x7f, 1]), Some((0x7f, 1)));
        assert_eq!(varint(&[0x81, 0x00]), Some((0x80, 2)));
        assert_eq!(varint(&[0xff; 9]), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff; 8]), None);
        assert_eq!(number(&[0xff, 0xfe]), -2);
        assert_eq!(number(&[0x01, 0x00]), 256);
    }

    #[test]
    fn a_record_gives_its_values() {
        // NULL, 258 in two bytes, 1, "ab".
        let record = [5, 0, 2, 9, 17, 1, 2, b'a', b'b'];
        let expected = [Value::Other, Value::Number(258), Value::Number(1), Value::Bytes(b"ab")];
        assert_eq!(values(&record).collect::<Vec<_>>(), expected);
        assert_eq!(values(&record[..8]).count(), 3);
        assert_eq!(values(&[]).count(), 0);
    }
}
