//! Lines of Debian control files (`deb822`), from any bytes.
//!
//! There is no limit on the length of a line or of a stanza: one long field must not cost the packages that follow it.
//! Nothing is collected here either, so that a file of nothing but fields costs no memory.

/// One meaningful line of a control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The first line of a field. Lines that continue it carry nothing that is wanted and are left out.
    Field {
        /// Number of the line, from 1.
        number: u64,
        /// The field's name.
        name: &'a [u8],
        /// What follows the colon on the same line, without space around it.
        value: &'a [u8],
    },
    /// The end of a stanza.
    Blank,
    /// A line that is none of these.
    Malformed {
        /// Number of the line, from 1.
        number: u64,
    },
}

/// The lines of `content`.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut in_field = false;
    (1..).zip(content.split(|&byte| byte == b'\n')).filter_map(move |(number, line)| {
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
            Some((name, rest)) if is_name(name) => (name, rest.get(1..).unwrap_or_default()),
            _ => {
                in_field = false;
                return Some(Line::Malformed { number });
            }
        };
        in_field = true;
        Some(Line::Field { number, name, value: value.trim_ascii() })
    })
}

/// Field names are printable ASCII without space (Debian Policy, section 5.1).
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u64, name: &'static str, value: &'static str) -> Line<'static> {
        Line::Field { number, name: name.as_bytes(), value: value.as_bytes() }
    }

    #[test]
    fn fields_continuations_and_stanzas_are_told_apart() {
        let content =
            b"Package: a\r\nDescription: short\n long: text\n .\n\tmore\nVersion:1 \n \t\nPackage:b";
        assert_eq!(
            lines(content).collect::<Vec<_>>(),
            [
                field(1, "Package", "a"),
                field(2, "Description", "short"),
                field(6, "Version", "1"),
                Line::Blank,
                field(8, "Package", "b"),
            ]
        );
    }

    #[test]
    fn damaged_lines_are_reported_with_their_number() {
        let content = b" continues nothing\nno colon\n:no name\nna me: x\n continues nothing";
        let expected: Vec<_> = (1..=5).map(|number| Line::Malformed { number }).collect();
        assert_eq!(lines(content).collect::<Vec<_>>(), expected);
    }
}
