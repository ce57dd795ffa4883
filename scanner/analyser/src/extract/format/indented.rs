//! Lines of the files in which yarn and pnpm lock packages.
//!
//! Both write a small and regular part of YAML, or something like it: maps by indentation, one entry on a line, no anchors.
//! Reading only that costs no memory for what is not wanted and gives what stands before and after a damaged line.

use std::borrow::Cow;

/// A line that is neither blank nor a comment nor a part of a text of several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::extract) struct Line<'a> {
    /// Its number, from 1.
    pub(in crate::extract) number: u64,
    /// Spaces before it.
    pub(in crate::extract) indent: usize,
    /// The rest, without space around it.
    pub(in crate::extract) text: Cow<'a, str>,
}

/// The lines of `text`. A key of its own line, `? key` and then `: value`, which YAML has for keys of more than 1,024
/// characters (YAML 1.2.2, section 7.4.2), is put together with its value.
pub(in crate::extract) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut block = None;
    let mut pending: Option<(usize, &str)> = None;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let indent = line.len().saturating_sub(line.trim_start_matches(' ').len());
        if block.is_some_and(|outer| indent > outer) {
            return None;
        }
        block = begins_a_block(text).then_some(indent);
        if let Some(key) = text.strip_prefix("? ") {
            pending = Some((indent, key.trim()));
            return None;
        }
        let key = pending.take().filter(|(outer, _)| *outer == indent && text.starts_with(':'));
        let text = match key {
            Some((_, key)) => Cow::Owned(format!("{key}{text}")),
            None => Cow::Borrowed(text),
        };
        Some(Line { number, indent, text })
    })
}

/// Whether a value is written in the lines that follow: `key: |`, `key: >-`, `key: |2-` (YAML 1.2.2, section 8.1).
fn begins_a_block(text: &str) -> bool {
    let header = text.rsplit_once(": ").and_then(|(_, value)| value.strip_prefix(['|', '>']));
    header.is_some_and(|rest| {
        rest.len() <= 2 && rest.chars().all(|character| matches!(character, '-' | '+' | '1'..='9'))
    })
}

/// Splits `key: value`, and `key value` as in the first version of yarn; the value is empty if there is none.
pub(in crate::extract) fn entry(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (key, rest) = if let Some((key, rest)) = quoted(text) {
        (key, rest.strip_prefix(':').unwrap_or(rest))
    } else {
        let (key, rest) = text.split_at_checked(text.find(char::is_whitespace).unwrap_or(text.len()))?;
        (Cow::Borrowed(key.strip_suffix(':').unwrap_or(key)), rest)
    };
    (!key.is_empty()).then(|| (key, scalar(rest.trim())))
}

/// A value without its quotes.
fn scalar(text: &str) -> Cow<'_, str> {
    quoted(text).map_or(Cow::Borrowed(text), |(value, _)| value)
}

/// A text in quotes at the beginning, and what follows it. In `"` a backslash escapes, in `'` the quote is doubled.
pub(in crate::extract) fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let quote = text.chars().next().filter(|character| matches!(character, '"' | '\''))?;
    let inner = text.get(1..)?;
    let mut escaped = false;
    let mut characters = inner.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            escaped = true;
            characters.next()?;
        } else if character == quote {
            if quote == '\'' && characters.next_if(|(_, next)| *next == quote).is_some() {
                escaped = true;
                continue;
            }
            let (value, rest) = inner.split_at_checked(place)?;
            let value = if escaped { Cow::Owned(unescaped(value, quote)) } else { Cow::Borrowed(value) };
            return Some((value, rest.get(1..)?));
        }
    }
    None
}

/// The characters that escapes stand for. Those in names and versions stand for themselves.
fn unescaped(value: &str, quote: char) -> String {
    let escape = if quote == '"' { '\\' } else { quote };
    let mut characters = value.chars();
    let mut result = String::with_capacity(value.len());
    while let Some(character) = characters.next() {
        if character == escape {
            result.extend(characters.next());
        } else {
            result.push(character);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_indentation_and_blocks_are_left_out() {
        let text = "# comment\n\na:\r\n  b: >-\n    not: this\n\n    nor: this\n  c: 1\n\
                    ? long\n: d\n? lost\n? e\n:\n  f: '|'\n";
        let lines: Vec<_> = lines(text).map(|line| (line.number, line.indent, line.text)).collect();
        let expected = [
            (3, 0, "a:"),
            (4, 2, "b: >-"),
            (8, 2, "c: 1"),
            (10, 0, "long: d"),
            (13, 0, "e:"),
            (14, 2, "f: '|'"),
        ];
        assert_eq!(lines, expected.map(|(number, indent, text)| (number, indent, text.into())));
    }

    #[test]
    fn entries_of_both_kinds() {
        for (text, expected) in [
            ("key: value", ("key", "value")),
            ("key value", ("key", "value")),
            ("key:", ("key", "")),
            (r#""@s/k": "npm:^1""#, ("@s/k", "npm:^1")),
            (r#""@s/k" "^1 || ^2""#, ("@s/k", "^1 || ^2")),
            ("'it''s': 'a''b'", ("it's", "a'b")),
            (r#""a\"b\\": x y"#, ("a\"b\\", "x y")),
            ("/a@1(b@2): {}", ("/a@1(b@2)", "{}")),
            ("a@https://x/y:", ("a@https://x/y", "")),
            ("'open: 1", ("'open", "1")),
        ] {
            assert_eq!(entry(text), Some((expected.0.into(), expected.1.into())), "{text}");
        }
        for text in ["", ":", "\"\": x"] {
            assert_eq!(entry(text), None, "{text}");
        }
    }
}
