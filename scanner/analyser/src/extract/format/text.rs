//! Texts of records, from any bytes: bounded, and without what a terminal would act on.

use std::collections::BTreeSet;

use crate::limits::Limits;
use crate::volume::bytes::to_u64;

/// The content of a file as text. What is not UTF-8 is replaced, and the mark that says that it is UTF-8 left out.
pub(in crate::extract) fn decoded(content: Vec<u8>) -> String {
    /// In UTF-8.
    const MARK: &str = "\u{feff}";

    let mut text = String::from_utf8(content).unwrap_or_else(|error| {
        let valid = error.as_bytes().utf8_chunks();
        let length = valid.map(|chunk| {
            chunk.valid().len().saturating_add(if chunk.invalid().is_empty() { 0 } else { MARK.len() })
        });
        // Every damaged byte becomes three: what grew by doubling would take as much again.
        let mut text = String::with_capacity(length.fold(0, usize::saturating_add));
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    });
    if text.starts_with(MARK) {
        text.drain(..MARK.len());
    }
    text
}

/// A text that must be there for a record to be one of a package, or what is wrong with it. Bytes that are not UTF-8 were
/// replaced by [`decoded`]: with them it names nothing that there is.
pub(in crate::extract) fn needed(what: &str, text: Option<&str>, limits: &Limits) -> Result<String, String> {
    let text = bounded(what, text, limits)?;
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("has a {what} that is not UTF-8"));
    }
    Ok(text)
}

/// A text that is not worth losing a package for.
pub(in crate::extract) fn optional(text: Option<&str>, limits: &Limits) -> Option<String> {
    bounded("text", text, limits).ok()
}

/// A text that is there, is no longer than a field may be, and does nothing to a terminal; or what is wrong with it.
fn bounded(what: &str, text: Option<&str>, limits: &Limits) -> Result<String, String> {
    let text = text.unwrap_or_default().trim();
    if text.is_empty() {
        return Err(format!("has no {what}"));
    }
    if text.len() > limits.field_bytes {
        return Err(format!(
            "has a {what} of {} bytes; the limit is {} (`field_bytes`)",
            text.len(),
            limits.field_bytes
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("has control characters in its {what}"));
    }
    Ok(text.to_owned())
}

/// The beginning of a text, for a message.
pub(in crate::extract) fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

/// What one package lists: its licences, or what it needs. Each once, and in the order of the record.
///
/// Bounded by what a report takes of such a list. What is beyond it is left out: it is not worth losing the package for.
#[derive(Debug, Default)]
pub(in crate::extract) struct Listed {
    texts: Vec<String>,
    seen: BTreeSet<String>,
    bytes: u64,
}

impl Listed {
    /// Bytes of one list that a report takes at most.
    const MOST: u64 = 48 << 10;
    /// Bytes that each text has in a report beside its own.
    const HEAD: u64 = 5;

    /// Adds a text, unless it is empty or there.
    pub(in crate::extract) fn add(&mut self, text: &str, limits: &Limits) {
        let Some(text) = optional(Some(text), limits) else { return };
        let bytes = self.bytes.saturating_add(to_u64(text.len())).saturating_add(Self::HEAD);
        if bytes <= Self::MOST && self.seen.insert(text.clone()) {
            self.bytes = bytes;
            self.texts.push(text);
        }
    }

    /// The list.
    pub(in crate::extract) fn into_vec(self) -> Vec<String> {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_and_a_mark_is_left_out() {
        assert_eq!(decoded(b"\xef\xbb\xbf{}".to_vec()), "{}");
        assert_eq!(decoded(b"caf\xe9".to_vec()), "caf\u{fffd}");
    }

    #[test]
    fn a_text_that_is_needed_says_what_is_wrong_with_it() {
        let limits = Limits { field_bytes: 4, ..Limits::default() };
        assert_eq!(needed("name", Some(" abc\t"), &limits).unwrap(), "abc");
        for (text, expected) in [
            (None, "has no name"),
            (Some(" "), "has no name"),
            (Some("abcde"), "has a name of 5 bytes; the limit is 4 (`field_bytes`)"),
            (Some("a\u{1b}b"), "has control characters in its name"),
            (Some("a\u{fffd}"), "has a name that is not UTF-8"),
        ] {
            assert_eq!(needed("name", text, &limits).unwrap_err(), expected);
        }
        assert_eq!(optional(Some("a\u{fffd}"), &limits).as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn a_list_has_each_text_once_and_an_end() {
        let limits = Limits::default();
        let mut listed = Listed::default();
        for text in ["b", "a", "b", "", " "] {
            listed.add(text, &limits);
        }
        assert_eq!(listed.texts, ["b", "a"]);
        for number in 0..100_000 {
            listed.add(&number.to_string(), &limits);
        }
        assert!(listed.into_vec().len() < 10_000);
    }

    #[test]
    fn text_of_damaged_bytes_takes_no_more_memory_than_it_needs() {
        let content = [&b"\xef\xbb\xbf"[..], &vec![0xff; 100_000], b"a"].concat();
        let text = decoded(content);
        assert_eq!(text.len(), 300_001);
        assert!(text.capacity() < 310_000, "{}", text.capacity());
    }
}
