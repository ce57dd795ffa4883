//! The fields of one record of a package database, as text.

use std::borrow::Cow;

use crate::limits::Limits;

/// Makes text of a record's fields, and keeps what is wrong with them: one odd field must not cost the others.
#[derive(Debug)]
pub(in crate::extract) struct Fields<'a> {
    limits: &'a Limits,
    problems: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(in crate::extract) fn new(limits: &'a Limits) -> Self {
        Self { limits, problems: Vec::new() }
    }

    /// A field that may be missing, and is left out if it is damaged.
    pub(in crate::extract) fn optional(&mut self, name: &str, value: Option<&[u8]>) -> Option<String> {
        let value = value.filter(|value| !value.is_empty())?;
        let (length, limit) = (value.len(), self.limits.field_bytes);
        if length > limit {
            self.problems
                .push(format!("has a {name} of {length} bytes; the limit is {limit} (`field_bytes`)"));
            return None;
        }
        let text = String::from_utf8_lossy(value);
        if text.chars().any(char::is_control) {
            self.problems.push(format!("has control characters in its {name}"));
            return None;
        }
        if matches!(text, Cow::Owned(_)) {
            self.problems.push(format!("has a {name} that is not UTF-8"));
        }
        Some(text.into_owned())
    }

    /// A field without which there is no package: one word. `missing` is what is said if it is not there.
    pub(in crate::extract) fn required(
        &mut self,
        name: &str,
        value: Option<&[u8]>,
        missing: &str,
    ) -> Option<String> {
        if value.is_none_or(<[u8]>::is_empty) {
            self.problems.push(missing.to_owned());
            return None;
        }
        let text = self.optional(name, value)?;
        if text.contains(char::is_whitespace) {
            self.problems.push(format!("has space in its {name}"));
            return None;
        }
        Some(text)
    }

    /// What is wrong, each as the end of a sentence that the record begins.
    pub(in crate::extract) fn problems(self) -> Vec<String> {
        self.problems
    }
}

/// The beginning of a value, for a message.
pub(in crate::extract) fn shown(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value.get(..value.len().min(64)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_field_is_left_out_and_named() {
        let limits = Limits { field_bytes: 4, ..Limits::default() };
        let mut fields = Fields::new(&limits);
        assert_eq!(fields.optional("A", Some(b"abcd")).as_deref(), Some("abcd"));
        assert_eq!(fields.optional("B", Some(b"abcde")), None);
        assert_eq!(fields.optional("C", Some(b"\x1b")), None);
        assert_eq!(fields.optional("D", Some(b"\xff")).as_deref(), Some("\u{fffd}"));
        assert_eq!(fields.optional("E", Some(b"")), None);
        assert_eq!(fields.required("F", Some(b"a b"), "has no F"), None);
        assert_eq!(fields.required("G", None, "has no G"), None);
        let expected = [
            "has a B of 5 bytes; the limit is 4 (`field_bytes`)",
            "has control characters in its C",
            "has a D that is not UTF-8",
            "has space in its F",
            "has no G",
        ];
        assert_eq!(fields.problems(), expected);
    }
}
