//! Lines of Debian control files (`deb822`), from any bytes.
//!
//! There is no limit on the length of a line or of a stanza: one long field must not cost the packages that follow it.
//! Nothing is collected here either, so that a file of nothing but fields costs no memory.

/// One meaningful line of a control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extract) enum Line<'a> {
    /// The first line of a field. The lines that continue it are left out: few fields have something wanted there.
    Field {
        /// Number of the line, from 1.
        number: u64,
        /// The field's name.
        name: &'a [u8],
        /// What follows the colon on the same line, without space around it.
        value: &'a [u8],
        /// The same with the lines that continue it.
        folded: Folded<'a>,
    },
    /// The end of a stanza.
    Blank,
    /// A line that is none of these.
    Malformed {
        /// Number of the line, from 1.
        number: u64,
    },
}

/// A value that may go on in the lines below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extract) struct Folded<'a> {
    /// From the value to the end of the file.
    content: &'a [u8],
}

impl<'a> Folded<'a> {
    /// Its lines.
    pub(in crate::extract) fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        let mut lines = self.content.split(|&byte| byte == b'\n');
        let first = lines.next();
        let continues =
            |line: &&[u8]| matches!(line.first(), Some(b' ' | b'\t')) && !line.trim_ascii().is_empty();
        first.into_iter().chain(lines.take_while(continues))
    }
}

/// The lines of `content`.
pub(in crate::extract) fn lines(content: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut in_field = false;
    let mut rest = Some(content);
    let each = std::iter::from_fn(move || {
        let from = rest?;
        let end = from.iter().position(|&byte| byte == b'\n');
        let (line, after) = match end.and_then(|end| from.split_at_checked(end)) {
            Some((line, after)) => (line, after.get(1..)),
            None => (from, None),
        };
        rest = after;
        Some((from, line))
    });
    (1..).zip(each).filter_map(move |(number, (from, line))| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            in_field = false;
            return Some(Line::Blank);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // The continuation of nothing is not a continuation.
            return (!in_field).then_some(Line::Malformed { number });
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = match colon.and_then(|colon| line.split_at_checked(colon)) {
            Some((name, value)) if is_name(name) => (name, value.get(1..).unwrap_or_default()),
            _ => {
                in_field = false;
                return Some(Line::Malformed { number });
            }
        };
        in_field = true;
        let content = from.get(name.len().saturating_add(1)..).unwrap_or_default();
        Some(Line::Field { number, name, value: value.trim_ascii(), folded: Folded { content } })
    })
}

/// Field names are printable ASCII without space (Debian Policy, section 5.1).
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line, with its fields as text.
    fn shown(line: Line<'_>) -> String {
        match line {
            Line::Field { number, name, value, folded: _ } => {
                format!("{number} {}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn fields_continuations_and_stanzas_are_told_apart() {
        let content =
            b"Package: a\r\nDescription: short\n long: text\n .\n\tmore\nVersion:1 \n \t\nPackage:b";
        let found: Vec<_> = lines(content).map(shown).collect();
        let expected = ["1 Package=a", "2 Description=short", "6 Version=1", "Blank", "8 Package=b"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folded_value_ends_with_its_field() {
        for (content, expected) in [
            (&b"Depends: a,\n b\n\tc\nVersion: 1\n"[..], &[" a,", " b", "\tc"][..]),
            (b"Depends:\n a\n \n b", &["", " a"]),
            (b"Depends: a", &[" a"]),
        ] {
            let Some(Line::Field { folded, .. }) = lines(content).next() else { panic!("no field") };
            assert!(folded.lines().eq(expected.iter().map(|line| line.as_bytes())), "{content:?}");
        }
    }

    #[test]
    fn damaged_lines_are_reported_with_their_number() {
        let content = b" continues nothing\nno colon\n:no name\nna me: x\n continues nothing";
        let expected: Vec<_> = (1..=5).map(|number| Line::Malformed { number }).collect();
        assert_eq!(lines(content).collect::<Vec<_>>(), expected);
    }
}
