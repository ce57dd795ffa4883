//! The text format of LVM2's metadata: sections, keys, numbers, strings and arrays, as `lvm.conf(5)` describes it.
//!
//! ```text
//! vg0 {
//!     seqno = 3                # a comment
//!     status = ["READ", "WRITE"]
//! }
//! ```
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

/// What a section or the whole text holds, in its order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Section<'a>(Vec<(&'a [u8], Node<'a>)>);

/// What stands behind a key.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    Section(Section<'a>),
    Value(Value<'a>),
    Array(Vec<Value<'a>>),
}

/// A value, or an element of an array.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A whole number. What follows a decimal point is dropped: nothing that is needed here has one.
    Number(i64),
    /// The bytes of a string without its quotes and escapes.
    Text(Cow<'a, [u8]>),
}

/// Why a text is not in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub(super) struct SyntaxError {
    offset: usize,
    problem: &'static str,
}

impl<'a> Section<'a> {
    /// Reads a whole text. A zero byte ends it, as what LVM2 writes has one.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, SyntaxError> {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let mut parser = Parser { text: text.get(..end).unwrap_or_default(), offset: 0 };
        let section = parser.section(DEPTH)?;
        match parser.peek() {
            None => Ok(section),
            Some(_) => Err(parser.error("a section ends that has not begun")),
        }
    }

    fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.0.iter().find(|(each, _)| *each == key.as_bytes()).map(|(_, node)| node)
    }

    /// The sections in it, with their names.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&'a [u8], &Self)> {
        self.0.iter().filter_map(|(key, node)| match node {
            Node::Section(section) => Some((*key, section)),
            Node::Value(_) | Node::Array(_) => None,
        })
    }

    pub(super) fn section(&self, key: &str) -> Option<&Self> {
        match self.get(key)? {
            Node::Section(section) => Some(section),
            Node::Value(_) | Node::Array(_) => None,
        }
    }

    /// A number that is not negative.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Node::Value(value) => value.number(),
            Node::Section(_) | Node::Array(_) => None,
        }
    }

    /// A string. Bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Node::Value(value) => value.text(),
            Node::Section(_) | Node::Array(_) => None,
        }
    }

    /// An array; a single value is one with one element, as for LVM2.
    pub(super) fn array(&self, key: &str) -> Option<&[Value<'a>]> {
        match self.get(key)? {
            Node::Array(values) => Some(values),
            Node::Value(value) => Some(std::slice::from_ref(value)),
            Node::Section(_) => None,
        }
    }

    /// Whether an array of strings has this one.
    pub(super) fn has_flag(&self, key: &str, flag: &str) -> bool {
        let is_flag = |value: &Value<'_>| matches!(value, Value::Text(text) if **text == *flag.as_bytes());
        self.array(key).is_some_and(|values| values.iter().any(is_flag))
    }
}

impl Value<'_> {
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Text(_) => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

/// Sections within each other. Metadata has five; against a text of nothing but opening braces.
const DEPTH: u32 = 10;

/// A recursive descent through the text.
struct Parser<'a> {
    text: &'a [u8],
    offset: usize,
}

impl<'a> Parser<'a> {
    /// The entries up to a closing brace, which stays, or the end.
    fn section(&mut self, depth: u32) -> Result<Section<'a>, SyntaxError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.error("too many sections within each other"));
        };
        let mut entries = Vec::new();
        while let Some(byte) = self.peek() {
            if byte == b'}' {
                break;
            }
            let key = self.key()?;
            let node = match self.peek() {
                Some(b'{') => {
                    self.advance();
                    let section = self.section(depth)?;
                    self.expect(b'}', "a section does not end")?;
                    Node::Section(section)
                }
                Some(b'=') => {
                    self.advance();
                    self.node()?
                }
                _ => return Err(self.error("a key has neither a value nor a section")),
            };
            entries.push((key, node));
        }
        Ok(Section(entries))
    }

    fn key(&mut self) -> Result<&'a [u8], SyntaxError> {
        let key = self.take_while(|byte| !byte.is_ascii_whitespace() && !b"#={}[],\"'".contains(&byte));
        if key.is_empty() { Err(self.error("a key was expected")) } else { Ok(key) }
    }

    fn node(&mut self) -> Result<Node<'a>, SyntaxError> {
        if self.peek() != Some(b'[') {
            return Ok(Node::Value(self.value()?));
        }
        self.advance();
        let mut values = Vec::new();
        loop {
            match self.peek() {
                Some(b']') => {
                    self.advance();
                    return Ok(Node::Array(values));
                }
                Some(b',') => self.advance(),
                Some(_) => values.push(self.value()?),
                None => return Err(self.error("an array does not end")),
            }
        }
    }

    fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        match self.peek() {
            Some(b'"') => self.escaped(),
            Some(b'\'') => {
                self.advance();
                let text = self.take_while(|byte| byte != b'\'');
                self.expect(b'\'', "a string does not end")?;
                Ok(Value::Text(Cow::Borrowed(text)))
            }
            Some(b'0'..=b'9' | b'-' | b'+' | b'.') => self.number(),
            _ => Err(self.error("a value was expected")),
        }
    }

    /// A string in double quotes, in which a backslash stands before a quote and before itself.
    fn escaped(&mut self) -> Result<Value<'a>, SyntaxError> {
        self.advance();
        let start = self.offset;
        let mut has_escapes = false;
        loop {
            match self.text.get(self.offset) {
                None => return Err(self.error("a string does not end")),
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.offset = self.offset.saturating_add(2);
                }
                Some(_) => self.advance(),
            }
        }
        let raw = self.text.get(start..self.offset).unwrap_or_default();
        self.advance();
        Ok(Value::Text(if has_escapes { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }))
    }

    fn number(&mut self) -> Result<Value<'a>, SyntaxError> {
        let error = self.error("a number is not one of 64 bits");
        let digits = self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'));
        if self.text.get(self.offset) == Some(&b'.') {
            self.advance();
            self.take_while(|byte| byte.is_ascii_digit());
        }
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        digits.parse().map(Value::Number).map_err(|_| error)
    }

    /// The next byte that is neither space nor part of a comment. It stays.
    fn peek(&mut self) -> Option<u8> {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace());
            match self.text.get(self.offset) {
                Some(b'#') => drop(self.take_while(|byte| byte != b'\n')),
                other => return other.copied(),
            }
        }
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), SyntaxError> {
        if self.peek() != Some(byte) {
            return Err(self.error(problem));
        }
        self.advance();
        Ok(())
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        let length = rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len());
        self.offset = self.offset.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn advance(&mut self) {
        self.offset = self.offset.saturating_add(1);
    }

    fn error(&self, problem: &'static str) -> SyntaxError {
        SyntaxError { offset: self.offset.min(self.text.len()), problem }
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.extend(bytes.next()),
            _ => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_format_allows() {
        let text = br#"# first
            vg0 { # second
                id = "a-b"
                status = ["READ", 'WRITE',]
                empty = []
                negative = -3
                tolerance = 1.5
                quoted = "a \"b\" \\c"
                inner { x=1 y=2 }
            }
            contents = "Text Format Volume Group"
        "#;
        let parsed = Section::parse(text).unwrap();
        assert_eq!(parsed.text("contents").unwrap(), "Text Format Volume Group");
        let vg = parsed.section("vg0").unwrap();
        assert_eq!(vg.text("id").unwrap(), "a-b");
        assert!(vg.has_flag("status", "READ") && vg.has_flag("status", "WRITE"));
        assert!(!vg.has_flag("status", "REA"));
        assert_eq!(vg.array("empty").unwrap(), []);
        assert_eq!(vg.number("negative"), None);
        assert_eq!(vg.number("tolerance"), Some(1));
        assert_eq!(vg.text("quoted").unwrap(), r#"a "b" \c"#);
        let inner = vg.section("inner").unwrap();
        assert_eq!((inner.number("x"), inner.number("y")), (Some(1), Some(2)));
        assert_eq!(vg.sections().map(|(name, _)| name).collect::<Vec<_>>(), [b"inner"]);
    }

    #[test]
    fn says_where_a_text_is_wrong() {
        for (text, error) in [
            ("a", "byte 1: a key has neither a value nor a section"),
            ("a = ", "byte 4: a value was expected"),
            ("a {", "byte 3: a section does not end"),
            ("}", "byte 0: a section ends that has not begun"),
            ("a = [1", "byte 6: an array does not end"),
            ("a = \"x\\\"", "byte 8: a string does not end"),
            ("a = \"x\\", "byte 7: a string does not end"),
            ("a = 'x", "byte 6: a string does not end"),
            ("a = 99999999999999999999", "byte 4: a number is not one of 64 bits"),
            ("= 1", "byte 0: a key was expected"),
        ] {
            assert_eq!(Section::parse(text.as_bytes()).unwrap_err().to_string(), error, "{text}");
        }
        let deep = "a{".repeat(1_000_000);
        assert_eq!(
            Section::parse(deep.as_bytes()).unwrap_err().to_string(),
            "byte 20: too many sections within each other"
        );
    }

    /// The text of a section, as LVM2 would write it.
    fn write(section: &Section<'_>, text: &mut Vec<u8>) {
        let value = |value: &Value<'_>, text: &mut Vec<u8>| match value {
            Value::Number(number) => text.extend(number.to_string().bytes()),
            Value::Text(string) => {
                text.push(b'"');
                for &byte in &**string {
                    if matches!(byte, b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(byte);
                }
                text.push(b'"');
            }
        };
        for (key, node) in &section.0 {
            text.extend_from_slice(key);
            match node {
                Node::Section(inner) => {
                    text.extend(b" {\n");
                    write(inner, text);
                    text.extend(b"}\n");
                }
                Node::Value(single) => {
                    text.extend(b" = ");
                    value(single, text);
                }
                Node::Array(values) => {
                    text.extend(b"=[");
                    for each in values {
                        value(each, text);
                        text.extend(b", # more\n");
                    }
                    text.push(b']');
                }
            }
            text.push(b'\n');
        }
    }

    fn values() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            any::<i64>().prop_map(Value::Number),
            proptest::collection::vec(1_u8.., 0..12).prop_map(|text| Value::Text(Cow::Owned(text))),
        ]
    }

    fn sections() -> impl Strategy<Value = Section<'static>> {
        let keys = || proptest::sample::select(vec![&b"a"[..], b"seqno", b"lvol0", b"pv-0.1_x+"]);
        let node = prop_oneof![
            values().prop_map(Node::Value),
            proptest::collection::vec(values(), 0..4).prop_map(Node::Array),
        ];
        let leaf = proptest::collection::vec((keys(), node), 0..5).prop_map(Section);
        leaf.prop_recursive(4, 32, 4, move |inner| {
            proptest::collection::vec((keys(), inner.prop_map(Node::Section)), 0..4).prop_map(Section)
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(section in sections()) {
            let mut text = Vec::new();
            write(&section, &mut text);
            prop_assert_eq!(Section::parse(&text).unwrap(), section);
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(
            prop_oneof![proptest::sample::select(&b"a{}[]=,\"'\\# \n0-1."[..]), any::<u8>()], 0..200)) {
            let _ = Section::parse(&text);
        }

        #[test]
        fn a_text_cut_anywhere_does_no_harm(section in sections(), cut in any::<proptest::sample::Index>()) {
            let mut text = Vec::new();
            write(&section, &mut text);
            text.truncate(cut.index(text.len() + 1));
            let _ = Section::parse(&text);
        }
    }
}
